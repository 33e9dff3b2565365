"""How well labels are found: accuracy, F1, confusion, and whether probabilities mean what they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Counts = NDArray[np.int64]
BINS = 15
# Temperatures between these bounds are tried.
COLDEST, HOTTEST, HALVINGS = 0.05, 20.0, 60
GOLDEN = (5**0.5 - 1) / 2


def confusion(truth: Labels, found: Labels, classes: int) -> Counts:
    """How often each class was taken for each, `(classes + 1, classes)`: true classes down, found ones across.

    Args:
        truth (Labels): true labels `(n,)`; a label that is none of the classes is numbered `classes`.
        found (Labels): found labels `(n,)`, from 0 to `classes - 1`.
        classes (int): how many there are.
    """
    return np.bincount(truth * classes + found, minlength=(classes + 1) * classes).reshape(classes + 1, classes)


@dataclass(frozen=True)
class ClassScore:
    """How well one class is found.

    Args:
        precision (float): the share of what was taken for it that is of it; 0 where nothing was.
        recall (float): the share of it that was found; 0 where there is none.
        f1 (float): `2 p r / (p + r)`, the harmonic mean of both.
        count (int): how many there are.
    """

    precision: float
    recall: float
    f1: float
    count: int


def class_scores(counts: Counts) -> list[ClassScore]:
    """One for each class, of a confusion matrix."""
    right, true, found = np.diagonal(counts), counts[:-1].sum(axis=1), counts.sum(axis=0)
    return [
        ClassScore(r / f if f else 0.0, r / t if t else 0.0, 2 * r / (t + f) if t + f else 0.0, t)
        for r, t, f in zip(right.tolist(), true.tolist(), found.tolist(), strict=True)
    ]


def accuracy(counts: Counts) -> float:
    """The share that was found, of a confusion matrix."""
    return float(np.trace(counts[:-1]) / counts.sum())


def macro_f1(counts: Counts) -> float:
    """The mean F1 of the classes that are there or were found; labels that no class has are one more, with F1 0."""
    occurs = counts[:-1].sum(axis=1) + counts.sum(axis=0) > 0
    scores = [score.f1 for score, there in zip(class_scores(counts), occurs, strict=True) if there]
    return sum(scores) / (len(scores) + bool(counts[-1].sum()))


# Probabilities ------------------------------------------------------------------------------------------------


def scaled(log_probs: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Probabilities `(n, classes)` at a temperature, of log-probabilities: `p ** (1 / T)`, made to sum to 1.

    Guo et al. 2017, eq. 9; which class is the most probable stays the same.
    """
    logits = log_probs / temperature
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(probs / probs.sum(axis=1, keepdims=True))


def nats(probs: NDArray[np.float64], truth: Labels) -> float:
    """The mean negative log-probability of the true labels, which all are classes."""
    return float(-np.log(np.maximum(probs[np.arange(len(truth)), truth], np.finfo(np.float64).tiny)).mean())


def calibration_error(probs: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The expected calibration error: how far confidence and accuracy lie apart (Guo et al. 2017, eq. 3).

    Args:
        probs (NDArray[np.float64]): `(n, classes)`.
        right (NDArray[np.bool_]): whether the most probable class is the true one, `(n,)`.
    """
    confidence = probs.max(axis=1)
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    apart = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(apart).sum() / len(right))


def fit_temperature(log_probs: NDArray[np.float64], truth: Labels) -> float:
    """The temperature at which the true labels are most probable; the loss has one minimum, found by golden section.

    Args:
        log_probs (NDArray[np.float64]): `(n, classes)`, of texts that were not trained on.
        truth (Labels): `(n,)`, classes all.
    """
    low, high = np.log(COLDEST), np.log(HOTTEST)
    for _ in range(HALVINGS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if nats(scaled(log_probs, float(np.exp(left))), truth) <= nats(scaled(log_probs, float(np.exp(right))), truth):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))
