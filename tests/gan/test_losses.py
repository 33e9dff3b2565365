"""Losses with numbers worked on paper: softplus(log 3) = log 4, and softplus(-log 3) = log 4/3."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import Tensor

from seqgen.config import GanLoss
from seqgen.gan.losses import discriminator_loss, generator_loss, gradient_penalty, needs_real, squared_slope

LOG3, LOG4, LOG4_3 = math.log(3), math.log(4), math.log(4 / 3)
REAL, FAKE = torch.tensor([LOG3, 0.0]), torch.tensor([-LOG3, 0.0])
LOG2 = math.log(2)

# Real (log 3, 0), fake (-log 3, 0): the discriminator is right about one of each, and undecided about the other.
DISCRIMINATOR: dict[GanLoss, float] = {
    "minimax": LOG4_3 + LOG2,  # (log 4/3 + log 2) / 2 for each side
    "non-saturating": LOG4_3 + LOG2,
    "least-squares": ((LOG3 - 1) ** 2 + 1 + LOG3**2) / 4,
    "hinge": 1.0,  # real: max(0, 1 - 1.0986) = 0 and 1; fake: 0 and 1
    "wasserstein-gp": -LOG3,
    "relativistic": (math.log(10 / 9) + LOG2) / 2,  # softplus(-2 log 3) = log(1 + 1/9)
}
GENERATOR: dict[GanLoss, float] = {
    "minimax": -(LOG4_3 + LOG2) / 2,
    "non-saturating": (LOG4 + LOG2) / 2,
    "least-squares": ((LOG3 + 1) ** 2 + 1) / 4,
    "hinge": LOG3 / 2,
    "wasserstein-gp": LOG3 / 2,
    "relativistic": (math.log(10) + LOG2) / 2,  # softplus(2 log 3) = log(1 + 9)
}


def test_every_loss_is_worked() -> None:
    assert set(DISCRIMINATOR) == set(GENERATOR) == set(get_args(GanLoss))


@pytest.mark.parametrize("kind", get_args(GanLoss))
def test_losses_are_those_worked_on_paper(kind: GanLoss) -> None:
    assert discriminator_loss(kind, REAL, FAKE).item() == pytest.approx(DISCRIMINATOR[kind])
    real = REAL if needs_real(kind) else None
    assert generator_loss(kind, FAKE, real).item() == pytest.approx(GENERATOR[kind])


def slope_of(kind: GanLoss, logit: float) -> float:
    fake = torch.tensor([logit], requires_grad=True)
    generator_loss(kind, fake).backward()  # type: ignore[no-untyped-call]
    assert fake.grad is not None
    return fake.grad.item()


def test_minimax_tells_a_losing_generator_nothing_and_non_saturating_does() -> None:
    # -sigmoid(-6) and -sigmoid(6).
    assert slope_of("minimax", -6.0) == pytest.approx(-1 / (1 + math.exp(6)))
    assert slope_of("non-saturating", -6.0) == pytest.approx(-1 / (1 + math.exp(-6)))
    assert slope_of("minimax", 0.0) == slope_of("non-saturating", 0.0) == -0.5


@pytest.mark.parametrize("kind", get_args(GanLoss))
def test_large_logits_stay_finite(kind: GanLoss) -> None:
    huge = torch.tensor([1e4, -1e4])
    assert torch.isfinite(discriminator_loss(kind, huge, -huge))
    assert torch.isfinite(generator_loss(kind, huge, -huge))


def plane(images: Tensor) -> Tensor:
    """A logit that rises by 3 along the first pixel and by 4 along the second."""
    return images.flatten(1)[:, 0] * 3.0 + images.flatten(1)[:, 1] * 4.0


def test_the_squared_slope_of_a_plane() -> None:
    images = torch.rand(5, 1, 2, 2).requires_grad_()
    assert squared_slope(plane(images), images).item() == pytest.approx(25.0)


def test_the_penalty_wants_a_slope_of_one() -> None:
    real, fake = torch.ones(4, 1, 2, 2), torch.zeros(4, 1, 2, 2)
    assert gradient_penalty(plane, real, fake, torch.rand(4)).item() == pytest.approx(16.0)
    assert gradient_penalty(lambda x: plane(x) / 5.0, real, fake, torch.rand(4)).item() == pytest.approx(0.0, abs=1e-9)


def test_the_penalty_is_taken_between_the_images() -> None:
    seen: list[Tensor] = []

    def discriminate(images: Tensor) -> Tensor:
        seen.append(images.detach())
        return plane(images)

    gradient_penalty(discriminate, torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2), torch.tensor([0.25, 1.0]))
    assert seen[0].flatten(1).tolist() == [[0.25] * 4, [1.0] * 4]


def test_penalties_can_be_learned_from() -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    images = torch.ones(1, 1, 1, 1, requires_grad=True)
    squared_slope(weight * images.flatten(), images).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(4.0)  # d w^2 / dw
