"""How often a search misses the best output: the table of Stahlberg and Byrne 2019 for any model.

The best output is the one with the highest score of all, which only exhaustive search can prove. That it is found does
not make a translation good: a model may find nothing at all more probable than anything it could say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seqgen.config import SearchConfig
from seqgen.metrics.text import text_scores
from seqgen.tasks.targets import Method
from seqgen.tasks.translation.model import TranslationModel
from seqgen.tasks.translation.translate import Translation, Translator

# Scores are sums of fp32 numbers computed in batches of different sizes: below this they are the same output's.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class SearchRow:
    """One search over a test set.

    Args:
        search (str): its name.
        bleu (float): of its outputs.
        length_ratio (float): tokens of its outputs over those of the references.
        errors (float | None): share of the sentences with a proven optimum for which it found something worse; None
            for the search that proves.
        empty (float): share of sentences without any output token.
        log_prob (float): mean log-probability of its outputs, in nats per sentence.
        proved (float): share of sentences whose optimum was proved.
        seconds (float): time for all sentences.
    """

    search: str
    bleu: float
    length_ratio: float
    errors: float | None
    empty: float
    log_prob: float
    proved: float
    seconds: float


def compare_searches(
    model: TranslationModel,
    pairs: Sequence[tuple[str, str]],
    search: SearchConfig,
    advance: Callable[[int], None],
) -> list[SearchRow]:
    """Greedy, a beam of `search.beam_size`, one of twice that, and exhaustive search over the same sentences.

    Args:
        model (TranslationModel): whose outputs they are.
        pairs (Sequence[tuple[str, str]]): sources and references.
        search (SearchConfig): score, beam and budgets.
        advance (Callable[[int], None]): told how many more sentences the exhaustive search is done with.
    """
    wide = SearchConfig(**{**vars(search), "beam_size": 2 * search.beam_size})
    kinds: list[tuple[str, Method, SearchConfig]] = [
        ("greedy", "greedy", search),
        (f"beam {search.beam_size}", "beam", search),
        (f"beam {wide.beam_size}", "beam", wide),
        ("exhaustive", "exhaustive", search),
    ]
    found: dict[str, tuple[list[Translation], float]] = {}
    for name, method, config in kinds:
        begin, translations = time.perf_counter(), []
        for translation in Translator([model], method, config).stream(source for source, _ in pairs):
            translations.append(translation)
            if method == "exhaustive":
                advance(1)
        found[name] = translations, time.perf_counter() - begin
    best = found["exhaustive"][0]
    proved = [i for i, t in enumerate(best) if t.found.proof is not None and t.found.proof.optimal]
    return [_row(model, name, *found[name], pairs, best, proved) for name, _, _ in kinds]


def _row(
    model: TranslationModel,
    name: str,
    translations: list[Translation],
    seconds: float,
    pairs: Sequence[tuple[str, str]],
    best: list[Translation],
    proved: list[int],
) -> SearchRow:
    references = [model.target_tokenizer.normalize(target) for _, target in pairs]
    tokens = sum(len(t.outputs[0].hypothesis.token_ids) for t in translations if t.outputs)
    wanted = sum(len(model.target_tokenizer.encode(reference)) for reference in references)
    worse = [i for i in proved if _score(translations[i]) < _score(best[i]) - TOLERANCE]
    filled = [t.outputs[0].hypothesis for t in translations if t.outputs]
    return SearchRow(
        search=name,
        bleu=text_scores([t.text for t in translations], references).bleu,
        length_ratio=tokens / max(1, wanted),
        errors=None if translations is best else len(worse) / max(1, len(proved)),
        empty=sum(not h.token_ids for h in filled) / max(1, len(filled)),
        log_prob=sum(h.log_prob for h in filled) / max(1, len(filled)),
        proved=len(proved) / max(1, len(filled)),
        seconds=seconds,
    )


def _score(translation: Translation) -> float:
    return translation.outputs[0].hypothesis.score
