"""How near images are to those that they should be, one by one: distance, signal to noise, structure.

Each function takes bytes `(n, channels, height, width)` on both sides and gives one figure for each image; a mean over
images is the caller's. None of them sees whether an image looks real: blur, which lies between all that might be, is
near to every target (Isola et al. 2017, section 3.2). A Fréchet distance sees that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]

LARGEST = 255.0
# The window of structural similarity, and what keeps its quotients from nothing: Wang et al. 2004, section III-C.
WINDOW, DEVIATION, K1, K2 = 11, 1.5, 0.01, 0.03
# Images that are compared together.
BLOCK = 64


def mean_distance(one: Pixels, other: Pixels) -> Array:
    """The mean absolute difference of each image `(n,)`, as a share of the range of a pixel: L1."""
    means: Array = _by_image(np.abs(one.astype(np.int16) - other)) / LARGEST
    return means


def signal_to_noise(one: Pixels, other: Pixels) -> Array:
    """The peak signal-to-noise ratio of each image `(n,)` in decibels, `10 log10(255^2 / MSE)`; infinite for equals."""
    squares = _by_image(np.square(one.astype(np.int32) - other))
    with np.errstate(divide="ignore"):
        ratios: Array = 10.0 * np.log10(LARGEST**2 / squares)
    return ratios


def _by_image(values: NDArray[Any]) -> Array:
    means: Array = values.reshape(len(values), -1).mean(axis=1, dtype=np.float64)
    return means


def correlation(one: Pixels, other: Pixels) -> Array:
    """Pearson's correlation of the grey values of each image `(n,)`; 0 where one of the two is of one grey only."""
    a, b = (_by_channel(x).reshape(len(x), -1) for x in (one, other))
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    sizes = np.sqrt(np.square(a).sum(axis=1) * np.square(b).sum(axis=1))
    found: Array = (a * b).sum(axis=1) / np.where(sizes > 0, sizes, 1.0)
    return found


def _by_channel(pixels: Pixels) -> Array:
    """Grey `(n, height, width)` as the mean over channels."""
    grey: Array = pixels.mean(axis=1, dtype=np.float64)
    return grey


def structural_similarity(one: Pixels, other: Pixels) -> Array:
    """The structural similarity of each image `(n,)`, 1 for equals (Wang et al. 2004, eq. 13).

    `SSIM = (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2))`, with means, variances and the
    covariance under a Gaussian window of 11x11 pixels wherever it fits, C1 = (0.01 L)^2 and C2 = (0.03 L)^2 for pixels
    up to L = 255; the mean over all places and channels. Images smaller than the window have a smaller one.
    """
    blocks = (slice(i, i + BLOCK) for i in range(0, len(one), BLOCK))
    return np.concatenate([_similarity(*(torch.from_numpy(x[rows]).double() for x in (one, other))) for rows in blocks])


def _similarity(one: Tensor, other: Tensor) -> Array:
    means = _windowed(one), _windowed(other)
    variances = [_windowed(x.square()) - mean.square() for x, mean in zip((one, other), means, strict=True)]
    covariance = _windowed(one * other) - means[0] * means[1]
    c1, c2 = (K1 * LARGEST) ** 2, (K2 * LARGEST) ** 2
    above = (2 * means[0] * means[1] + c1) * (2 * covariance + c2)
    below = (means[0].square() + means[1].square() + c1) * (variances[0] + variances[1] + c2)
    found: Array = (above / below).flatten(1).mean(dim=1).numpy()
    return found


def _windowed(images: Tensor) -> Tensor:
    """The weighted mean around each pixel whose window fits into the image."""
    for dim in (2, 3):
        size = min(WINDOW, images.shape[dim])
        places = torch.arange(size, dtype=images.dtype) - (size - 1) / 2
        kernel = torch.exp(-places.square() / (2 * DEVIATION**2))
        shape = (1, 1, -1, 1) if dim == 2 else (1, 1, 1, -1)
        kernel = (kernel / kernel.sum()).reshape(shape).expand(images.shape[1], -1, -1, -1)
        images = functional.conv2d(images, kernel, groups=images.shape[1])
    return images
