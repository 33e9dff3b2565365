"""The residual generator: sizes, and the network of the paper in plain layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import CycleGanConfig
from seqgen.gan.residual import ResidualTranslator


def network_of(source: int = 1, target: int = 3, **config: Any) -> ResidualTranslator:
    torch.manual_seed(0)
    network = ResidualTranslator(source, target, CycleGanConfig(**{"generator_size": 4, "blocks": 2} | config))
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.0, 0.2)
    return network


@pytest.mark.parametrize(("blocks", "halvings"), [(0, 2), (3, 2), (2, 1), (1, 3)])
def test_any_size_goes_in_and_comes_out(blocks: int, halvings: int) -> None:
    network = network_of(blocks=blocks, halvings=halvings)
    for height, width in ((16, 16), (17, 30), (network.least_side, network.least_side), (19, 41)):
        assert network(torch.randn(2, 1, height, width)).shape == (2, 3, height, width)


def test_no_image_depends_on_its_neighbours() -> None:
    network, images = network_of().train(), torch.randn(3, 1, 16, 16)
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]), rtol=1e-4, atol=1e-5)


def test_it_is_the_network_of_the_paper() -> None:
    """c7s1-k, d2k, d4k, R4k, R4k, u2k, uk, c7s1-3 (appendix 7.2), each norm over one image."""
    network, images = network_of(), torch.randn(2, 1, 16, 20)
    weights = [dict(layer.named_parameters()) for layer in network.layers]

    def normed(x: Tensor, norm: Mapping[str, Tensor]) -> Tensor:
        mean, variance = x.mean(dim=(2, 3), keepdim=True), x.var(dim=(2, 3), correction=0, keepdim=True)
        x = (x - mean) / (variance + 1e-5).sqrt()
        return x * norm["weight"][:, None, None] + norm["bias"][:, None, None]

    def padded(x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        side = kernel.shape[-1] // 2
        return functional.conv2d(functional.pad(x, (side, side, side, side), mode="reflect"), kernel, bias)

    x = normed(padded(images, weights[0]["weight"]), weights[1]).relu()
    x = normed(functional.conv2d(x, weights[3]["weight"], stride=2, padding=1), weights[4]).relu()
    x = normed(functional.conv2d(x, weights[6]["weight"], stride=2, padding=1), weights[7]).relu()
    for i in (9, 10):
        block = weights[i]
        first = {name: block[f"change.1.{name}"] for name in ("weight", "bias")}
        second = {name: block[f"change.4.{name}"] for name in ("weight", "bias")}
        inner = normed(padded(x, block["change.0.weight"]), first).relu()
        x = x + normed(padded(inner, block["change.3.weight"]), second)
    for i in (11, 14):
        grown = functional.conv_transpose2d(x, weights[i]["weight"], stride=2, padding=1, output_padding=1)
        x = normed(grown, weights[i + 1]).relu()
    x = padded(x, weights[17]["weight"], weights[17]["bias"]).tanh()
    torch.testing.assert_close(network(images), x, rtol=1e-3, atol=1e-4)
