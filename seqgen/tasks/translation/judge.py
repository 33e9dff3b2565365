"""How good a translation model is: the loss of true targets, and BLEU and chrF of what it writes itself."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from seqgen.data.parallel import Pairs, ParallelCorpus
from seqgen.data.spread import spread
from seqgen.decode.step import no_probabilities
from seqgen.metrics.text import signatures, text_scores
from seqgen.tasks.translation.model import TranslationModel
from seqgen.tasks.translation.score import force_decode
from seqgen.tasks.translation.translate import Translator

VALIDATION_PAIRS = 64


@torch.inference_mode()
def pair_loss(
    model: TranslationModel, pairs: Pairs, stop: Callable[[], bool], chosen: NDArray[np.int64] | None = None
) -> dict[str, float] | None:
    """How well a network predicts each token of true targets, end symbols included.

    Args:
        model (TranslationModel): its network in evaluation mode.
        pairs (Pairs): sources and targets.
        stop (Callable[[], bool]): asked between batches; true ends the pass.
        chosen (NDArray[np.int64] | None): which pairs; None for all.

    Returns:
        dict[str, float] | None: `loss` in nats per token and `perplexity`; None when stopped.

    Raises:
        NonFiniteError: the network overflows.
    """
    nats, positions = 0.0, 0
    chosen = np.arange(len(pairs)) if chosen is None else chosen
    order = chosen[np.argsort(pairs.target_lengths[chosen], kind="stable")]
    for first in range(0, len(order), VALIDATION_PAIRS):
        if stop():
            return None
        sources, targets = pairs.read(order[first : first + VALIDATION_PAIRS])
        given, said, where = model.target_tensors(targets)
        logits = model.network(*model.source_tensors(sources), given, where)
        nats += functional.cross_entropy(logits, said[where], reduction="sum").item()
        positions += len(logits)
    if not math.isfinite(nats):
        raise no_probabilities()
    loss = nats / positions
    return {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}


def judge(
    model: TranslationModel,
    corpus: ParallelCorpus,
    translator: Translator,
    stop: Callable[[], bool],
    *,
    most: int | None = None,
    advance: Callable[[int], None] = lambda sentences: None,
) -> dict[str, float] | None:
    """Loss and perplexity per target token, and BLEU and chrF of what a translator makes of the validation part.

    Args:
        model (TranslationModel): whose loss is measured.
        corpus (ParallelCorpus): with a validation part.
        translator (Translator): whose translations are scored.
        stop (Callable[[], bool]): asked now and then; true ends it.
        most (int | None): how many pairs at most, evenly spread; None for all.
        advance (Callable[[int], None]): told how many more sentences were translated.

    Returns:
        dict[str, float] | None: `loss`, `perplexity`, `bleu`, `chrf`; None when stopped.
    """
    assert corpus.valid is not None
    count = len(corpus.valid)
    chosen = spread(count, count if most is None else most)
    measures = pair_loss(model, corpus.valid, stop, chosen)
    if measures is None:
        return None
    sources, targets = (
        [lines[i] for i in chosen] for lines in (corpus.valid_source_lines(), corpus.valid_target_lines())
    )
    outputs = []
    for translation in translator.stream(sources):
        if stop():
            return None
        outputs.append(translation.text)
        advance(1)
    scores = text_scores(outputs, targets)
    return measures | {"bleu": scores.bleu, "chrf": scores.chrf}


def judge_lines(
    model: TranslationModel,
    pairs: Sequence[tuple[str, str]],
    translator: Translator,
    advance: Callable[[int], None] = lambda sentences: None,
) -> dict[str, float | int | str]:
    """The measures of `judge` for pairs of lines, with what makes them comparable.

    Args:
        model (TranslationModel): whose loss is measured.
        pairs (Sequence[tuple[str, str]]): sources and references, at least one pair.
        translator (Translator): whose translations are scored.
        advance (Callable[[int], None]): told how many more sentences were translated.

    Returns:
        dict[str, float | int | str]: `bleu`, `chrf`, their signatures, `loss`, `perplexity`, `sentences`, and
        `seconds` of translating.
    """
    begin, outputs = time.perf_counter(), []
    for translation in translator.stream(source for source, _ in pairs):
        outputs.append(translation.text)
        advance(1)
    seconds = time.perf_counter() - begin
    # A model that was trained on composed letters cannot write a reference in decomposed ones.
    scores = text_scores(outputs, [model.target_tokenizer.normalize(target) for _, target in pairs])
    log_probs = [x for scored in force_decode(model, pairs, VALIDATION_PAIRS) for x in scored.log_probs]
    loss = -sum(log_probs) / len(log_probs)
    bleu_signature, chrf_signature = signatures()
    return {
        "bleu": scores.bleu,
        "chrf": scores.chrf,
        "bleu_signature": bleu_signature,
        "chrf_signature": chrf_signature,
        "loss": loss,
        "perplexity": math.exp(min(loss, 700.0)),
        "sentences": len(pairs),
        "seconds": seconds,
    }
