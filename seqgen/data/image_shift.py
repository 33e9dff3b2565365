"""Images moved a little at random, so that position does not count."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def shifted(images: Tensor, limit: float, seed: int) -> Tensor:
    """Each image `(batch, channels, height, width)` moved by whole pixels at random; its edge is repeated.

    Args:
        images (Tensor): on the CPU.
        limit (float): the farthest move, as a share of a side.
        seed (int): of the moves.
    """
    count, _, height, width = images.shape
    generator = np.random.Generator(np.random.PCG64(seed))
    places = []
    for side in (height, width):
        farthest = int(limit * side)
        moves = generator.integers(-farthest, farthest + 1, size=(count, 1))
        places.append(torch.from_numpy(np.clip(np.arange(side) + moves, 0, side - 1)))
    rows, columns = places
    return images[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
