"""The U-Net and the discriminator of patches: sizes, what depends on what, and a reference of plain layers."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import Patch, Pix2PixConfig
from seqgen.gan.dcgan import initialise
from seqgen.gan.patches import PatchDiscriminator
from seqgen.gan.reflection import reflected
from seqgen.gan.unet import UNet


def unet(source: int = 1, target: int = 3, **config: Any) -> UNet:
    torch.manual_seed(0)
    network = UNet(source, target, Pix2PixConfig(**{"generator_size": 4, "halvings": 3, "noise": 0.0} | config))
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.0, 0.2)
    return network


@pytest.mark.parametrize("halvings", [1, 2, 3, 4])
@pytest.mark.parametrize("skips", [True, False])
def test_any_size_goes_in_and_comes_out(halvings: int, skips: bool) -> None:
    network = unet(halvings=halvings, skips=skips).eval()
    for height, width in ((16, 16), (17, 30), (network.least_side, 40)):
        made = network(torch.randn(2, 1, height, width))
        assert made.shape == (2, 3, height, width)
        assert made.abs().max() <= 1.0
    with pytest.raises(RuntimeError, match=r"(?i)pad"):
        network(torch.randn(1, 1, network.least_side - 1, 40))


def test_what_is_missing_is_reflected() -> None:
    made = reflected(torch.arange(3.0).reshape(1, 1, 1, 3).expand(-1, -1, 3, -1), 4)
    assert made[0, 0, 0].tolist() == [0.0, 1.0, 2.0, 1.0]
    assert made.shape == (1, 1, 4, 4)


def test_it_is_the_network_of_the_paper() -> None:
    """Layer by layer, as section 6.1.1 lists them: C64-C128-C256, and back with the skips beside."""
    network, images = unet(1, 3).train(), torch.randn(2, 1, 16, 16)

    def normed(x: Tensor) -> Tensor:
        mean, variance = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), correction=0, keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt()

    def scaled(x: Tensor, norm: nn.Module) -> Tensor:
        weight, bias = (dict(norm.named_parameters())[name][:, None, None] for name in ("weight", "bias"))
        return normed(x) * weight + bias

    down, up = (list(layers.named_parameters()) for layers in (network.down, network.up))
    weights = {f"{place}.{name}": value for place, side in (("down", down), ("up", up)) for name, value in side}

    def halved(x: Tensor, i: int) -> Tensor:
        return functional.conv2d(x, weights[f"down.{i}.weight"], weights.get(f"down.{i}.bias"), stride=2, padding=1)

    def doubled(x: Tensor, i: int) -> Tensor:
        bias = weights.get(f"up.{i}.bias")
        return functional.conv_transpose2d(x.relu(), weights[f"up.{i}.weight"], bias, stride=2, padding=1)

    first = halved(images, 0)
    second = scaled(halved(functional.leaky_relu(first, 0.2), 1), network.down_norms[1])
    third = halved(functional.leaky_relu(second, 0.2), 2)
    x = torch.cat([scaled(doubled(third, 0), network.up_norms[0]), second], dim=1)
    x = torch.cat([scaled(doubled(x, 1), network.up_norms[1]), first], dim=1)
    x = doubled(x, 2).tanh()
    torch.testing.assert_close(network(images), x, rtol=1e-4, atol=1e-5)


def test_a_line_that_the_middle_cannot_hold_passes_by_the_skips() -> None:
    """One pixel of the input shows in one pixel's place of the output only where there are skips."""
    images = torch.zeros(1, 1, 32, 32)
    for skips in (True, False):
        network = unet(halvings=4, skips=skips).eval()
        one, other = images.clone(), images.clone()
        other[0, 0, 13, 21] = 1.0
        change = (network(other) - network(one)).abs().sum(dim=(0, 1))
        near = change[12:16, 20:24].sum() / change.sum()
        assert (near > 0.25) == skips


def test_a_pixel_depends_on_nothing_out_of_reach() -> None:
    network = unet(halvings=2).eval()
    images = torch.randn(1, 1, 80, 80, requires_grad=True)
    network(images)[0, :, 40, 40].sum().backward()
    assert images.grad is not None
    rows = images.grad[0, 0].abs().sum(dim=1).nonzero().flatten()
    assert 40 - network.reach <= int(rows.min()) < int(rows.max()) <= 40 + network.reach


def test_noise_is_there_in_use_only_when_it_is_wanted() -> None:
    network, images = unet(noise=0.5).eval(), torch.randn(1, 1, 16, 16)
    assert torch.equal(network(images), network(images))
    network.noisy = True
    network.eval()
    assert not torch.equal(network(images), network(images))
    assert not network.up_norms[0].training
    network.noisy = False
    assert torch.equal(network.eval()(images), network(images))


# Patches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patch", get_args(Patch))
def test_a_logit_sees_so_many_pixels_a_side(patch: Patch) -> None:
    torch.manual_seed(0)
    side = 96 if patch != "whole" else 32
    network = PatchDiscriminator(2, 4, patch, (side, side)).eval()
    images = torch.randn(1, 2, side, side, requires_grad=True)
    logits = network(images)
    middle = [size // 2 for size in logits.shape[1:]]
    logits[0, middle[0], middle[1]].backward()
    assert images.grad is not None
    seen = images.grad[0].abs().sum(dim=0) > 0
    expected = side if patch == "whole" else int(patch)
    assert (int(seen.any(dim=0).sum()), int(seen.any(dim=1).sum())) == (expected, expected)


def test_a_whole_image_of_any_size_has_one_logit() -> None:
    for size in ((4, 4), (28, 28), (20, 45)):
        network = PatchDiscriminator(3, 4, "whole", size)
        assert network(torch.randn(2, 3, *size)).shape == (2, 1, 1)


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_with_a_norm_of_one_image_none_depends_on_its_neighbours(norm: Any) -> None:
    torch.manual_seed(0)
    networks = (
        unet(norm=norm).train(),
        PatchDiscriminator(1, 4, "16", (16, 16), norm=norm).train(),
    )
    images = torch.randn(3, 1, 16, 16)
    for network in networks:
        initialise(network)
        alone, together = network(images[:1]), network(images)[:1]
        assert torch.allclose(alone, together, atol=1e-6) == (norm == "instance")
