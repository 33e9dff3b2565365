"""Cross-entropy a block at a time: PyTorch's, finite differences, and all sizes of block."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seqgen.nets import cross_entropy as module
from seqgen.nets.cross_entropy import cross_entropy

both = pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])


def drawn(positions: int = 7, vocab_size: int = 11, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(positions)
    logits = scale * torch.randn(positions, vocab_size, generator=generator)
    return logits, torch.randint(vocab_size, (positions,), generator=generator)


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    [result] = torch.autograd.grad(loss, logits)
    return result


@both
@pytest.mark.parametrize("block", [1, 22, 30, 2**19], ids=["a row", "even", "uneven", "all"])
@pytest.mark.parametrize("positions", [0, 1, 7])
def test_it_is_pytorchs(smoothing: float, block: int, positions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    logits, targets = drawn(positions)
    logits.requires_grad_()
    ours = cross_entropy(logits, targets, smoothing)
    theirs = functional.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(3 * ours, logits), gradient(3 * theirs, logits))


@both
def test_its_gradient_is_that_of_finite_differences(smoothing: float) -> None:
    logits, targets = drawn(3, 5)
    logits = logits.double().requires_grad_()
    steps = 1e-6 * torch.eye(logits.numel(), dtype=torch.float64).view(-1, *logits.shape)
    with torch.no_grad():
        up, down = (
            torch.stack([cross_entropy(logits + sign * step, targets, smoothing) for step in steps]) for sign in (1, -1)
        )
    expected = ((up - down) / 2e-6).view_as(logits)
    torch.testing.assert_close(gradient(cross_entropy(logits, targets, smoothing), logits), expected)


@both
def test_rounded_logits_are_computed_with_in_fp32(smoothing: float) -> None:
    """The loss is that of the same logits in fp32; only the gradient is rounded, and once."""
    logits, targets = drawn(200, 500)
    low = logits.bfloat16().requires_grad_()
    high = low.detach().float().requires_grad_()
    ours = cross_entropy(low, targets, smoothing)
    theirs = functional.cross_entropy(high, targets, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(gradient(ours, low), gradient(theirs, high).bfloat16(), rtol=0.02, atol=1e-6)


def test_one_of_equals_costs_log_of_their_number() -> None:
    logits = torch.zeros(3, 50)
    targets = torch.tensor([0, 7, 49])
    for smoothing in (0.0, 0.1):
        assert cross_entropy(logits, targets, smoothing).item() == pytest.approx(3 * math.log(50))


def test_huge_logits_do_not_overflow_and_infinities_are_seen() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]])
    assert cross_entropy(logits, torch.tensor([0])).item() == 0.0
    assert cross_entropy(logits, torch.tensor([1])).item() == 2e4
    assert cross_entropy(torch.tensor([[math.inf, 0.0]]), torch.tensor([0])).isnan()


def test_logits_are_left_as_they_were_and_the_gradient_is_taken_once() -> None:
    logits, targets = drawn()
    before = logits.clone()
    logits.requires_grad_()
    loss = cross_entropy(logits, targets, 0.1)
    loss.backward(retain_graph=True)  # type: ignore[no-untyped-call]
    assert torch.equal(logits.detach(), before)
    with pytest.raises(RuntimeError, match="inplace"):
        loss.backward()  # type: ignore[no-untyped-call]


@both
@pytest.mark.parametrize("how", ["no grad", "inference", "frozen"])
def test_no_gradient_is_made_where_none_is_recorded(
    smoothing: float, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits, targets = drawn()
    expected = functional.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)
    logits.requires_grad_(how != "frozen")

    def refused(*_: object, **__: object) -> Tensor:
        raise AssertionError("a table of gradients")

    monkeypatch.setattr(torch, "empty_like", refused)
    with {"no grad": torch.no_grad, "inference": torch.inference_mode, "frozen": torch.enable_grad}[how]():
        loss = cross_entropy(logits, targets, smoothing)
    torch.testing.assert_close(loss, expected)
    assert not loss.requires_grad
