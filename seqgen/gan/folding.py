"""A generator for sampling: batch norm folded into the layers before it, and its last layer turned round.

Outside of training batch norm is one factor and one summand per channel, so `norm(W x)` is `(s W) x + t`. The last
layer is an ordinary convolution in disguise (`Phases`). The folded generator makes the same images, up to rounding,
without a pass over memory for each norm, and without the slow one of the last layer.
"""

from __future__ import annotations

import copy
import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.gan.dcgan import Generator
from seqgen.gan.lapgan import Chain
from seqgen.gan.r3 import ResidualGenerator
from seqgen.nets.images.norm import BatchNorm


class Phases(nn.Module):
    """A transposed convolution of kernel 4, stride 2 and padding 1, as one ordinary convolution of kernel 2.

    Pixel (2 y + a, 2 x + b) of the result depends on two rows and two columns of the values, through a quarter of the
    kernel: row `2 y` those of y - 1 and y with the kernel's rows 3 and 1, row `2 y + 1` those of y and y + 1 with 2 and
    0. Each (a, b) is a channel of its own, and the four are laid between each other (the sub-pixel convolution of Shi
    et al. 2016). For a few output channels, which leave most of the transposed kernel's vectors empty, it takes a third
    of the time.

    Args:
        layer (nn.ConvTranspose2d): whose weights are copied.
    """

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__()
        assert (layer.kernel_size, layer.stride, layer.padding) == ((4, 4), (2, 2), (1, 1))
        rows = torch.tensor([[3, 1], [2, 0]])  # by phase and row of the small kernel
        # (in, out, phase, row, phase, column) to (phase, phase, out, in, row, column)
        kernels = layer.weight[:, :, rows][..., rows].permute(2, 4, 1, 0, 3, 5)
        bias = layer.weight.new_zeros(layer.out_channels) if layer.bias is None else layer.bias
        self.weight = nn.Parameter(kernels.flatten(0, 2).contiguous(), requires_grad=False)
        self.bias = nn.Parameter(bias.repeat(4), requires_grad=False)

    def forward(self, values: Tensor) -> Tensor:
        """`(batch, in, height, width)` to `(batch, out, 2 height, 2 width)`."""
        batch, _, height, width = values.shape
        found = functional.conv2d(values, self.weight, self.bias, padding=1)
        result = found.new_empty(batch, found.shape[1] // 4, height, 2, width, 2)
        for (a, b), phase in zip(itertools.product((0, 1), repeat=2), found.chunk(4, dim=1), strict=True):
            result[:, :, :, a, :, b] = phase[:, :, a : a + height, b : b + width]
        return result.view(batch, -1, 2 * height, 2 * width)


@torch.no_grad()
def fold(generator: Generator | ResidualGenerator | Chain) -> Generator | ResidualGenerator | Chain:
    """A copy of a generator, in evaluation mode; of a DCGAN without batch norms, and with a faster last layer."""
    folded = copy.deepcopy(generator).eval().requires_grad_(False)
    if isinstance(folded, ResidualGenerator):
        return folded
    if isinstance(folded, Chain):
        coarsest = fold(folded.coarsest)
        assert isinstance(coarsest, Generator)
        folded.coarsest = coarsest
        return folded
    layers = [folded.project, *folded.grow[:-1]]
    for i, (layer, norm) in enumerate(zip(layers, folded.norms, strict=True)):
        assert isinstance(norm, BatchNorm)
        _absorb(layer, norm)
        folded.norms[i] = nn.Identity()
    last = folded.grow[-1]
    assert isinstance(last, nn.ConvTranspose2d)
    folded.grow[-1] = Phases(last)
    return folded


def _absorb(layer: nn.Module, norm: BatchNorm) -> None:
    """Scale the outputs of a layer without a bias, and give it one."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    weight = layer.weight
    assert isinstance(weight, Tensor)
    if isinstance(layer, nn.Linear):  # its outputs are the channels of a small image, pixel by pixel
        pixels = layer.out_features // len(scale)
        scale, shift = scale.repeat_interleave(pixels), shift.repeat_interleave(pixels)
        weight *= scale[:, None]
    else:  # a transposed convolution's kernels are `(in, out, height, width)`
        weight *= scale[None, :, None, None]
    layer.bias = nn.Parameter(shift, requires_grad=False)
