"""What the samples of a GAN look like beside the real images, in numbers (see `seqgen.gan.health`)."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from seqgen.data.image_order import digests_of, fair_order, first_copies
from seqgen.data.images import ImageSet
from seqgen.errors import ModelError
from seqgen.metrics import bins, images
from seqgen.metrics.frechet import RealHalves, equal_count
from seqgen.seeds import derive
from seqgen.tasks.features.model import DIGITS, Extracted, FeatureModel
from seqgen.tasks.features.pixels import PixelFeatures
from seqgen.tasks.gan.nearest_images import NearestImages

# Two halves are enough for a Fréchet distance of 64 to 128 features; precision and recall compare all pairs.
REFERENCES, NEIGHBOURS = 5000, 1000
# Two images in each half.
FEWEST = 4
BINS = 50
# A classifier knows the classes of a set when it says of so many of its images what their labels say.
KNOWN = 0.9

# Names of features that are no models of their own.
NO_MODEL = ("auto", "digits", "pixels")

Array = NDArray[np.float64]


class Judge:
    """Compares samples with training images, and says whether they are copies of some.

    A part of the images, chosen once, stands for all; their order plays no part in the choice. One half of it is
    compared with as many samples, and with the other half for the floor.

    Args:
        real (ImageSet): the training images, `FEWEST` at least.
        features (str): a feature network, `pixels`, or `auto` for the digits network where it knows the images.
        seed (int): of the choice.
        device (torch.device): where a network reads images.
        references (int): how many of the images at most.
    """

    def __init__(
        self, real: ImageSet, features: str, seed: int, device: torch.device, *, references: int = REFERENCES
    ) -> None:
        digests = digests_of(real.pixels)
        order = fair_order(digests, real.labels, derive(seed, "references"))
        first = first_copies(digests[order])
        self.indices = order[:references]
        self._seed = seed
        pixels = np.asarray(real.pixels[self.indices])
        labels = None if real.labels is None else real.labels[self.indices]
        self.extractor = _extractor_for(features, pixels, labels, real.classes, device)
        self.classes = real.classes
        self._real = self.extractor.extract(pixels)
        self._near = self._real.features[first[:references]][:NEIGHBOURS]
        self._nearest = NearestImages(real.pixels, order[first], lambda some: self.extractor.extract(some).features)

    @property
    def count(self) -> int:
        """How many samples are compared with as many real images, and for the floor these with as many others."""
        return equal_count(len(self.indices), len(self.indices))

    @cached_property
    def _halves(self) -> RealHalves:
        return RealHalves(self._real.features, self.count, seed=self._seed)

    @cached_property
    def _centres(self) -> Array:
        return bins.fit_bins(self._real.features, max(1, min(BINS, len(self._real) // 10)), seed=self._seed)

    def judge(self, pixels: NDArray[np.uint8], labels: NDArray[np.int64] | None) -> dict[str, float]:
        """The measures of samples.

        Args:
            pixels (NDArray[np.uint8]): `(n, channels, height, width)`, `count` at least.
            labels (NDArray[np.int64] | None): what was asked for, `(n,)`.

        Returns:
            dict[str, float]: `frechet`, `floor`, `precision`, `recall`, `different_bins`, `spread`, `closeness`,
            `missing` (0 without a classifier), and `as_asked` where there are labels and a classifier that knows them.
        """
        fakes = self.extractor.extract(pixels)
        near = fakes.features[:NEIGHBOURS]
        enough = min(len(near), len(self._near)) > 3
        precision, recall = images.precision_recall(self._near, near) if enough else (0.0, 0.0)
        real, fake = (
            np.bincount(bins.nearest_bin(x, self._centres), minlength=len(self._centres))
            for x in (self._real.features, fakes.features)
        )
        measures = {
            "frechet": self._halves.distance(fakes.features),
            "floor": self._halves.floor,
            "precision": precision,
            "recall": recall,
            "different_bins": bins.different_bins(real, fake).different / len(self._centres),
            "spread": spread(near) / max(spread(self._near), 1e-12),
            "closeness": self._nearest.closeness(pixels),
            "missing": 0.0,
        }
        return measures | self._classes(fakes, labels)

    def _classes(self, fakes: Extracted, labels: NDArray[np.int64] | None) -> dict[str, float]:
        if not fakes.probs.shape[1]:
            return {}
        counts = [bins.class_counts(s.probs) for s in (self._real, fakes)]
        present = max(1, int((counts[0] > 0).sum()))
        found: dict[str, float] = {"missing": len(bins.missing_classes(*counts)) / present}
        if labels is not None and self.extractor.classes == self.classes:
            found["as_asked"] = float((fakes.probs.argmax(axis=1) == labels).mean())
        return found


def spread(features: NDArray[np.float32]) -> float:
    """The mean distance of pairs: each with its successor, the last with the first."""
    return float(np.linalg.norm(features - np.roll(features, 1, axis=0), axis=1).mean())


def _extractor_for(
    name: str,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    classes: tuple[str, ...],
    device: torch.device,
) -> FeatureModel | PixelFeatures:
    """The features to compare in."""
    if name == "pixels":
        return PixelFeatures(pixels)
    if name != "auto":
        return FeatureModel.load(name, device)
    try:
        network = FeatureModel.load(DIGITS, device)
    except ModelError:  # nothing is shipped with this copy
        return PixelFeatures(pixels)
    if labels is None or network.classes != classes:
        return PixelFeatures(pixels)
    right = network.extract(pixels[:NEIGHBOURS]).probs.argmax(axis=1) == labels[:NEIGHBOURS]
    return network if right.mean() >= KNOWN else PixelFeatures(pixels)
