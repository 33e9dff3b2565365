"""Two sets of images compared by the features that a network extracts: the measures of `seqgen.metrics` put together.

Reading them: the Fréchet distance says how far n fakes are from n real images, and its floor how far n other real
images are (`seqgen.metrics.frechet`). Extrapolated to infinitely many images it has no bias, and neither has the kernel
distance. Precision is about quality, recall about variety; bins that differ and classes that are missing say what was
lost.

Each side is read in an order that does not depend on the one it came in (`seqgen.data.image_order`), so that the
first n images stand for all of them, and a set sorted by class has the figures of a shuffled one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqgen.data.image_order import digests_of, fair_order, first_copies
from seqgen.errors import DataError
from seqgen.metrics.bins import class_counts, compare_bins, missing_classes
from seqgen.metrics.frechet import (
    RealHalves,
    equal_count,
    extrapolated_frechet,
    frechet_distance,
    frechet_of,
    moments,
)
from seqgen.metrics.image_statistics import ImageStatistics
from seqgen.metrics.images import kernel_distance, precision_recall
from seqgen.tasks.features.model import Extracted, FeatureModel, Pixels

# Neighbours take the square of the number of images.
MAX_NEIGHBOURS = 10_000
NEIGHBOURS = 3
# Of the order in which a set is read. The same for both sides, so that a set is at no distance from itself.
SEED = 0

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """One of the two sets, by what a feature network extracts.

    Args:
        statistics (ImageStatistics): its moments.
        extracted (Extracted | None): its images in fair order, None where only the moments are known.
        labels (Indices | None): the class of each image, as the network counts classes, where it is known.
        first (NDArray[np.bool_] | None): which images are no copies of an earlier one; None stands for all.
    """

    statistics: ImageStatistics
    extracted: Extracted | None = None
    labels: Indices | None = None
    first: NDArray[np.bool_] | None = None

    def distinct(self, some: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """The features of its images, or of some of them, without copies: neighbours are other images."""
        assert self.extracted is not None
        chosen = np.ones(len(self.extracted), np.bool_) if self.first is None else self.first
        return self.extracted.features[chosen if some is None else chosen & some]


@dataclass(frozen=True)
class FrechetScore:
    """A Fréchet distance and all that it depends on.

    Args:
        frechet (float): the distance.
        floor (float | None): that of as many other real images, where there are images on both sides and not only
            statistics.
        floor_images (int): how many real images were on each side of the floor.
        frechet_extrapolated (float | None): to infinitely many images, where there are enough.
        features (str): the feature network and the hash of its weights.
        feature_size (int): how many features an image has.
        real_images (int): how many real images the distance is of; 0 when a statistics file does not say.
        fake_images (int): how many fakes, likewise.
    """

    frechet: float
    floor: float | None
    floor_images: int
    frechet_extrapolated: float | None
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
        frechet (float | None): between them and as many real images with this label.
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


def extracted_side(
    model: FeatureModel,
    pixels: Pixels,
    labels: Indices | None = None,
    classes: Sequence[str] = (),
    advance: Callable[[int], None] = lambda images: None,
) -> Side:
    """A set of images by what a feature network extracts.

    Args:
        model (FeatureModel): the network.
        pixels (Pixels): bytes `(n, channels, height, width)`, two images at least.
        labels (Indices | None): the class of each image.
        classes (Sequence[str]): the names that the labels stand for.
        advance (Callable[[int], None]): told how many more images were read.
    """
    digests = digests_of(np.asarray(pixels))
    order = fair_order(digests, labels, SEED)
    extracted = model.extract(pixels, advance, order)
    statistics = ImageStatistics(*moments(extracted.features), model.identity, len(extracted))
    own = match_classes(classes, model.network.classes, None if labels is None else labels[order])
    return Side(statistics, extracted, own, first_copies(digests[order]))


def compare(model: FeatureModel, real: Side, fake: Side, seed: int = 0) -> Comparison:
    """Every measure that two sets allow.

    Args:
        model (FeatureModel): what extracted the features of both.
        real (Side): the real images.
        fake (Side): the others.
        seed (int): of random subsets, splits and bins.
    """
    frechet = score_frechet(model, real, fake, seed)
    if real.extracted is None or fake.extracted is None:
        return Comparison(frechet, None, ())
    if min(len(real.distinct()), len(fake.extracted)) <= NEIGHBOURS:
        return Comparison(frechet, None, ())
    return Comparison(frechet, score_images(real, fake, seed), score_classes(model.network.classes, real, fake))


def score_frechet(model: FeatureModel, real: Side, fake: Side, seed: int = 0) -> FrechetScore:
    """The Fréchet distance at equal counts, with its floor; of a side of which only the moments are known, as it is.

    Raises:
        DataError: there are too few images for a distance and its floor.
    """
    network = model.identity, model.network.feature_size
    if real.extracted is None or fake.extracted is None:
        sides = [_moments_like(side, other) for side, other in ((real, fake), (fake, real))]
        distance = frechet_distance(*(moment for side in sides for moment in (side.mean, side.covariance)))
        return FrechetScore(distance, None, 0, None, *network, *(side.images for side in sides))
    count = equal_count(len(real.extracted), len(fake.extracted))
    if count < 2:
        raise DataError(
            f"{len(real.extracted)} real images and {len(fake.extracted)} others are too few to compare",
            hint="a Fréchet distance and its floor need four real images and two others",
        )
    one, two = real.extracted.features, fake.extracted.features
    halves = RealHalves(one, count, seed=seed)
    extrapolated = extrapolated_frechet(one, two, seed=seed)
    return FrechetScore(halves.distance(two), halves.floor, count, extrapolated, *network, count, count)


def _moments_like(side: Side, other: Side) -> ImageStatistics:
    """The moments of a side, of no more images than those of the other side are of."""
    if side.extracted is None or not 2 <= other.statistics.images < len(side.extracted):
        return side.statistics
    count = other.statistics.images
    return ImageStatistics(*moments(side.extracted.features[:count]), side.statistics.features, count)


def score_images(real: Side, fake: Side, seed: int = 0) -> ImageScores:
    """Everything else that two sets of images tell.

    Args:
        real (Side): four different images at least.
        fake (Side): four images at least.
        seed (int): of subsets and bins.
    """
    assert real.extracted is not None
    assert fake.extracted is not None
    one, two = real.distinct(), fake.extracted.features
    count = min(len(one), len(two), MAX_NEIGHBOURS)
    precision, recall = precision_recall(one[:count], two[:count], NEIGHBOURS)
    bins = compare_bins(real.extracted.features, two, seed=seed)
    return ImageScores(
        kernel_distance(real.extracted.features, two, seed=seed),
        precision,
        recall,
        count,
        bins.different,
        bins.bins,
        bins.divergence,
    )


def score_classes(names: Sequence[str], real: Side, fake: Side) -> tuple[ClassScores, ...]:
    """What each class has come to, by the names of the classes that a network tells apart; nothing without any."""
    assert real.extracted is not None
    assert fake.extracted is not None
    if not names:
        return ()
    counts = [class_counts(each.probs) for each in (real.extracted, fake.extracted)]
    missing = missing_classes(counts[0], counts[1])
    return tuple(
        ClassScores(name, int(counts[0][i]), int(counts[1][i]), i in missing, *_asked_for(real, fake, i))
        for i, name in enumerate(names)
    )


def _asked_for(real: Side, fake: Side, index: int) -> tuple[int, float | None, float | None, float | None]:
    """The fakes with one label: how many, the share that are taken for it, Fréchet distance and recall."""
    assert fake.extracted is not None
    if fake.labels is None or not (asked := fake.labels == index).any():
        return 0, None, None, None
    right = float((fake.extracted.probs[asked].argmax(axis=1) == index).mean())
    if real.labels is None or real.extracted is None:
        return int(asked.sum()), right, None, None
    one, two = real.extracted.features[real.labels == index], fake.extracted.features[asked]
    near = real.distinct(real.labels == index)
    count, neighbours = min(len(one), len(two)), min(len(near), len(two))
    if neighbours <= NEIGHBOURS:
        return int(asked.sum()), right, None, None
    recall = precision_recall(near[:neighbours], two[:neighbours], NEIGHBOURS)[1]
    return int(asked.sum()), right, frechet_of(one[:count], two[:count]), recall


def match_classes(classes: Sequence[str], known: Sequence[str], labels: Indices | None) -> Indices | None:
    """Labels counted as another list of classes counts them; None without labels or where a name is unknown there."""
    if labels is None or not set(classes) <= set(known):
        return None
    return np.array([known.index(name) for name in classes], dtype=np.int64)[labels]
