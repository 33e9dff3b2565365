"""Measures of labels, with numbers worked on paper."""

from __future__ import annotations

import numpy as np
import pytest

from seqgen.metrics.labels import (
    accuracy,
    calibration_error,
    class_scores,
    confusion,
    fit_temperature,
    macro_f1,
    nats,
    scaled,
)

TRUTH, FOUND = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 0])


def test_a_confusion_matrix_has_true_classes_down_and_found_ones_across() -> None:
    assert confusion(TRUTH, FOUND, 3).tolist() == [[2, 1, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]]


def test_scores_of_classes() -> None:
    first, second, third = class_scores(confusion(TRUTH, FOUND, 3))
    # Of four taken for class 0 two are of it, of its three two were found: F1 = 2 * 2 / (4 + 3).
    assert (first.precision, first.recall, first.f1, first.count) == pytest.approx((2 / 4, 2 / 3, 4 / 7, 3))
    assert (second.precision, second.recall, second.f1) == pytest.approx((1 / 2, 1 / 2, 1 / 2))
    assert (third.precision, third.recall, third.f1, third.count) == (0.0, 0.0, 0.0, 1)
    counts = confusion(TRUTH, FOUND, 3)
    assert accuracy(counts) == pytest.approx(3 / 6)
    assert macro_f1(counts) == pytest.approx((4 / 7 + 1 / 2 + 0) / 3)


def test_a_class_that_is_neither_there_nor_found_does_not_count() -> None:
    counts = confusion(TRUTH[:5], FOUND[:5], 4)
    assert macro_f1(counts) == pytest.approx((2 * 2 / (3 + 3) + 1 / 2) / 2)


def test_a_label_that_no_class_has_is_wrong() -> None:
    counts = confusion(np.array([0, 1, 2]), np.array([0, 1, 1]), 2)
    assert accuracy(counts) == pytest.approx(2 / 3)
    assert macro_f1(counts) == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_a_temperature_of_two_takes_the_root_of_probabilities() -> None:
    probs = scaled(np.log(np.array([[0.8, 0.2]])), 2.0)
    # sqrt(0.8) : sqrt(0.2) = 2 : 1
    assert probs == pytest.approx(np.array([[2 / 3, 1 / 3]]))
    assert nats(probs, np.array([1])) == pytest.approx(np.log(3))


def test_the_calibration_error_is_the_distance_of_confidence_and_accuracy_by_bins() -> None:
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    right = np.array([True, False, True, True])
    # |1/2 - 0.9| of half of them and |1 - 0.6| of the other half.
    assert calibration_error(probs, right) == pytest.approx(0.4)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found_again(temperature: float) -> None:
    draw = np.random.Generator(np.random.PCG64(0))
    log_probs = np.log(draw.dirichlet(np.ones(3), 20_000))
    cumulated = scaled(log_probs, temperature).cumsum(axis=1)
    truth = (draw.random((20_000, 1)) > cumulated).sum(axis=1)
    assert fit_temperature(log_probs, truth) == pytest.approx(temperature, rel=0.05)
