"""Distances of images from their targets, beside numbers on paper and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from seqgen.metrics import image_pairs
from seqgen.metrics.frechet import RealHalves, frechet_of

Pixels = NDArray[np.uint8]


def images(seed: int, size: tuple[int, ...] = (3, 2, 13, 15)) -> Pixels:
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 256, size=size).astype(np.uint8)


def test_numbers_on_paper() -> None:
    one = np.array([[[[0, 255]]], [[[10, 10]]]], np.uint8)
    other = np.array([[[[255, 255]]], [[[10, 10]]]], np.uint8)
    assert image_pairs.mean_distance(one, other).tolist() == [0.5, 0.0]
    assert image_pairs.signal_to_noise(one, other).tolist() == [pytest.approx(10 * math.log10(2)), math.inf]
    assert image_pairs.structural_similarity(one, one).tolist() == [1.0, 1.0]


def test_light_and_dark_exchanged_is_a_correlation_of_minus_one() -> None:
    pixels = images(0)
    assert image_pairs.correlation(pixels, pixels) == pytest.approx([1.0] * 3)
    assert image_pairs.correlation(pixels, 255 - pixels) == pytest.approx([-1.0] * 3)
    assert image_pairs.correlation(pixels, np.full_like(pixels, 9)).tolist() == [0.0] * 3
    grey = pixels.mean(axis=1).reshape(3, -1)
    expected = [np.corrcoef(grey[i], images(1).mean(axis=1).reshape(3, -1)[i])[0, 1] for i in range(3)]
    assert image_pairs.correlation(pixels, images(1)) == pytest.approx(expected)


def plain_similarity(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Equation 13 of Wang et al. 2004 in loops, over one channel."""
    places = np.arange(11) - 5.0
    weights = np.exp(-(places[:, None] ** 2 + places**2) / (2 * 1.5**2))
    weights /= weights.sum()
    found = []
    for top in range(one.shape[0] - 10):
        for left in range(one.shape[1] - 10):
            x, y = (side[top : top + 11, left : left + 11] for side in (one, other))
            mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
            var_x, var_y = (weights * (x - mean_x) ** 2).sum(), (weights * (y - mean_y) ** 2).sum()
            covariance = (weights * (x - mean_x) * (y - mean_y)).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            found.append(
                (2 * mean_x * mean_y + c1)
                * (2 * covariance + c2)
                / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
            )
    return float(np.mean(found))


def test_structural_similarity_is_that_of_the_formula() -> None:
    one = images(0)
    other = np.clip(one.astype(int) + images(1) // 4 - 20, 0, 255).astype(np.uint8)
    expected = [
        np.mean([plain_similarity(one[i, c].astype(float), other[i, c].astype(float)) for c in range(2)])
        for i in range(3)
    ]
    assert image_pairs.structural_similarity(one, other) == pytest.approx(expected, rel=1e-9)
    many = np.repeat(one, 30, axis=0), np.repeat(other, 30, axis=0)
    assert image_pairs.structural_similarity(*many) == pytest.approx(np.repeat(expected, 30))


def test_small_images_have_a_smaller_window() -> None:
    one = images(0, (2, 1, 4, 5))
    assert image_pairs.structural_similarity(one, one) == pytest.approx([1.0, 1.0])
    assert (image_pairs.structural_similarity(one, 255 - one) < 0.5).all()


def test_counterparts_are_compared_with_the_references_of_others() -> None:
    """Perfect counterparts are as far from the references as other real images are: at the floor."""
    real = np.random.Generator(np.random.PCG64(0)).normal(size=(40, 3))
    halves = RealHalves(real, 20)
    assert halves.across(real) == pytest.approx(halves.floor)
    assert halves.across(real + 5.0) == pytest.approx(frechet_of(real, real + 5.0), rel=0.2)
    with pytest.raises(ValueError, match="counterparts"):
        halves.across(real[:30])
