"""Two sets of images compared through the eyes of a feature network: the measures of `seqgen.metrics` put together.

Reading them: the Fréchet distance says how far the fakes are from the real images, and its floor what is left of it
between two real halves. The kernel distance says the same without the bias that few images bring. Precision is about
quality, recall about variety; bins that differ and classes that are missing say what was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqgen.metrics.bins import class_counts, compare_bins, missing_classes
from seqgen.metrics.image_statistics import ImageStatistics
from seqgen.metrics.images import (
    frechet_distance,
    frechet_floor,
    frechet_of,
    kernel_distance,
    moments,
    precision_recall,
)
from seqgen.seeds import derive
from seqgen.tasks.features import FeatureModel, Seen

# Neighbours take the square of the number of images.
MAX_NEIGHBOURS = 10_000
NEIGHBOURS = 3

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class FrechetScore:
    """A Fréchet distance and all that it depends on.

    Args:
        frechet (float): the distance.
        floor (float | None): that of two real halves, where there are real images and not only their statistics.
        floor_images (int): how many images each of these halves had.
        features (str): the feature network and the hash of its weights.
        feature_size (int): how many features an image has.
        real_images (int): how many real images; 0 when a statistics file does not say.
        fake_images (int): how many fakes.
    """

    frechet: float
    floor: float | None
    floor_images: int
    features: str
    feature_size: int
    real_images: int
    fake_images: int


@dataclass(frozen=True)
class ImageScores:
    """The measures that need the images themselves.

    Args:
        kernel (float): the kernel distance (KID).
        precision (float): the share of fakes that look real.
        recall (float): the share of real images that the fakes reach.
        neighbour_images (int): how many images of each side precision and recall were measured with.
        different_bins (int): NDB, the number of bins whose shares differ by more than chance.
        bins (int): how many bins there are.
        bin_divergence (float): the Jensen-Shannon divergence of the shares, in nats.
    """

    kernel: float
    precision: float
    recall: float
    neighbour_images: int
    different_bins: int
    bins: int
    bin_divergence: float


@dataclass(frozen=True)
class ClassScores:
    """One class, by the vote of the feature network and, where both sides have labels, by these.

    Args:
        name (str): of the class.
        real (int): real images that are taken for it.
        fake (int): fakes that are taken for it.
        missing (bool): the fakes have less than a fifth of its real share.
        right (float | None): the share of fakes with this label that are taken for it.
        frechet (float | None): between the real images and the fakes with this label.
        recall (float | None): likewise.
    """

    name: str
    real: int
    fake: int
    missing: bool
    right: float | None = None
    frechet: float | None = None
    recall: float | None = None


def statistics_of(model: FeatureModel, seen: Seen) -> ImageStatistics:
    """The moments of what was seen, ready to be kept in a file."""
    return ImageStatistics(*moments(seen.features), model.identity, len(seen))


def score_frechet(model: FeatureModel, real: Seen | ImageStatistics, fake: Seen | ImageStatistics) -> FrechetScore:
    """The Fréchet distance, from images or from statistics on either side."""
    sides = [x if isinstance(x, ImageStatistics) else statistics_of(model, x) for x in (real, fake)]
    floor, half = None, 0
    if isinstance(real, Seen):
        half = min(len(real) // 2, sides[1].images or len(real))
        floor = frechet_floor(real.features, half) if half >= 2 else None
    return FrechetScore(
        frechet_distance(sides[0].mean, sides[0].covariance, sides[1].mean, sides[1].covariance),
        floor,
        half if floor is not None else 0,
        model.identity,
        model.network.feature_size,
        sides[0].images,
        sides[1].images,
    )


def score_images(real: Seen, fake: Seen, seed: int = 0) -> ImageScores:
    """Everything else that two sets of images tell.

    Args:
        real (Seen): four images at least.
        fake (Seen): likewise.
        seed (int): of subsets and bins.
    """
    count = min(len(real), len(fake), MAX_NEIGHBOURS)
    some = [_drawn(x, count, derive(seed, "neighbours", i)) for i, x in enumerate((real.features, fake.features))]
    precision, recall = precision_recall(some[0], some[1], NEIGHBOURS)
    bins = compare_bins(real.features, fake.features, seed=seed)
    return ImageScores(
        kernel_distance(real.features, fake.features, seed=seed),
        precision,
        recall,
        count,
        bins.different,
        bins.bins,
        bins.divergence,
    )


def score_classes(
    model: FeatureModel, real: Seen, fake: Seen, real_labels: Indices | None, fake_labels: Indices | None
) -> list[ClassScores]:
    """What each class has come to; nothing when the network tells no classes apart.

    Args:
        model (FeatureModel): whose classes they are.
        real (Seen): the real images.
        fake (Seen): the fakes.
        real_labels (Indices | None): the class of each real image, as the network counts them.
        fake_labels (Indices | None): the class that each fake was to be of.
    """
    names = model.network.classes
    if not names:
        return []
    real_counts, fake_counts = class_counts(real.probs), class_counts(fake.probs)
    missing = missing_classes(real_counts, fake_counts)
    scores = []
    for i, name in enumerate(names):
        right = frechet = recall = None
        if fake_labels is not None and (asked := fake_labels == i).any():
            right = float((fake.probs[asked].argmax(axis=1) == i).mean())
            if real_labels is not None:
                frechet, recall = _within_class(real.features[real_labels == i], fake.features[asked])
        scores.append(ClassScores(name, int(real_counts[i]), int(fake_counts[i]), i in missing, right, frechet, recall))
    return scores


def _within_class(real: NDArray[np.float32], fake: NDArray[np.float32]) -> tuple[float, float] | tuple[None, None]:
    """Fréchet distance and recall in one class, where there are images enough."""
    if min(len(real), len(fake)) <= NEIGHBOURS:
        return None, None
    count = min(len(real), len(fake))
    return frechet_of(real, fake), precision_recall(real[:count], fake[:count], NEIGHBOURS)[1]


def match_classes(classes: Sequence[str], known: Sequence[str], labels: Indices | None) -> Indices | None:
    """Labels counted as another list of classes counts them; None without labels or where a name is unknown there."""
    if labels is None or not set(classes) <= set(known):
        return None
    return np.array([known.index(name) for name in classes], dtype=np.int64)[labels]


def _drawn(features: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    """So many rows, in order where they are all."""
    if count == len(features):
        return features
    return features[np.random.Generator(np.random.PCG64(seed)).choice(len(features), count, replace=False)]
