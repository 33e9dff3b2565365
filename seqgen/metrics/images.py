"""How far one set of images is from another, by the features that a network extracts from them.

Every function takes features `(n, size)`, one row for an image, and none of them knows a network: a figure means
something only together with the network that made the features (`seqgen.tasks.features.model`) and the number of
images on each side. The Fréchet distance is in `seqgen.metrics.frechet`; which kinds of image are missing or too many
is counted in `seqgen.metrics.bins`.
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


def generator_of(seed: int, *path: str | int) -> np.random.Generator:
    """Random numbers of one purpose."""
    return np.random.Generator(np.random.PCG64(derive(seed, *path)))


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
        generator = generator_of(seed, "kernel", subset)
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
