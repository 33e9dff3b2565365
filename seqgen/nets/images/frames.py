"""A small convolutional network that makes a vector of each frame of a clip; it is trained along with its captioner.

It normalises each frame by itself (Wu and He 2018, "Group normalization"), so that neither the batch nor the other
processes of a run show in a frame's vector.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

# Stages halve the frame until no side is longer than this.
SMALLEST = 3
GROWTH = 1.6
GROUP = 8
WIDTH = 8


class FrameNetwork(nn.Module):
    """Stages that halve the frame, each a convolution, a norm and a ReLU; then a linear layer over all of the last one.

    Where something is in the frame counts, so that no mean is taken over it.

    Args:
        base_size (int): channels of the first stage; each next one has 1.6 times as many, and a frame's vector 8 times.
        side (int): height and width of a frame.
    """

    def __init__(self, base_size: int, side: int) -> None:
        super().__init__()
        sizes = [3, base_size]
        while (side := -(-side // 2)) > SMALLEST:
            sizes.append(round(sizes[-1] * GROWTH / GROUP) * GROUP if sizes[-1] >= GROUP else sizes[-1])
        self.stages = nn.Sequential(*(_stage(a, b) for a, b in pairwise(sizes)))
        self.feature_size = WIDTH * base_size
        self.output = nn.Linear(sizes[-1] * side * side, self.feature_size)

    def initialise(self) -> None:
        """Weights at which the variance of a signal survives ReLUs (He et al. 2015, eq. 10)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(self.output.bias)

    def forward(self, frames: Tensor) -> Tensor:
        """Vectors `(frames, feature_size)` of frames `(frames, 3, height, width)`, bytes from 0 to 255."""
        images = frames.to(next(self.parameters()).dtype) / 127.5 - 1.0
        # Convolutions of a CPU are fastest with the channels of a pixel side by side.
        maps: Tensor = self.stages(images.contiguous(memory_format=torch.channels_last))
        vectors: Tensor = self.output(maps.flatten(1)).relu()
        return vectors


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    groups = outputs // GROUP if outputs % GROUP == 0 else 1
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
        nn.GroupNorm(groups, outputs),
        nn.ReLU(inplace=True),
    )
