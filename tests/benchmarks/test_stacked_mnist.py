from __future__ import annotations

import math

import numpy as np
import pytest
import stacked_mnist


def test_each_plane_is_one_digit() -> None:
    digits = np.arange(10, dtype=np.uint8)[:, None, None].repeat(2, 1).repeat(3, 2)
    images = stacked_mnist.stack(digits, 5000, seed=0)
    assert images.shape == (5000, 2, 3, 3)
    assert (images == images[:, :1, :1]).all()
    modes = stacked_mnist.triples(images[:, 0, 0].astype(np.int64))
    assert len(set(modes.tolist())) > 980
    assert np.array_equal(images, stacked_mnist.stack(digits, 5000, seed=0))


def test_a_triple_reads_as_its_number() -> None:
    assert stacked_mnist.triples(np.array([[0, 0, 7], [1, 2, 3], [9, 9, 9]])).tolist() == [7, 123, 999]


@pytest.mark.parametrize(
    ("modes", "found", "divergence"),
    [
        (np.arange(1000), 1000, 0.0),
        (np.full(50, 3), 1, math.log(1000)),
        (np.array([0, 1]), 2, math.log(500)),
        (np.array([0, 0, 0, 1]), 2, 0.75 * math.log(750) + 0.25 * math.log(250)),
    ],
)
def test_modes_are_counted(modes: np.ndarray, found: int, divergence: float) -> None:
    count, kl = stacked_mnist.coverage(modes)
    assert count == found
    assert kl == pytest.approx(divergence, abs=1e-12)
