"""How good a classifier is, on texts whose labels are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqgen.data.epochs import Indices
from seqgen.data.labelled_corpus import LabelledPart
from seqgen.metrics import labels
from seqgen.tasks.classification.model import ClassifierModel, LogProbs

BATCH = 64


@dataclass(frozen=True)
class Found:
    """What a model found for some texts, or for all of their words.

    Args:
        log_probs (LogProbs): `(n, classes)`, before the temperature.
        truth (NDArray[np.int64]): true labels `(n,)`; one past the last class is a label that no class has.
        unknown (NDArray[np.bool_]): whether the token is one that the vocabulary lacks, `(n,)`; of words with labels.
    """

    log_probs: LogProbs
    truth: NDArray[np.int64]
    unknown: NDArray[np.bool_]

    @property
    def found(self) -> NDArray[np.int64]:
        """The most probable labels, `(n,)`."""
        return np.asarray(self.log_probs.argmax(axis=1))

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether the true label is one of the classes, `(n,)`."""
        return np.asarray(self.truth < self.log_probs.shape[1])

    @property
    def confusion(self) -> labels.Counts:
        """See `seqgen.metrics.labels.confusion`."""
        return labels.confusion(self.truth, self.found, self.log_probs.shape[1])

    def measures(self, temperature: float = 1.0) -> dict[str, float]:
        """Loss, accuracy and macro-F1; of words with labels, the accuracy on unknown words too, if there are any."""
        probs, counts, known = labels.scaled(self.log_probs, temperature), self.confusion, self.known
        measures = {
            "loss": labels.nats(probs[known], self.truth[known]) if known.any() else float("inf"),
            "accuracy": labels.accuracy(counts),
            "macro_f1": labels.macro_f1(counts),
        }
        if self.unknown.any():
            right = self.found == self.truth
            measures["unknown_accuracy"] = float(right[self.unknown].mean())
        return measures

    def calibration_error(self, temperature: float) -> float:
        """See `seqgen.metrics.labels.calibration_error`."""
        return labels.calibration_error(labels.scaled(self.log_probs, temperature), self.found == self.truth)


def find(
    model: ClassifierModel,
    part: LabelledPart,
    indices: Indices,
    stop: Callable[[], bool] = lambda: False,
    advance: Callable[[int], None] = lambda texts: None,
) -> Found | None:
    """What a model finds for some texts, those of like length together.

    Args:
        model (ClassifierModel): it is put in evaluation mode.
        part (LabelledPart): the texts.
        indices (Indices): which of them.
        stop (Callable[[], bool]): asked between batches; when it is true, None comes back.
        advance (Callable[[int], None]): told how many more texts are done.
    """
    model.network.eval()
    unk_id = model.reader.tokenizer.unk_id
    log_probs, truth, unknown = [], [], []
    by_length = indices[np.argsort(part.bytes.lengths[indices], kind="stable")]
    for start in range(0, len(by_length), BATCH):
        if stop():
            return None
        texts, wanted = part.read(by_length[start : start + BATCH])
        found, _, inputs = model.log_probs(texts)
        log_probs.append(found)
        truth += wanted
        if model.reader.per_token:
            unknown += [row[:length] == unk_id for row, length in zip(inputs.tokens, inputs.lengths, strict=True)]
        else:
            unknown.append(np.zeros(len(texts), np.bool_))
        advance(len(texts))
    return Found(np.concatenate(log_probs), np.concatenate(truth), np.concatenate(unknown))
