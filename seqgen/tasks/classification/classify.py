"""Labels of texts as they come: the use of a classifier."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from seqgen.data.batching import in_batches
from seqgen.data.normalization import normalize
from seqgen.data.tagged import squeezed
from seqgen.data.tokens import UNKNOWN
from seqgen.decode.step import no_probabilities
from seqgen.metrics.labels import scaled
from seqgen.tasks.classification.model import ClassifierModel, LogProbs


class Label(NamedTuple):
    """A class and how probable it is."""

    name: str
    probability: float


@dataclass(frozen=True)
class Labelled:
    """What a model says of a text.

    Args:
        text (str): as it was given.
        labels (Sequence[Sequence[Label]]): the most probable labels, the best first, of the text, or of each of its
            words; none where the text is empty.
        cut (bool): whether only its beginning was read.
    """

    text: str
    labels: Sequence[Sequence[Label]]
    cut: bool = False


class Labeller:
    """Labels texts, in order, some at a time.

    Args:
        model (ClassifierModel): in evaluation mode.
        top (int): how many labels each gets, at most as many as there are.
        batch_size (int): texts at a time; with 1 a text is answered before the next one is read.
    """

    def __init__(self, model: ClassifierModel, *, top: int = 1, batch_size: int = 64) -> None:
        self._model, self._top, self._batch_size = model, min(top, len(model.classes)), batch_size

    def label(self, texts: Iterable[str]) -> Iterator[Labelled]:
        """Any number of texts; where words have labels, sentences whose words are parted by white space.

        Raises:
            NonFiniteError: the network overflows.
        """
        for batch in in_batches(texts, self._batch_size):
            plain = [self._normalized(text) for text in batch]
            found = iter(self._found([text for text in plain if text]))
            for text, read in zip(batch, plain, strict=True):
                yield replace(next(found), text=text) if read else Labelled(text, ())

    def _normalized(self, text: str) -> str:
        """A text as the model reads it; empty if nothing is in it."""
        if self._model.reader.per_token:
            return " ".join(squeezed(word) or UNKNOWN for word in text.split())
        return normalize(text, "sentences")

    def _found(self, texts: Sequence[str]) -> Iterator[Labelled]:
        if not texts:
            return
        log_probs, counts, inputs = self._model.log_probs(texts)
        if not np.isfinite(log_probs).all():
            raise no_probabilities()
        labels = iter(self._best(log_probs))
        for i, (text, count) in enumerate(zip(texts, counts.tolist(), strict=True)):
            yield Labelled(text, list(itertools.islice(labels, count)), i in inputs.cut)

    def _best(self, log_probs: LogProbs) -> list[list[Label]]:
        """The most probable labels of each row `(rows, classes)`, the first of equal ones first."""
        probs = scaled(log_probs, self._model.temperature)
        best = probs.argmax(axis=1)[:, None]
        if self._top > 1:
            best = np.argsort(-probs, axis=1, kind="stable")[:, : self._top]
        values, names = np.take_along_axis(probs, best, axis=1).tolist(), self._model.classes
        return [
            [Label(names[i], value) for i, value in zip(own, row, strict=True)]
            for own, row in zip(best.tolist(), values, strict=True)
        ]
