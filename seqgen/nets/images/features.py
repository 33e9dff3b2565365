"""A small convolutional classifier whose inner layer serves to compare sets of images.

Trained to tell classes apart, a network learns what distinguishes images, and the values of its last convolution,
averaged over the image, say what kind of image it is. Distances between sets are taken there (`seqgen.metrics.images`),
not between pixels, where a shift by one is a large change. The features are taken before the hidden layer of the
head: after it, the images of one class lie almost on one point (Papyan et al. 2020), and a set that has lost the
variety within its classes would look complete.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import FeatureConfig, ImageFormat
from seqgen.nets.images.norm import BatchNorm

# Stages halve the image until no side is longer than this.
SMALLEST = 8


class FeatureNetwork(nn.Module):
    """Stages of two convolutions, the first of each halving the image; an average over the image; a head.

    Args:
        config (FeatureConfig): sizes.
        images (ImageFormat): what it is given, and the classes that it tells apart.
    """

    def __init__(self, config: FeatureConfig, images: ImageFormat) -> None:
        super().__init__()
        self.config, self.images, self.classes = config, images, images.classes
        sizes = stage_sizes(config, max(images.height, images.width))
        inputs = (images.channels, *sizes)
        self.stages = nn.Sequential(*(_stage(a, b) for a, b in zip(inputs, sizes, strict=False)))
        self.hidden = nn.Linear(sizes[-1], config.hidden_size)
        self.output = nn.Linear(config.hidden_size, len(images.classes))

    @property
    def feature_size(self) -> int:
        """How many features an image has."""
        return self.config.feature_size

    def prepare(self, pixels: Tensor) -> Tensor:
        """Bytes `(batch, channels, height, width)` of any size as what `features` takes."""
        images = with_channels(pixels, self.images.channels).float() / 127.5 - 1.0
        size = (self.images.height, self.images.width)
        if images.shape[2:] == size:
            return images
        return functional.interpolate(images, size, mode="bilinear", antialias=True)

    def features(self, images: Tensor) -> Tensor:
        """Features `(batch, feature_size)` of images `(batch, channels, height, width)` in [-1, 1]."""
        # Convolutions of a CPU are fastest with the channels of a pixel side by side.
        maps: Tensor = self.stages(images.contiguous(memory_format=torch.channels_last))
        return maps.mean(dim=(2, 3))

    def classify(self, features: Tensor) -> Tensor:
        """Logits `(batch, classes)` from features."""
        hidden = functional.dropout(functional.relu(self.hidden(features)), self.config.dropout, self.training)
        logits: Tensor = self.output(hidden)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(batch, classes)` from images."""
        return self.classify(self.features(images))

    def initialise(self) -> None:
        """Weights at which the variance of a signal survives ReLUs (He et al. 2015, eq. 10)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(self.hidden.bias)
        nn.init.zeros_(self.output.bias)


def stage_sizes(config: FeatureConfig, side: int) -> list[int]:
    """Channels of each stage: `base_size`, doubled from stage to stage, and `feature_size` at the end."""
    sizes = [config.base_size]
    while (side := -(-side // 2)) > SMALLEST:
        sizes.append(min(2 * sizes[-1], config.feature_size))
    return [*sizes[:-1], config.feature_size]


def with_channels(pixels: Tensor, channels: int) -> Tensor:
    """Grey bytes as colour, or colour bytes as grey (ITU-R BT.601, as Pillow does it)."""
    if pixels.shape[1] == channels:
        return pixels
    if channels == 3:
        return pixels.expand(-1, 3, -1, -1)
    red, green, blue = pixels.to(torch.int32).unbind(dim=1)
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).to(torch.uint8)[:, None]


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
        BatchNorm(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        BatchNorm(outputs),
        nn.ReLU(inplace=True),
    )
