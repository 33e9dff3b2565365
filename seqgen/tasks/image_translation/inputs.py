"""What a network is given of an image: the image itself, half of it, or what is derived from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqgen.config import Fit, Pix2PixNetworks
from seqgen.data.conditions import derived
from seqgen.data.image_fit import fitted
from seqgen.data.image_pixels import Form
from seqgen.errors import DataError, UsageError
from seqgen.tasks.image_translation.model import TranslatorModel, Way

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Inputs:
    """Makes inputs for a model.

    Args:
        model (TranslatorModel): whose.
        way (Way): which of its directions.
        size (tuple[int, int] | None): height and width that each image is brought to first; None leaves it as it is.
        fit (Fit): what becomes of other proportions then.
        derive (bool): images are of the kind that the model makes: derive inputs from them as in its training.
        pair (bool): images are pairs side by side, as in its training.

    Raises:
        UsageError: the model's inputs were not derived, or were not halves.
    """

    model: TranslatorModel
    way: Way
    size: tuple[int, int] | None = None
    fit: Fit = "crop"
    derive: bool = False
    pair: bool = False

    def __post_init__(self) -> None:
        condition = self.model.condition
        if self.derive and condition == "none":
            raise UsageError(
                "--derive: this model learned from given pairs, so there is nothing to derive an input by",
                hint="leave --derive out: an image is its input as it is",
            )
        if self.pair and not isinstance(self.model.config, Pix2PixNetworks):
            raise UsageError("--pair: this model learned from images that are not paired")
        if self.pair and condition != "none":
            raise UsageError(f"--pair: this model learned from the {condition} of images, not from pairs of files")

    def of(self, pixels: Pixels) -> tuple[Pixels, Pixels | None]:
        """The input of an image, and the target where that is known, `(channels, height, width)` each.

        Args:
            pixels (Pixels): `(height, width, channels)`, 1 to 4 channels.

        Raises:
            DataError: it is no pair side by side.
        """
        sources, targets = self.way.source_channels, self.way.images.channels
        if self.derive:
            target = self._fitted(pixels, targets)
            return derived(target[None], self.model.condition)[0], target
        if not self.pair:
            return self._fitted(pixels, sources), None
        height, width = pixels.shape[:2]
        if width % 2:
            raise DataError(f"an image of {width}x{height} pixels is no pair side by side: its width is odd")
        halves = pixels[:, : width // 2], pixels[:, width // 2 :]
        source, target = halves if "a2b" in self.model.ways else halves[::-1]
        return self._fitted(source, sources), self._fitted(target, targets)

    def _fitted(self, pixels: Pixels, channels: int) -> Pixels:
        height, width = self.size or pixels.shape[:2]
        return np.ascontiguousarray(fitted(pixels, Form(height, width, channels), self.fit).transpose(2, 0, 1))
