"""Which kinds of image are missing or too many: images in bins, compared count by count.

A Fréchet distance says that two sets differ, not in what. Here the real images are parted into bins, by clustering
their features or by the class that a network assigns, and the shares of the bins are compared. A generator that
collapsed to a few modes leaves bins empty whatever else it does well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqgen.metrics.images import Array, Features, as_float64
from seqgen.seeds import derive

BINS = 100
# A bin differs when chance alone would let it differ that much once in 370 times.
Z = 3.0
# A class is missing when the fakes have less than this part of its real share.
MISSING = 0.2

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class BinDifference:
    """How two sets fill the same bins.

    Args:
        different (int): bins whose shares differ by more than chance.
        bins (int): how many there are.
        divergence (float): the Jensen-Shannon divergence of the shares, in nats; 0 for equal, log 2 for disjoint ones.
    """

    different: int
    bins: int
    divergence: float


def compare_bins(real: Features, fake: Features, *, bins: int = BINS, seed: int = 0) -> BinDifference:
    """The number of statistically different bins, NDB (Richardson and Weiss 2018, section 2).

    The bins are the clusters of the real features; there are no more than a tenth of the images, so that a bin can
    tell something.
    """
    bins = max(1, min(bins, len(real) // 10))
    centres = fit_bins(real, bins, seed=seed)
    real_counts, fake_counts = (np.bincount(nearest_bin(x, centres), minlength=bins) for x in (real, fake))
    return different_bins(real_counts, fake_counts)


def different_bins(real_counts: Indices, fake_counts: Indices, z: float = Z) -> BinDifference:
    """Compare two histograms `(bins,)` by a two-proportion z test in each bin.

    Raises:
        ValueError: a histogram is empty.
    """
    n_real, n_fake = int(real_counts.sum()), int(fake_counts.sum())
    if not (n_real and n_fake):
        raise ValueError("a histogram is empty")
    real, fake = real_counts / n_real, fake_counts / n_fake
    pooled = (real_counts + fake_counts) / (n_real + n_fake)
    error = np.sqrt(pooled * (1.0 - pooled) * (1.0 / n_real + 1.0 / n_fake))
    different = int((np.abs(real - fake) > z * error).sum())
    middle = (real + fake) / 2.0
    return BinDifference(different, len(real), (_divergence(real, middle) + _divergence(fake, middle)) / 2.0)


def _divergence(shares: Array, others: Array) -> float:
    """The Kullback-Leibler divergence in nats."""
    some = shares > 0.0
    return float((shares[some] * np.log(shares[some] / others[some])).sum())


# Clusters -----------------------------------------------------------------------------------------------------


def fit_bins(features: Features, bins: int, *, seed: int = 0, iterations: int = 30) -> Array:
    """Cluster features by k-means (Lloyd 1982) from well-spread centres (Arthur and Vassilvitskii 2007).

    Returns:
        Array: centres `(bins, size)`.

    Raises:
        ValueError: there are more bins than images.
    """
    array = as_float64(features)
    if not 1 <= bins <= len(array):
        raise ValueError(f"{len(array)} images do not fill {bins} bins")
    centres = _spread_centres(array, bins, np.random.Generator(np.random.PCG64(derive(seed, "bins"))))
    chosen = nearest_bin(array, centres)
    for _ in range(iterations):
        counts = np.bincount(chosen, minlength=bins)
        sums = np.zeros_like(centres)
        np.add.at(sums, chosen, array)
        filled = counts > 0  # an empty bin keeps its centre
        centres[filled] = sums[filled] / counts[filled, None]
        before, chosen = chosen, nearest_bin(array, centres)
        if np.array_equal(before, chosen):
            break
    return centres


def nearest_bin(features: Features, centres: Array) -> Indices:
    """The bin `(n,)` of each image: that of the nearest centre, the first of equals."""
    array = as_float64(features)
    # |x - c|^2 without |x|^2, which is the same for every centre.
    nearest: Indices = np.argmin((centres**2).sum(axis=1) - 2.0 * array @ centres.T, axis=1)
    return nearest


def _spread_centres(array: Array, bins: int, generator: np.random.Generator) -> Array:
    """Rows drawn one after the other, each with probability proportional to its squared distance from those before."""
    chosen = [int(generator.integers(len(array)))]
    squared = np.full(len(array), np.inf)
    for _ in range(bins - 1):
        squared = np.minimum(squared, ((array - array[chosen[-1]]) ** 2).sum(axis=1))
        total = squared.sum()
        weights = squared / total if total > 0.0 else None  # fewer different images than bins
        chosen.append(int(generator.choice(len(array), p=weights)))
    return array[chosen]


# Classes ------------------------------------------------------------------------------------------------------


def class_counts(probs: Features) -> Indices:
    """How many images are taken for each class `(classes,)`, from probabilities `(n, classes)`."""
    array = as_float64(probs)
    return np.bincount(array.argmax(axis=1), minlength=array.shape[1])


def missing_classes(real_counts: Indices, fake_counts: Indices) -> list[int]:
    """The classes that the fakes leave out: less than a fifth of the share that they have in the real images."""
    real, fake = real_counts / max(1, real_counts.sum()), fake_counts / max(1, fake_counts.sum())
    return np.flatnonzero(fake < MISSING * real).tolist()
