"""The residual network that makes an image of an image (Johnson et al. 2016; Zhu et al. 2017, appendix 7.2).

The image is halved some times, changed by residual blocks, and doubled as often. Each block adds to what it was given,
so that an untrained network hands much of its input on. The norm is one of each image by itself (Ulyanov et al. 2016).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from seqgen.config import CycleGanConfig
from seqgen.gan.reflection import least_side, reflected

# The widest kernel, at the border of which three pixels are reflected.
KERNEL = 7


class ResidualTranslator(nn.Module):
    """Images from images of the same size, which may be any from `least_side` on.

    Args:
        source_channels (int): of the input.
        target_channels (int): of what is made.
        config (CycleGanConfig): sizes.

    Attributes:
        least_side (int): the shortest side that an image may have.
        multiple (int): places that so many pixels lie between are treated alike.
        reach (int): a pixel depends on others that are so far away at most, and through the norm on all a little.
        noisy (bool): without effect, for there is no noise in this network.
        random (bool): whether there is any.
        local (bool): whether nothing but what is in reach counts.
    """

    local = random = False

    def __init__(self, source_channels: int, target_channels: int, config: CycleGanConfig) -> None:
        super().__init__()
        self.multiple, self.noisy = 2**config.halvings, False
        self.least_side = max(least_side(self.multiple), KERNEL // 2 + 1, 2 * self.multiple)
        self.reach = self.multiple * (4 + 2 * config.blocks)
        sizes = [config.generator_size * 2**i for i in range(config.halvings + 1)]
        layers: list[nn.Module] = [_convolution(source_channels, sizes[0], KERNEL), *_end(sizes[0])]
        for before, after in pairwise(sizes):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), *_end(after)]
        layers += [_Block(sizes[-1]) for _ in range(config.blocks)]
        for before, after in pairwise(sizes[::-1]):
            layers.append(nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1, bias=False))
            layers += _end(after)
        layers.append(_convolution(sizes[0], target_channels, KERNEL, bias=True))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Images `(batch, target_channels, height, width)` in [-1, 1] from `(batch, source_channels, ...)` likewise."""
        height, width = images.shape[2:]
        return torch.tanh(self.layers(reflected(images, self.multiple)))[:, :, :height, :width]


class _Block(nn.Module):
    """Two convolutions, added to what they are given; no ReLU after the sum."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.change = nn.Sequential(_convolution(size, size, 3), *_end(size), _convolution(size, size, 3), _norm(size))

    def forward(self, values: Tensor) -> Tensor:
        changed: Tensor = values + self.change(values)
        return changed


def _convolution(before: int, after: int, kernel: int, *, bias: bool = False) -> nn.Conv2d:
    """One that keeps the size: what is missing at the border is reflected."""
    return nn.Conv2d(before, after, kernel, padding=kernel // 2, padding_mode="reflect", bias=bias)


def _norm(size: int) -> nn.Module:
    return nn.InstanceNorm2d(size, affine=True)


def _end(size: int) -> list[nn.Module]:
    return [_norm(size), nn.ReLU(inplace=True)]
