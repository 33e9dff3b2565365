"""Differentiable augmentation (Zhao et al. 2020): for a few hundred or thousand images.

A discriminator that is shown few images learns them by heart. So it is shown changed ones only, real and fake alike,
and as the change is differentiable the generator learns through it. What the discriminator is never shown unchanged the
generator need not change: the augmentation does not leak into the samples as long as it can be told from the images.
"""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor
from torch.nn import functional

from seqgen.config import Augment

SHIFT, HOLE = 1 / 8, 1 / 2


def augment(images: Tensor, kind: Augment) -> Tensor:
    """Change each image `(batch, channels, height, width)` at random, by torch's global generator."""
    match kind:
        case "none":
            return images
        case "colour":
            return recolour(images)
        case "translation":
            return translate(images)
        case "cutout":
            return cut_out(images)
        case "all":
            return cut_out(translate(recolour(images)))
        case _:
            assert_never(kind)


def recolour(images: Tensor) -> Tensor:
    """Change brightness by up to 0.5, saturation by a factor in [0, 2], contrast by a factor in [0.5, 1.5]."""
    brightness, saturation, contrast = torch.rand(3, len(images), 1, 1, 1, device=images.device)
    x = images + (brightness - 0.5)
    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * (2.0 * saturation)
    level = x.mean(dim=(1, 2, 3), keepdim=True)
    return torch.add(level, (x - level) * (contrast + 0.5))


def translate(images: Tensor) -> Tensor:
    """Move by up to an eighth of each side; what comes in is 0."""
    batch, _, height, width = images.shape
    down, right = round(height * SHIFT), round(width * SHIFT)
    padded = functional.pad(images, (right, right, down, down))
    rows = _starts(batch, 2 * down + 1, images) + torch.arange(height, device=images.device)
    columns = _starts(batch, 2 * right + 1, images) + torch.arange(width, device=images.device)
    which = torch.arange(batch, device=images.device)[:, None, None]
    return padded.movedim(1, -1)[which, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def cut_out(images: Tensor) -> Tensor:
    """Set a rectangle of half of each side to 0; its centre is anywhere in the image."""
    batch, _, height, width = images.shape
    inside = []
    for side in (height, width):
        centres = _starts(batch, side, images)
        places = torch.arange(side, device=images.device)
        inside.append((places - centres).abs() <= side * HOLE / 2)
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images.masked_fill(hole, 0.0)


def _starts(batch: int, choices: int, like: Tensor) -> Tensor:
    return torch.randint(choices, (batch, 1), device=like.device)
