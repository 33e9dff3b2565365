"""Two sets of images compared through the eyes of a feature network: the measures of `seqgen.metrics` put together.

Reading them: the Fréchet distance says how far the fakes are from the real images, and its floor what is left of it
between two real halves. The kernel distance says the same without the bias that few images bring. Precision is about
quality, recall about variety; bins that differ and classes that are missing say what was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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
from seqgen.tasks.features import FeatureModel, Pixels, Seen

# Neighbours take the square of the number of images.
MAX_NEIGHBOURS = 10_000
NEIGHBOURS = 3

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """One of the two sets, as a feature network sees it.

    Args:
        statistics (ImageStatistics): its moments.
        seen (Seen | None): its images, None where only the moments are known.
        labels (Indices | None): the class of each image, as the network counts classes, where it is known.
    """

    statistics: ImageStatistics
    seen: Seen | None = None
    labels: Indices | None = None


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
        asked (int): fakes that have this label.
        right (float | None): the share of these that are taken for it.
        frechet (float | None): between them and the real images with this label.
        recall (float | None): likewise.
    """

    name: str
    real: int
    fake: int
    missing: bool
    asked: int = 0
    right: float | None = None
    frechet: float | None = None
    recall: float | None = None


@dataclass(frozen=True)
class Comparison:
    """All that can be said of two sets; less where only the moments of one are known, or no classes are told apart."""

    frechet: FrechetScore
    images: ImageScores | None
    classes: tuple[ClassScores, ...]

    @property
    def right(self) -> float | None:
        """The share of fakes that are taken for what they were to be, where that is known."""
        known = [score for score in self.classes if score.right is not None]
        asked = sum(score.asked for score in known)
        return sum(score.right * score.asked for score in known if score.right is not None) / asked if asked else None

    def to_json(self) -> dict[str, Any]:
        """One flat object, the classes as a list of their own."""
        whole = vars(self.frechet) | (vars(self.images) if self.images else {})
        if self.right is not None:
            whole = whole | {"right": self.right}
        return whole | {"classes": [vars(score) for score in self.classes]}


def look(
    model: FeatureModel,
    pixels: Pixels,
    labels: Indices | None = None,
    classes: Sequence[str] = (),
    advance: Callable[[int], None] = lambda images: None,
) -> Side:
    """A set of images as a feature network sees it.

    Args:
        model (FeatureModel): the network.
        pixels (Pixels): bytes `(n, channels, height, width)`, two images at least.
        labels (Indices | None): the class of each image.
        classes (Sequence[str]): the names that the labels stand for.
        advance (Callable[[int], None]): told how many more images were looked at.
    """
    seen = model.look(pixels, advance)
    statistics = ImageStatistics(*moments(seen.features), model.identity, len(seen))
    return Side(statistics, seen, match_classes(classes, model.network.classes, labels))


def compare(model: FeatureModel, real: Side, fake: Side, seed: int = 0) -> Comparison:
    """Every measure that two sets allow.

    Args:
        model (FeatureModel): what looked at both.
        real (Side): the real images.
        fake (Side): the others.
        seed (int): of random subsets, splits and bins.
    """
    frechet = score_frechet(model, real, fake)
    if real.seen is None or fake.seen is None or min(len(real.seen), len(fake.seen)) <= NEIGHBOURS:
        return Comparison(frechet, None, ())
    images = score_images(real.seen, fake.seen, seed)
    return Comparison(frechet, images, score_classes(model.network.classes, real, fake))


def score_frechet(model: FeatureModel, real: Side, fake: Side) -> FrechetScore:
    """The Fréchet distance and its floor."""
    one, two = real.statistics, fake.statistics
    half, floor = 0, None
    if real.seen is not None:
        half = min(len(real.seen) // 2, two.images or len(real.seen))
        floor = frechet_floor(real.seen.features, half) if half >= 2 else None
    return FrechetScore(
        frechet_distance(one.mean, one.covariance, two.mean, two.covariance),
        floor,
        half if floor is not None else 0,
        model.identity,
        model.network.feature_size,
        one.images,
        two.images,
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


def score_classes(names: Sequence[str], real: Side, fake: Side) -> tuple[ClassScores, ...]:
    """What each class has come to, by the names of the classes that a network tells apart; nothing without any."""
    assert real.seen is not None
    assert fake.seen is not None
    if not names:
        return ()
    counts = [class_counts(seen.probs) for seen in (real.seen, fake.seen)]
    missing = missing_classes(counts[0], counts[1])
    return tuple(
        ClassScores(name, int(counts[0][i]), int(counts[1][i]), i in missing, *_asked_for(real, fake, i))
        for i, name in enumerate(names)
    )


def _asked_for(real: Side, fake: Side, index: int) -> tuple[int, float | None, float | None, float | None]:
    """The fakes with one label: how many, the share that are taken for it, Fréchet distance and recall."""
    assert fake.seen is not None
    if fake.labels is None or not (asked := fake.labels == index).any():
        return 0, None, None, None
    right = float((fake.seen.probs[asked].argmax(axis=1) == index).mean())
    if real.labels is None or real.seen is None:
        return int(asked.sum()), right, None, None
    one, two = real.seen.features[real.labels == index], fake.seen.features[asked]
    count = min(len(one), len(two))
    if count <= NEIGHBOURS:
        return int(asked.sum()), right, None, None
    return int(asked.sum()), right, frechet_of(one, two), precision_recall(one[:count], two[:count], NEIGHBOURS)[1]


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
