"""Spectral norm: the same as PyTorch's, which cannot be built without computing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import register_parametrization

from seqgen.nets.images.norm import SpectralNorm
from seqgen.nets.shapes import shapes_only


def kernel() -> Tensor:
    torch.manual_seed(3)
    return torch.randn(6, 3, 4, 4)


def normed(weight: Tensor) -> tuple[nn.Conv2d, SpectralNorm]:
    layer = nn.Conv2d(3, 6, 4)
    layer.weight.data = weight.clone()
    norm = SpectralNorm(layer.weight)
    register_parametrization(layer, "weight", norm, unsafe=True)
    norm.initialise(weight)
    return layer, norm


def test_it_is_pytorchs_in_names_values_and_gradients() -> None:
    ours, _ = normed(kernel())
    theirs = parametrizations.spectral_norm(nn.Conv2d(3, 6, 4))
    theirs.load_state_dict(ours.state_dict())
    images, wanted = torch.randn(2, 3, 9, 9), torch.randn(2, 6, 6, 6)
    for layer in (ours.eval(), theirs.eval()):
        (layer(images) * wanted).sum().backward()
    torch.testing.assert_close(ours(images), theirs(images))
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_it_begins_near_the_largest_singular_value_and_gets_there() -> None:
    layer, _ = normed(kernel())
    before = torch.linalg.matrix_norm(layer.eval().weight.flatten(1), 2).item()
    layer.train()
    for _ in range(50):
        after = torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item()
    assert before == pytest.approx(1.0, abs=0.05)
    assert after == pytest.approx(1.0, abs=1e-4)


def test_two_passes_before_a_gradient_are_both_right() -> None:
    """Real and fake images pass one after the other: the second pass moves the vectors of the first."""
    layer, norm = normed(kernel())
    first = layer.weight
    u, v = norm._u.clone(), norm._v.clone()
    _ = layer.weight
    (gradient,) = torch.autograd.grad(first.square().sum(), [p for p in layer.parameters() if p.ndim == 4])
    weight = kernel().requires_grad_(True)
    (weight / (u @ weight.flatten(1) @ v)).square().sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(gradient, weight.grad)


def test_a_network_of_shapes_computes_nothing() -> None:
    with shapes_only():
        layer = nn.Conv2d(3, 6, 4)
        register_parametrization(layer, "weight", SpectralNorm(layer.weight), unsafe=True)
        table = nn.Embedding(5, 3)
    assert layer.weight.device.type == table.weight.device.type == "meta"
    layer.load_state_dict(normed(kernel())[0].state_dict(), assign=True)
    assert torch.isfinite(layer.weight).all()
