"""Weights and images that any machine draws alike, for the figures recorded in `pretrained_features.json`."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor

SHOWN = 12  # features of each image that are recorded


def drawn_weight(key: str, name: str, like: Tensor) -> Tensor:
    """A tensor of the shape of another; variances are positive and gains near 1, so that a signal gets through.

    Args:
        key (str): what the numbers are a function of.
        name (str): says what the tensor is.
        like (Tensor): its shape.
    """
    draw = np.random.RandomState(zlib.crc32(key.encode()))
    values = torch.from_numpy(draw.uniform(-1.0, 1.0, tuple(like.shape))).float()
    if like.ndim > 1:
        return values.mul((6.0 / like[0].numel()) ** 0.5)
    if name.endswith("running_var"):
        return 1.0 + 0.5 * values
    return 1.0 + 0.2 * values if name.endswith("weight") else 0.2 * values


def drawn_images() -> Tensor:
    """Two colour images of bytes `(2, 3, 40, 52)`, smooth enough for resizing to matter little."""
    draw = np.random.RandomState(0)
    coarse = torch.from_numpy(draw.uniform(0.0, 255.0, (2, 3, 5, 6)))
    return torch.nn.functional.interpolate(coarse, (40, 52), mode="bilinear").round().to(torch.uint8)
