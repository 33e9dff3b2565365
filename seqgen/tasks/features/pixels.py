"""Features without a network: the main directions of the pixels of some real images.

For images that no feature network knows. Distances in it are of shape and colour, not of meaning, and compare within
one run only.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from seqgen.tasks.features.model import Extracted, Pixels

LARGEST_SIDE = 16
DIRECTIONS = 64


class PixelFeatures:
    """Principal components (Pearson 1901) of images made small.

    Args:
        pixels (NDArray[np.uint8]): real images `(n, channels, height, width)`.
    """

    identity = "pixels"
    classes: tuple[str, ...] = ()

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        flat = _flattened(pixels)
        self._mean = flat.mean(dim=0)
        _, vectors = torch.linalg.eigh(torch.cov(flat.T))
        self._directions = vectors[:, -DIRECTIONS:]

    def extract(self, pixels: Pixels) -> Extracted:
        """Features `(n, directions)`, and no classes."""
        features = (_flattened(pixels) - self._mean) @ self._directions
        return Extracted(features.float().numpy(), np.empty((len(pixels), 0), np.float32))


def _flattened(pixels: Pixels) -> Tensor:
    images = torch.as_tensor(np.asarray(pixels), dtype=torch.float64) / 127.5 - 1.0
    height, width = (min(side, LARGEST_SIDE) for side in images.shape[2:])
    return functional.adaptive_avg_pool2d(images, (height, width)).flatten(1)
