"""What is known of translation models by commands that serve every kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqgen.config.evaluation import PairsEvaluation
from seqgen.metrics.measure import Measure, of_the_loop
from seqgen.tasks.kind import Evaluated, Evaluation, Kind, Request

if TYPE_CHECKING:
    import torch

    from seqgen.tasks.attention_maps import AttentionMaps
    from seqgen.tasks.translation.model import TranslationModel

MEASURES = (
    Measure("loss", "loss {:.4f} {unit}", "nats", "lower", smoothed=True),
    *of_the_loop("tokens"),
    Measure("valid_loss", "valid {:.4f} {unit}", "nats", "lower", shown=True),
    Measure("valid_perplexity", "perplexity {:.2f}", "", "lower", shown=True),
    Measure("valid_bleu", "BLEU {:.2f}", "", "higher", shown=True),
    Measure("valid_chrf", "chrF {:.2f}", "", "higher", shown=True),
)


def _load(name: str, device: torch.device) -> TranslationModel:
    from seqgen.tasks.translation.model import TranslationModel

    return TranslationModel.load(name, device)


def _evaluate(request: Request) -> Evaluated:
    from seqgen.tasks.translation.evaluate import evaluate_pairs

    return evaluate_pairs(request)


def _attention(model: TranslationModel, text: str, target: str | None) -> Sequence[AttentionMaps]:
    from seqgen.tasks.attention_maps import translation_maps

    return translation_maps(model, text, target)


KIND = Kind(
    "translation",
    MEASURES,
    rank="valid_loss",
    curve="loss",
    evaluation=Evaluation("a translation model", PairsEvaluation, _evaluate),
    load=_load,
    attention=_attention,
)
