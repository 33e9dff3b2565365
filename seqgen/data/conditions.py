"""Inputs that are derived from images: edges, a sketch, grey, or a low resolution.

A network that is to make an image of its edges learns from pairs of both, and the edges of any image can be computed.
The same functions serve training and use, so that a model never meets another kind of edge than those it knows. Each
image is computed by itself: what is beside it does not count. Lines are black on white, as a person draws them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from seqgen.config import Condition

Pixels = NDArray[np.uint8]

# Standard deviations in pixels of what smooths an image: before its edges are sought, and what a sketch compares with.
EDGE_BLUR, SKETCH_BLUR = 0.8, 2.0
# A slope of so many grey values a pixel is an edge; a weaker one, if it touches an edge.
STRONG, WEAK = 24.0, 10.0
# How many times smaller a low resolution is.
REDUCED = 4
# Luma of ITU-R BT.601.
RED, GREEN, BLUE = 0.299, 0.587, 0.114


def channels_of(condition: Condition, target_channels: int) -> int:
    """How many channels the input has that is derived from images of so many."""
    return target_channels if condition in ("none", "lowres") else 1


def derived(pixels: Pixels, condition: Condition) -> Pixels:
    """The inputs that belong to some images.

    `edges` are those of Canny 1986: the slope of the smoothed grey image, thinned to its ridges, and of these the
    strong ones with the weak ones that touch them. `sketch` divides the grey image by its blurred self (the dodge of
    a darkroom), which leaves soft lines. `grey` is luma. `lowres` is the mean over blocks of 4x4 pixels, grown again by
    bicubic interpolation.

    Args:
        pixels (Pixels): `(images, channels, height, width)`.
        condition (Condition): which.

    Returns:
        Pixels: `(images, channels, height, width)`, one channel but of `lowres` and `none`.
    """
    match condition:
        case "none":
            return pixels
        case "grey":
            return _each(pixels, _luma)
        case "edges":
            return _each(pixels, _edges)
        case "sketch":
            return _each(pixels, _sketch)
        case "lowres":
            return _each(pixels, _low_resolution)
        case _:
            assert_never(condition)


def _each(pixels: Pixels, operator: Callable[[Tensor], Tensor]) -> Pixels:
    made = [operator(torch.tensor(image, dtype=torch.float64)[None]) for image in pixels]
    whole: Pixels = torch.cat(made).round().clamp(0, 255).to(torch.uint8).numpy()
    return whole


def _luma(image: Tensor) -> Tensor:
    """Grey `(1, 1, height, width)` of an image `(1, channels, height, width)`, 0 to 255."""
    if image.shape[1] == 1:
        return image
    weights = torch.tensor([RED, GREEN, BLUE], dtype=image.dtype)[:, None, None]
    return (image * weights).sum(dim=1, keepdim=True)


def _blurred(grey: Tensor, deviation: float) -> Tensor:
    """A Gaussian over three standard deviations, rows and columns apart; the border is repeated."""
    reach = max(1, round(3 * deviation))
    places = torch.arange(-reach, reach + 1, dtype=grey.dtype)
    kernel = torch.exp(-places.square() / (2 * deviation**2))
    kernel = kernel / kernel.sum()
    padded = functional.pad(grey, (reach, reach, reach, reach), mode="replicate")
    return functional.conv2d(functional.conv2d(padded, kernel[None, None, None, :]), kernel[None, None, :, None])


def _sketch(image: Tensor) -> Tensor:
    grey = _luma(image)
    return (255.0 * (grey + 1.0) / (_blurred(grey, SKETCH_BLUR) + 1.0)).clamp(max=255.0)


def _low_resolution(image: Tensor) -> Tensor:
    height, width = image.shape[2:]
    sizes = max(1, -(-height // REDUCED)), max(1, -(-width // REDUCED))
    small = functional.adaptive_avg_pool2d(image, sizes)
    return functional.interpolate(small, (height, width), mode="bicubic", align_corners=False)


# Edges --------------------------------------------------------------------------------------------------------


def _edges(image: Tensor) -> Tensor:
    """Black where the colour changes, white elsewhere: of each pixel the channel with the steepest slope counts."""
    channels = _blurred(image.transpose(0, 1), EDGE_BLUR)
    down, right = _slopes(channels)
    steepness = torch.hypot(down, right)
    steepest = steepness.argmax(dim=0, keepdim=True)
    down, right, steepness = (x.gather(0, steepest) for x in (down, right, steepness))
    ridge = steepness * _on_ridge(steepness, down, right)
    return torch.where(_touching(ridge >= STRONG, ridge >= WEAK), 0.0, 255.0)


def _slopes(grey: Tensor) -> tuple[Tensor, Tensor]:
    """By how much an image grows a pixel, downwards and to the right (Sobel), `(images, 1, height, width)` each."""
    kernel = torch.tensor([[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]], dtype=grey.dtype) / 8.0
    padded = functional.pad(grey, (1, 1, 1, 1), mode="replicate")
    slopes = functional.conv2d(padded, torch.stack([kernel, kernel.T])[:, None])
    return slopes[:, :1], slopes[:, 1:]


def _on_ridge(steepness: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Where no neighbour along the slope is steeper; of two that are equal the first one counts."""
    height, width = steepness.shape[2:]
    padded = functional.pad(steepness, (1, 1, 1, 1))
    # In eighths of a turn: along the rows, the falling diagonal, the columns, the rising diagonal.
    turn = torch.round(torch.atan2(down, right) / (torch.pi / 4)).long() % 4
    found = torch.zeros_like(steepness, dtype=torch.bool)
    for kind, (y, x) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        after = padded[:, :, 1 + y : 1 + y + height, 1 + x : 1 + x + width]
        before = padded[:, :, 1 - y : 1 - y + height, 1 - x : 1 - x + width]
        found |= (turn == kind) & (steepness > before) & (steepness >= after)
    return found


def _touching(strong: Tensor, weak: Tensor) -> Tensor:
    """The strong places, and the weak ones that are joined to them by others."""
    found = strong
    while True:
        grown = (functional.max_pool2d(found.double(), 3, stride=1, padding=1) > 0) & weak | strong
        if torch.equal(grown, found):
            return found
        found = grown
