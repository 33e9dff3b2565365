"""A generator for sampling: batch norm folded into the layers before it.

Outside of training batch norm is one factor and one summand per channel, so `norm(W x)` is `(s W) x + t`. The folded
generator makes the same images, up to rounding, without a pass over memory for each norm.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from seqgen.gan.dcgan import Generator
from seqgen.gan.r3 import ResidualGenerator
from seqgen.nets.norm import BatchNorm


@torch.no_grad()
def fold(generator: Generator | ResidualGenerator) -> Generator | ResidualGenerator:
    """A copy of a generator, in evaluation mode, without its batch norms, if it has any."""
    folded = copy.deepcopy(generator).eval().requires_grad_(False)
    if isinstance(folded, ResidualGenerator):
        return folded
    layers = [folded.project, *folded.grow[:-1]]
    for i, (layer, norm) in enumerate(zip(layers, folded.norms, strict=True)):
        assert isinstance(norm, BatchNorm)
        _absorb(layer, norm)
        folded.norms[i] = nn.Identity()
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
