"""What a duel says of itself."""

from __future__ import annotations

import math

import torch

from seqgen.config import AdversarialConfig
from seqgen.gan.duel import WATCHED, Duel


def test_a_duel_that_was_not_fought_knows_nothing() -> None:
    duel = Duel(AdversarialConfig())
    assert all(math.isnan(duel.watched()[name]) for name in WATCHED)
    fake = torch.full((4, 1, 2, 2), -1.0, requires_grad=True)
    duel.meet(torch.ones(4, 1, 2, 2), fake, lambda images: images.mean(dim=(1, 2, 3)))
    duel.discriminator_loss()
    duel.generator_loss().backward()  # type: ignore[no-untyped-call]
    watched = duel.watched()
    assert (watched["accuracy"], watched["sign"], watched["steps"]) == (1.0, 1.0, 1.0)
    # Non-saturating: the slope of softplus(-D) at D = -1, spread by the mean over 4 images and 4 pixels: the norm at an
    # image is sigmoid(1) / 16 * sqrt(4), and the sum over 4 images four times that.
    assert math.isclose(watched["image_gradient"], torch.tensor(1.0).sigmoid().item() / 2, rel_tol=1e-6)
    duel.forget()
    assert all(math.isnan(duel.watched()[name]) for name in WATCHED)
