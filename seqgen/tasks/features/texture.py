"""Features without a network that see blur: how strong each pattern of 8x8 pixels is in an image.

The main directions of small images (`seqgen.tasks.features.pixels`) do not tell a sharp image from a blurred one. The
cosine transform does: its 64 patterns go from flat to as fine as pixels are, and what blur lacks, and what the squares
of a bad upsampling have too much of, are its finer ones. Neither colour nor meaning counts here.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from seqgen.nets.images.features import with_channels
from seqgen.tasks.features.model import Extracted, Pixels

SIDE, STRIDE = 8, 4
BLOCK = 256
# Grey values: a pattern weaker than that is rounding.
LEAST = 1.0


class TextureFeatures:
    """Logarithms of the root mean square of each coefficient of the cosine transform (Ahmed et al. 1974), `(n, 64)`."""

    identity = "texture"
    classes: tuple[str, ...] = ()

    def __init__(self) -> None:
        places = torch.arange(SIDE, dtype=torch.float64)
        waves = torch.cos(math.pi / SIDE * (places + 0.5) * places[:, None]) * math.sqrt(2 / SIDE)
        waves[0] /= math.sqrt(2)
        self._patterns = torch.einsum("ay,bx->abyx", waves, waves).reshape(SIDE * SIDE, 1, SIDE, SIDE).float()

    def extract(self, pixels: Pixels) -> Extracted:
        """Features `(n, 64)` of bytes `(n, channels, height, width)`, and no classes."""
        found = [self._strengths(torch.as_tensor(pixels[i : i + BLOCK])) for i in range(0, len(pixels), BLOCK)]
        features = torch.cat(found).numpy()
        return Extracted(features, np.empty((len(features), 0), np.float32))

    def _strengths(self, pixels: Tensor) -> Tensor:
        grey = with_channels(pixels, 1).float()
        missing = [max(0, SIDE - side) for side in grey.shape[2:]]
        grey = functional.pad(grey, (0, missing[1], 0, missing[0]), mode="replicate")
        found = functional.conv2d(grey, self._patterns, stride=STRIDE)
        return (found.square().mean(dim=(2, 3)).sqrt() + LEAST).log()
