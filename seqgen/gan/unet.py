"""The U-Net that makes an image of an image (Ronneberger et al. 2015, as Isola et al. 2017, section 6.1.1, use it).

On its way down each layer halves the image, on its way up each doubles it again. What a layer up is given is what came
from below, and beside it the values of the same size from the way down: lines of the input need not pass through the
narrow middle. Dropout in the deepest layers of the way up is the noise, in use as in training (ib., section 3.1).
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import ImageNorm, Pix2PixConfig
from seqgen.gan.pyramid import widths
from seqgen.gan.reflection import least_side, reflected
from seqgen.nets.dropout import Dropout
from seqgen.nets.images.norm import BatchNorm

SLOPE = 0.2
# Layers of the way up that have dropout.
NOISY = 3


class UNet(nn.Module):
    """Images from images of the same size, which may be any from `least_side` on.

    Args:
        source_channels (int): of the input.
        target_channels (int): of what is made.
        config (Pix2PixConfig): sizes.

    Attributes:
        least_side (int): the shortest side that an image may have.
        multiple (int): places that so many pixels lie between are treated alike.
        reach (int): a pixel depends on others that are so far away at most, unless a norm of one image sees all of it.
        local (bool): whether that holds.
        noisy (bool): whether there is noise in evaluation mode, too.
        random (bool): whether there is any.
    """

    def __init__(self, source_channels: int, target_channels: int, config: Pix2PixConfig) -> None:
        super().__init__()
        self.multiple = 2**config.halvings
        self.least_side, self.reach = least_side(self.multiple), 4 * self.multiple
        self._skips, self.noisy, self.local = config.skips, False, config.norm == "batch"
        self.random = config.noise > 0 and config.halvings > 1
        sizes = widths(config.generator_size, config.halvings)
        # No bias before a norm, which would take it away again. The ends, and the middle, have no norm.
        self.down = nn.ModuleList()
        self.down_norms = nn.ModuleList()
        for i, (before, after) in enumerate(itertools.pairwise((source_channels, *sizes))):
            normed = 0 < i < config.halvings - 1
            self.down.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=not normed))
            self.down_norms.append(image_norm(after, config.norm) if normed else nn.Identity())
        self.up = nn.ModuleList()
        self.up_norms = nn.ModuleList()
        self.noise = nn.ModuleList()
        wide = [size * (1 + (config.skips and i < config.halvings - 1)) for i, size in enumerate(sizes)]
        for i, (before, after) in enumerate(zip(wide[::-1], (*sizes[-2::-1], target_channels), strict=True)):
            last = i == config.halvings - 1
            self.up.append(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=last))
            self.up_norms.append(nn.Identity() if last else image_norm(after, config.norm))
            self.noise.append(Dropout(config.noise if i < NOISY and not last else 0.0))

    def forward(self, images: Tensor) -> Tensor:
        """Images `(batch, target_channels, height, width)` in [-1, 1] from `(batch, source_channels, ...)` likewise."""
        height, width = images.shape[2:]
        x = reflected(images, self.multiple)
        passed: list[Tensor] = []
        for down, norm in zip(self.down, self.down_norms, strict=True):
            x = norm(down(functional.leaky_relu(x, SLOPE) if passed else x))
            passed.append(x)
        for i, (up, norm, noise) in enumerate(zip(self.up, self.up_norms, self.noise, strict=True)):
            if i and self._skips:
                x = torch.cat([x, passed[-1 - i]], dim=1)
            x = noise(norm(up(functional.relu(x))))
        return torch.tanh(x)[:, :, :height, :width]

    def train(self, mode: bool = True) -> UNet:
        """As every module does, but that noise, where it is wanted, does not end with the training."""
        super().train(mode)
        self.noise.train(mode or self.noisy)
        return self


def image_norm(channels: int, kind: ImageNorm) -> nn.Module:
    """A norm of each channel over the batch, or over one image (Ulyanov et al. 2016)."""
    return BatchNorm(channels) if kind == "batch" else nn.InstanceNorm2d(channels, affine=True)
