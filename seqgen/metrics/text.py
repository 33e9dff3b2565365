"""Text against references, by sacrebleu, with the signature that says how it was counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TextScores:
    """Corpus scores in [0, 100].

    Args:
        bleu (float): BLEU (Papineni et al. 2002), cased, detokenised, on sacrebleu's 13a tokens.
        chrf (float): chrF2 (Popovic 2015).
    """

    bleu: float
    chrf: float


def text_scores(outputs: Sequence[str], references: Sequence[str]) -> TextScores:
    """Score outputs against one reference each.

    Raises:
        ValueError: there are none, or not as many outputs as references.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    if not outputs or len(outputs) != len(references):
        raise ValueError(f"{len(outputs)} outputs, {len(references)} references")
    bleu, chrf = (m.corpus_score(list(outputs), [list(references)]).score for m in (BLEU(), CHRF()))
    return TextScores(bleu, chrf)


def signatures() -> tuple[str, str]:
    """How `text_scores` counts BLEU and chrF; a figure without it compares with nothing (Post 2018)."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    bleu, chrf = BLEU(), CHRF()
    for metric in (bleu, chrf):
        metric.corpus_score(["a"], [["a"]])  # a signature says how many references there were
    return f"BLEU|{bleu.get_signature()}", f"chrF2|{chrf.get_signature()}"
