"""Inception v3 as TensorFlow published it in December 2015: the network that Fréchet distances in papers mean.

It is not the Inception of Szegedy et al. 2016 to the letter, nor that of torchvision: it was trained with 1008 outputs,
averages leave out the padding, and one block takes a maximum where the others take an average. The structure is that of
`torch_fidelity.feature_extractor_inceptionv3`, with its names, so that its weights file fits; here it is a table. Its
input is resized as TensorFlow 1 did it, and as nobody does any more: without antialiasing, and shifted by half a pixel.

The weights are not part of seqgen and are never downloaded: `seqgen evaluate --features inception --weights FILE`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.nets.images.features import with_channels
from seqgen.nets.images.norm import BatchNorm

SIDE = 299
FEATURE_SIZE = 2048

average = partial(functional.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
maximum = partial(functional.max_pool2d, kernel_size=3, stride=1, padding=1)
halve = partial(functional.max_pool2d, kernel_size=3, stride=2)


class Layer(NamedTuple):
    """A convolution: its name in the weights file, output channels, and kernel; one with stride 2 has no padding."""

    name: str
    outputs: int
    kernel: int | tuple[int, int]
    stride: int = 1


Pool = Callable[[Tensor], Tensor]
# A branch is a sequence; two layers in brackets both see what is before them.
Branch = Sequence[Layer | Pool | list[Layer]]


class Convolution(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int, *, padded: bool) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sides[0] // 2, sides[1] // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, sides, stride=stride, padding=padding, bias=False)
        self.bn = BatchNorm(outputs, eps=0.001)

    def forward(self, images: Tensor) -> Tensor:
        """Maps `(batch, outputs, height, width)`."""
        return functional.relu(self.bn(self.conv(images)), inplace=True)


class Block(nn.Module):
    """Branches side by side, their channels joined in order."""

    def __init__(self, inputs: int, branches: Sequence[Branch]) -> None:
        super().__init__()
        self.branches = branches
        self.outputs = sum(self._add(branch, inputs) for branch in branches)

    def _add(self, branch: Branch, size: int) -> int:
        """Make the layers of a branch; returns how many channels it ends with."""
        for step in branch:
            layers = step if isinstance(step, list) else [step] if isinstance(step, Layer) else []
            for layer in layers:
                padded = layer.stride == 1
                self.add_module(layer.name, Convolution(size, layer.outputs, layer.kernel, layer.stride, padded=padded))
            size = sum(layer.outputs for layer in layers) or size
        return size

    def forward(self, images: Tensor) -> Tensor:
        """Maps `(batch, outputs, height, width)`."""
        return torch.cat([self._branch(branch, images) for branch in self.branches], dim=1)

    def _branch(self, branch: Branch, maps: Tensor) -> Tensor:
        for step in branch:
            if isinstance(step, list):
                maps = torch.cat([self.get_submodule(layer.name)(maps) for layer in step], dim=1)
            else:
                maps = self.get_submodule(step.name)(maps) if isinstance(step, Layer) else step(maps)
        return maps


def _block_a(pooled: int) -> list[Branch]:
    return [
        [Layer("branch1x1", 64, 1)],
        [Layer("branch5x5_1", 48, 1), Layer("branch5x5_2", 64, 5)],
        [Layer("branch3x3dbl_1", 64, 1), Layer("branch3x3dbl_2", 96, 3), Layer("branch3x3dbl_3", 96, 3)],
        [average, Layer("branch_pool", pooled, 1)],
    ]


def _block_c(size: int) -> list[Branch]:
    long: list[tuple[int, int, int | tuple[int, int]]] = [
        (1, size, 1),
        (2, size, (7, 1)),
        (3, size, (1, 7)),
        (4, size, (7, 1)),
        (5, 192, (1, 7)),
    ]
    return [
        [Layer("branch1x1", 192, 1)],
        [Layer("branch7x7_1", size, 1), Layer("branch7x7_2", size, (1, 7)), Layer("branch7x7_3", 192, (7, 1))],
        [Layer(f"branch7x7dbl_{i}", outputs, kernel) for i, outputs, kernel in long],
        [average, Layer("branch_pool", 192, 1)],
    ]


def _block_e(pool: Pool) -> list[Branch]:
    def both(name: str) -> list[Layer]:
        return [Layer(f"{name}a", 384, (1, 3)), Layer(f"{name}b", 384, (3, 1))]

    return [
        [Layer("branch1x1", 320, 1)],
        [Layer("branch3x3_1", 384, 1), both("branch3x3_2")],
        [Layer("branch3x3dbl_1", 448, 1), Layer("branch3x3dbl_2", 384, 3), both("branch3x3dbl_3")],
        [pool, Layer("branch_pool", 192, 1)],
    ]


BLOCK_B: list[Branch] = [
    [Layer("branch3x3", 384, 3, 2)],
    [Layer("branch3x3dbl_1", 64, 1), Layer("branch3x3dbl_2", 96, 3), Layer("branch3x3dbl_3", 96, 3, 2)],
    [halve],
]
BLOCK_D: list[Branch] = [
    [Layer("branch3x3_1", 192, 1), Layer("branch3x3_2", 320, 3, 2)],
    [
        Layer("branch7x7x3_1", 192, 1),
        Layer("branch7x7x3_2", 192, (1, 7)),
        Layer("branch7x7x3_3", 192, (7, 1)),
        Layer("branch7x7x3_4", 192, 3, 2),
    ],
    [halve],
]
BLOCKS: dict[str, list[Branch]] = {
    "Mixed_5b": _block_a(32),
    "Mixed_5c": _block_a(64),
    "Mixed_5d": _block_a(64),
    "Mixed_6a": BLOCK_B,
    "Mixed_6b": _block_c(128),
    "Mixed_6c": _block_c(160),
    "Mixed_6d": _block_c(160),
    "Mixed_6e": _block_c(192),
    "Mixed_7a": BLOCK_D,
    "Mixed_7b": _block_e(average),
    "Mixed_7c": _block_e(maximum),
}


class Inception(nn.Module):
    """The network up to its last pooling layer, which Heusel et al. 2017 measure distances in."""

    classes: tuple[str, ...] = ()
    feature_size = FEATURE_SIZE

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, 2, padded=False)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3, 1, padded=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3, 1, padded=True)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1, 1, padded=False)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3, 1, padded=False)
        size = 192
        for name, branches in BLOCKS.items():
            block = Block(size, branches)
            self.add_module(name, block)
            size = block.outputs

    def prepare(self, pixels: Tensor) -> Tensor:
        """Bytes `(batch, channels, height, width)` as colours in [-1, 1), 299x299."""
        return (resize_like_tensorflow_1(with_channels(pixels, 3).float(), SIDE) - 128.0) / 128.0

    def features(self, images: Tensor) -> Tensor:
        """Features `(batch, 2048)` of images `(batch, 3, 299, 299)`."""
        maps = halve(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images))))
        maps = halve(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(maps)))
        for name in BLOCKS:
            maps = self.get_submodule(name)(maps)
        return maps.mean(dim=(2, 3))

    def classify(self, features: Tensor) -> Tensor:
        """No classes are told apart: what it was trained on is not what is compared here."""
        return features[:, :0]


def resize_like_tensorflow_1(images: Tensor, side: int) -> Tensor:
    """`resize_bilinear` with `align_corners=False`: output pixel i lies at `i * inputs / outputs` of the input."""
    rows, columns = (_weights(size, side).to(images) for size in images.shape[2:])
    return rows @ images @ columns.T


def _weights(inputs: int, outputs: int) -> Tensor:
    """The share `(outputs, inputs)` that each input pixel has in each output pixel of a line."""
    places = torch.arange(outputs, dtype=torch.float32) * (inputs / outputs)
    before = places.long().clamp(max=inputs - 1)
    after = (before + 1).clamp(max=inputs - 1)
    share = places - before
    line = torch.arange(outputs)
    weights = torch.zeros(outputs, inputs)
    weights[line, before] += 1.0 - share
    weights[line, after] += share
    return weights
