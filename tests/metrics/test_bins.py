from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from seqgen.metrics.bins import (
    class_counts,
    compare_bins,
    different_bins,
    fit_bins,
    missing_classes,
    nearest_bin,
)
from seqgen.metrics.images import Array


def clusters(counts: list[int], seed: int = 0) -> Array:
    """So many points around each of some corners that are far apart."""
    draw = np.random.RandomState(seed)
    return np.concatenate([draw.normal(10.0 * i, 0.5, (count, 3)) for i, count in enumerate(counts)])


def test_the_z_test_on_paper() -> None:
    # Shares .50 and .57 of 1000 each: the error is sqrt(.535 * .465 * 2 / 1000) = .0223, and .07 is 3.14 of it.
    found = different_bins(np.array([500, 500]), np.array([570, 430]))
    assert (found.different, found.bins) == (2, 2)
    assert different_bins(np.array([500, 500]), np.array([566, 434])).different == 0  # 2.96


def test_the_divergence_on_paper() -> None:
    equal, apart = np.array([3, 1]), (np.array([5, 0]), np.array([0, 7]))
    assert different_bins(equal, 2 * equal).divergence == 0.0
    assert different_bins(*apart).divergence == pytest.approx(math.log(2))
    # Halves against one: (ln 2/3 + ln 2) / 2 / 2 + ln 4/3 / 2.
    wanted = (math.log(2 / 3) + math.log(2)) / 4 + math.log(4 / 3) / 2
    assert different_bins(np.array([1, 1]), np.array([1, 0])).divergence == pytest.approx(wanted)


def test_an_empty_bin_is_a_bin() -> None:
    assert different_bins(np.array([100, 0]), np.array([100, 0])).different == 0


def test_clusters_that_lie_apart_are_found() -> None:
    points = clusters([50, 20, 80, 40])
    chosen = nearest_bin(points, fit_bins(points, 4))
    edges = np.cumsum([0, 50, 20, 80, 40])
    groups = [set(chosen[a:b].tolist()) for a, b in itertools.pairwise(edges)]
    assert all(len(group) == 1 for group in groups)
    assert len(set.union(*groups)) == 4


def test_the_centres_are_the_means_of_their_bins() -> None:
    points = np.random.RandomState(0).standard_normal((400, 3))
    centres = fit_bins(points, 5, iterations=200)
    chosen = nearest_bin(points, centres)
    for i, centre in enumerate(centres):
        assert points[chosen == i].mean(axis=0) == pytest.approx(centre)


def test_bins_are_a_function_of_the_seed() -> None:
    points = np.random.RandomState(0).standard_normal((200, 3))
    assert np.array_equal(fit_bins(points, 7), fit_bins(points, 7))
    assert not np.array_equal(fit_bins(points, 7), fit_bins(points, 7, seed=1))


def test_equal_points_fill_as_many_bins_as_there_are() -> None:
    centres = fit_bins(np.ones((10, 2)), 3)
    assert np.array_equal(centres, np.ones((3, 2)))


def test_two_samples_of_one_law_do_not_differ_and_a_lost_mode_does() -> None:
    real, fake = clusters([300, 300, 300]), clusters([300, 300, 300], seed=1)
    assert compare_bins(real, fake, bins=10).different == 0
    lost = clusters([450, 0, 450], seed=1)
    found = compare_bins(real, lost, bins=10)
    assert found.different >= 2
    assert found.divergence > 0.1


def test_there_are_no_more_bins_than_the_images_can_fill() -> None:
    assert compare_bins(clusters([30]), clusters([30])).bins == 3


def test_classes_are_counted_by_their_most_probable() -> None:
    probs = np.array([[0.1, 0.9, 0.0], [0.6, 0.3, 0.1], [0.2, 0.8, 0.0]])
    assert class_counts(probs).tolist() == [1, 2, 0]


def test_a_class_is_missing_below_a_fifth_of_its_share() -> None:
    real = np.array([100, 100, 200, 0])
    assert missing_classes(real, np.array([50, 9, 100, 41])) == [1]
    assert missing_classes(real, np.array([50, 10, 100, 40])) == []
    assert missing_classes(real, np.array([0, 0, 0, 7])) == [0, 1, 2]


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fill 6 bins"):
        fit_bins(np.zeros((5, 2)), 6)
    with pytest.raises(ValueError, match="empty"):
        different_bins(np.zeros(3, dtype=np.int64), np.ones(3, dtype=np.int64))
