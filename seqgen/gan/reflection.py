"""Images of any size for networks that halve them: made larger by reflection, and cut back."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def reflected(images: Tensor, multiple: int) -> Tensor:
    """Images whose sides are multiples of a number: what is missing below and on the right is reflected.

    Args:
        images (Tensor): `(batch, channels, height, width)`; `least_side` says how small they may be.
        multiple (int): of both sides.
    """
    height, width = images.shape[2:]
    below, right = -height % multiple, -width % multiple
    return functional.pad(images, (0, right, 0, below), mode="reflect") if below or right else images


def least_side(multiple: int) -> int:
    """The smallest side that can be reflected to any multiple of a number: more than half of it is there."""
    return multiple // 2 + 1
