"""Whether label maps say the same: images in which each class of things has a colour of its own.

A photo made of a label map is as good as the labels that somebody else finds in it (the FCN score of Isola et al. 2017,
section 4.1). The measures are those of Long et al. 2015, section 5, by `n_ij`, the pixels of class i found as class j:
pixel accuracy `sum_i n_ii / sum_ij n_ij`, mean accuracy of classes, and mean intersection over union
`n_ii / (sum_j n_ij + sum_j n_ji - n_ii)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# A class has this share of all pixels at least. What lies nearer to a commoner colour than APART is that one, blurred.
LEAST_SHARE, APART = 0.005, 48.0
MOST_CLASSES = 64
# Bits of a channel by which colours are counted: a JPEG's noise is smaller.
BITS = 3


@dataclass(frozen=True)
class LabelAgreement:
    """How much of a label map was found, as shares: of pixels, of each class, and of what either side calls a class."""

    right: float
    right_by_class: float
    overlap: float


def palette(maps: Pixels) -> NDArray[np.float64]:
    """The colours of label maps `(n, channels, height, width)`, the commonest first: `(classes, channels)`."""
    colours = np.moveaxis(maps, 1, -1).reshape(-1, maps.shape[1])
    coarse = (colours >> (8 - BITS)).astype(np.int64) @ (1 << BITS * np.arange(maps.shape[1]))
    bins, members, counts = np.unique(coarse, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(members, channel, len(bins)) for channel in colours.T], axis=1)
    kept: list[NDArray[np.float64]] = []
    for i in np.argsort(-counts, kind="stable"):
        mean = sums[i] / counts[i]
        if counts[i] < LEAST_SHARE * len(colours):
            break
        if all(np.linalg.norm(mean - other) >= APART for other in kept):
            kept.append(mean)
    return np.stack(kept) if kept else np.empty((0, maps.shape[1]))


def labels_of(maps: Pixels, colours: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of the nearest colour at each pixel `(n, height, width)`."""
    nearest = np.zeros((len(maps), *maps.shape[2:]), np.int64)
    least = np.full(nearest.shape, np.inf)
    for label, colour in enumerate(colours):
        squares = np.square(maps - colour[:, None, None]).sum(axis=1)
        nearest[squares < least] = label
        least = np.minimum(least, squares)
    return nearest


def label_agreement(true: NDArray[np.int64], found: NDArray[np.int64], classes: int) -> LabelAgreement:
    """How far the labels that were found are the true ones; a class that neither side has does not count."""
    counts = np.bincount((true * classes + found).ravel(), minlength=classes * classes).reshape(classes, classes)
    both, of_true, of_found = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    either, there = of_true + of_found - both, of_true > 0
    return LabelAgreement(
        right=float(both.sum() / counts.sum()),
        right_by_class=float((both[there] / of_true[there]).mean()),
        overlap=float((both[either > 0] / either[either > 0]).mean()),
    )
