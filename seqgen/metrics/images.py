"""How far one set of images is from another, by the features that a network sees in them.

Every function takes features `(n, size)`, one row for an image, and none of them sees a network: a figure means
something only together with the network that made the features (`seqgen.tasks.features`) and the number of images on
each side. The Fréchet distance is biased upwards by few images, so it is read beside its floor, the distance that two
real halves have. Which kinds of image are missing or too many is counted in `seqgen.metrics.bins`.

All sums are float64: at float32 a covariance of 10,000 images is wrong in its fourth digit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqgen.seeds import derive

Features = NDArray[np.floating[Any]] | Tensor
Array = NDArray[np.float64]

# Rows of a distance matrix that stand in memory at once.
BLOCK = 1024


def as_float64(features: Features) -> Array:
    """Features `(n, size)` as a float64 array.

    Raises:
        ValueError: they are not a matrix.
    """
    array = features.detach().cpu().numpy() if isinstance(features, Tensor) else features
    if array.ndim != 2:
        raise ValueError(f"features have {array.ndim} dimensions, not (n, size)")
    return array.astype(np.float64)


# The Fréchet distance -----------------------------------------------------------------------------------------


def moments(features: Features) -> tuple[Array, Array]:
    """Mean `(size,)` and unbiased covariance `(size, size)` of features.

    Raises:
        ValueError: there are fewer than two.
    """
    array = as_float64(features)
    if len(array) < 2:
        raise ValueError(f"a covariance needs two images at least, not {len(array)}")
    return array.mean(axis=0), np.atleast_2d(np.cov(array, rowvar=False))


def frechet_distance(mean_1: Array, covariance_1: Array, mean_2: Array, covariance_2: Array) -> float:
    """The squared Fréchet distance of two Gaussians (Dowson and Landau 1982; Heusel et al. 2017, eq. 6).

    `|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`. The trace of the root is taken from the symmetric
    `S1^(1/2) S2 S1^(1/2)`, which has the same eigenvalues as `S1 S2` and, unlike it, only real ones.

    Args:
        mean_1 (Array): `(size,)`.
        covariance_1 (Array): `(size, size)`, symmetric; it may be singular.
        mean_2 (Array): `(size,)`.
        covariance_2 (Array): `(size, size)`, likewise.

    Returns:
        float: at least 0; rounding may take a distance of nothing below it.
    """
    values, vectors = np.linalg.eigh(covariance_1)
    root = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    eigenvalues = np.linalg.eigvalsh(root @ covariance_2 @ root)
    trace_of_root = np.sqrt(np.clip(eigenvalues, 0.0, None)).sum()
    difference = mean_1 - mean_2
    distance = difference @ difference + np.trace(covariance_1) + np.trace(covariance_2) - 2.0 * trace_of_root
    return max(0.0, float(distance))


def frechet_of(one: Features, two: Features) -> float:
    """The Fréchet distance of two sets of features."""
    return frechet_distance(*moments(one), *moments(two))


def frechet_floor(real: Features, size: int, *, seed: int = 0, splits: int = 4) -> float:
    """What the Fréchet distance says of two sets that differ by chance alone.

    Args:
        real (Features): `(n, size)`.
        size (int): how many images each half has, at most n / 2.
        seed (int): of the splits.
        splits (int): how many random splits are averaged.

    Raises:
        ValueError: a half would have fewer than two images, or more than there are.
    """
    array = as_float64(real)
    if not 2 <= size <= len(array) // 2:
        raise ValueError(f"{len(array)} images have no two halves of {size}")
    distances = []
    for split in range(splits):
        order = _generator(seed, "floor", split).permutation(len(array))
        distances.append(frechet_of(array[order[:size]], array[order[size : 2 * size]]))
    return float(np.mean(distances))


# The kernel distance ------------------------------------------------------------------------------------------


def kernel_distance(
    real: Features, fake: Features, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> float:
    """The squared maximum mean discrepancy under `k(x, y) = (x y / size + 1)^3`, unbiased (Binkowski et al. 2018).

    Few images make it noisy, not larger; it may be negative. It is the mean over random subsets of equal size, or a
    single one where a subset would be all images.
    """
    one, two = as_float64(real), as_float64(fake)
    count = min(len(one), len(two), subset_size)
    if count < 2:
        raise ValueError("a kernel distance needs two images on each side at least")
    if count == len(one) == len(two):
        return _squared_discrepancy(one, two)
    distances = []
    for subset in range(subsets):
        generator = _generator(seed, "kernel", subset)
        chosen = (x[generator.choice(len(x), count, replace=False)] for x in (one, two))
        distances.append(_squared_discrepancy(*chosen))
    return float(np.mean(distances))


def _squared_discrepancy(one: Array, two: Array) -> float:
    count, size = one.shape
    within = sum(kernel.sum() - np.trace(kernel) for kernel in ((x @ x.T / size + 1.0) ** 3 for x in (one, two)))
    across = ((one @ two.T / size + 1.0) ** 3).sum()
    return float(within / (count * (count - 1)) - 2.0 * across / count**2)


# Precision and recall -----------------------------------------------------------------------------------------


def precision_recall(real: Features, fake: Features, k: int = 3) -> tuple[float, float]:
    """How many fakes look real, and how much of what is real the fakes reach (Kynkäänniemi et al. 2019, eq. 1).

    A set is taken to fill the balls around its points that reach to their k-th nearest neighbour. Precision is the
    share of fakes within the real balls, recall the share of reals within the fake balls.

    Raises:
        ValueError: a side has no k neighbours.
    """
    one, two = (torch.from_numpy(as_float64(x)) for x in (real, fake))
    if min(len(one), len(two)) <= k:
        raise ValueError(f"the {k} nearest neighbours of an image need {k + 1} images on each side at least")
    return _share_within(two, one, k), _share_within(one, two, k)


def _share_within(points: Tensor, centres: Tensor, k: int) -> float:
    """The share of points in at least one of the balls around the centres."""
    radii = torch.cat([block.kthvalue(k + 1).values for block in _distances(centres, centres)])  # itself is the first
    return sum(int((block <= radii).any(dim=1).sum()) for block in _distances(points, centres)) / len(points)


def nearest_distances(points: Features, references: Features) -> Array:
    """The distance `(n,)` of each point to the nearest reference."""
    one, two = (torch.from_numpy(as_float64(x)) for x in (points, references))
    nearest: Array = torch.cat([block.min(dim=1).values for block in _distances(one, two)]).numpy()
    return nearest


def _distances(one: Tensor, two: Tensor) -> Iterator[Tensor]:
    """Euclidean distances, `(block, len(two))` at a time."""
    for rows in one.split(BLOCK):  # type: ignore[no-untyped-call]
        yield torch.cdist(rows, two)


def _generator(seed: int, *path: str | int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(derive(seed, *path)))
