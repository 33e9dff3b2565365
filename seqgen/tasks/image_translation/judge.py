"""How good images are that were made of held-out inputs, beside their targets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from seqgen.metrics import image_pairs
from seqgen.metrics.frechet import SPLITS, RealHalves, equal_count
from seqgen.tasks.features.model import Extracted, FeatureModel
from seqgen.tasks.features.pixels import PixelFeatures
from seqgen.tasks.features.pretrained import open_features
from seqgen.tasks.features.texture import TextureFeatures

Pixels = NDArray[np.uint8]
Extractor = FeatureModel | PixelFeatures | TextureFeatures
# A Fréchet distance needs two halves of two images each.
FEWEST = 4


def extractor_for(name: str, targets: Pixels, device: torch.device) -> Extractor:
    """The features that images are compared in: `texture`, `pixels`, or a network."""
    if name in ("auto", "texture"):
        return TextureFeatures()
    return PixelFeatures(targets) if name == "pixels" else open_features(name, None, device)


@dataclass(frozen=True)
class Quality:
    """What images are worth beside their targets; means over images.

    Args:
        l1 (float): mean distance, as a share of the range of a pixel.
        psnr (float): peak signal-to-noise ratio in decibels.
        ssim (float): structural similarity.
        frechet (float | None): distance of half of the outputs from the targets of the other half; None with too few.
        floor (float | None): the same of targets.
    """

    l1: float
    psnr: float
    ssim: float
    frechet: float | None
    floor: float | None

    def known(self) -> dict[str, float]:
        """Its figures by name, without those that there are too few images for."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


class PairJudge:
    """Compares images with their targets.

    Args:
        targets (Pixels): `(n, channels, height, width)`.
        extractor (Extractor): the features of the Fréchet distance.
        seed (int): of its partings.
    """

    def __init__(self, targets: Pixels, extractor: Extractor, seed: int) -> None:
        self.targets, self.extractor = targets, extractor
        self._halves: RealHalves | None = None
        if len(targets) >= FEWEST:
            real = extractor.extract(targets).features
            self._halves = RealHalves(real, equal_count(len(targets), len(targets)), seed=seed, splits=SPLITS)

    def judge(self, made: Pixels) -> Quality:
        """The figures of images that were made, `(n, channels, height, width)`, in the order of the targets."""
        found: Extracted | None = None if self._halves is None else self.extractor.extract(made)
        # An image that equals its target has no noise at all: it counts as the finest difference that there is.
        finest = 10.0 * np.log10(255.0**2 * made[0].size)
        return Quality(
            l1=float(image_pairs.mean_distance(made, self.targets).mean()),
            psnr=float(np.minimum(image_pairs.signal_to_noise(made, self.targets), finest).mean()),
            ssim=float(image_pairs.structural_similarity(made, self.targets).mean()),
            frechet=None if self._halves is None or found is None else self._halves.across(found.features),
            floor=None if self._halves is None else self._halves.floor,
        )


def apart(pixels: Pixels) -> float:
    """The mean distance of two images, each and its successor, as a share of the range of a pixel."""
    return float(image_pairs.mean_distance(pixels, np.roll(pixels, 1, axis=0)).mean())
