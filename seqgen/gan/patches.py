"""A discriminator that judges patches of an image, each by itself (Isola et al. 2017, section 3.2).

A distance such as L1 sees to it that the large parts of an image are right; what it blurs are details, and these can be
judged in small patches. The network is convolutional, so that one pass judges all patches, and has few weights. It is
also called a Markovian discriminator: pixels farther apart than a patch are taken to be independent.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import ImageNorm, Patch
from seqgen.gan.pyramid import pyramid, widths
from seqgen.gan.unet import SLOPE, image_norm

# Layers of stride 2, by the pixels of a side that a logit depends on: one layer more sees twice as much and two pixels.
STRIDED = {"16": 1, "34": 2, "70": 3}


class PatchDiscriminator(nn.Module):
    """How real each patch of an image looks: logits, positive for real.

    Args:
        channels (int): of the images, those of an input beside them included.
        base_size (int): channels of the layer nearest to the image.
        patch (Patch): how many pixels of a side a logit sees.
        size (tuple[int, int]): height and width of the images, which a logit for the `whole` image depends on.
        norm (ImageNorm): of the layers between the first and the last.
    """

    def __init__(
        self, channels: int, base_size: int, patch: Patch, size: tuple[int, int], *, norm: ImageNorm = "batch"
    ) -> None:
        super().__init__()
        layers: list[nn.Module]
        if patch == "1":
            sizes, layers = [base_size, 2 * base_size], [nn.Conv2d(channels, base_size, 1)]
            layers.append(nn.Conv2d(base_size, 2 * base_size, 1, bias=False))
            last: nn.Module = nn.Conv2d(2 * base_size, 1, 1)
        elif patch == "whole":
            sizes = widths(base_size, len(pyramid(*size)) - 1)
            layers = [
                nn.Conv2d(before, after, 4, stride=2, padding=1, bias=not i)
                for i, (before, after) in enumerate(itertools.pairwise((channels, *sizes)))
            ]
            height, width = (side >> len(sizes) for side in size)
            last = nn.Conv2d(sizes[-1], 1, (height, width))
        else:
            sizes = widths(base_size, STRIDED[patch] + 1)
            strides = [2] * STRIDED[patch] + [1]
            layers = [
                nn.Conv2d(before, after, 4, stride=stride, padding=1, bias=not i)
                for i, (before, after, stride) in enumerate(zip((channels, *sizes), sizes, strides, strict=False))
            ]
            last = nn.Conv2d(sizes[-1], 1, 4, padding=1)
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(image_norm(after, norm) if i else nn.Identity() for i, after in enumerate(sizes))
        self.judge = last

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(batch, rows, columns)`, one a patch, of images `(batch, channels, height, width)` in [-1, 1]."""
        x = images
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = functional.leaky_relu(norm(layer(x)), SLOPE)
        logits: Tensor = self.judge(x)[:, 0]
        return logits
