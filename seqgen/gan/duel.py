"""A duel: what one generator makes against one discriminator. Losses, penalties, augmentation, and what is watched."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from seqgen.config import AdversarialConfig, GanLoss
from seqgen.gan.augment import augment
from seqgen.gan.losses import discriminator_loss, generator_loss, gradient_penalty, needs_real, squared_slope

WATCHED = ("accuracy", "sign", "image_gradient")
# Losses that compare logits, which have no zero of their own.
CRITICS: tuple[GanLoss, ...] = ("relativistic", "wasserstein-gp")

Discriminate = Callable[[Tensor], Tensor]
"""From images `(batch, channels, height, width)` to logits, one or more for each image."""


class Duel:
    """One step at a time: `meet` gives it images, then each side asks for its loss.

    Args:
        config (AdversarialConfig): loss, penalties, augmentation.

    Attributes:
        accuracy (float): how often the discriminator was right in its last turn.
    """

    def __init__(self, config: AdversarialConfig) -> None:
        self._config = config
        self._real = self._fake = self._shown = torch.empty(0)
        self._tell_apart: Discriminate = torch.detach
        self._sums = torch.zeros(1, len(WATCHED) + 1)
        self.accuracy = 0.0

    def meet(self, real: Tensor, fake: Tensor, discriminate: Discriminate, *, shown: Tensor | None = None) -> None:
        """The images of a step, and what tells them apart.

        Args:
            real (Tensor): `(batch, channels, height, width)`.
            fake (Tensor): what the generator made, likewise.
            discriminate (Discriminate): what tells them apart.
            shown (Tensor | None): the fakes that the discriminator learns from, if it is not these.
        """
        # By another name, so that what is watched is the discriminator's gradient alone, whatever else the fakes pay.
        self._real, self._fake, self._tell_apart = real, fake.view_as(fake), discriminate
        self._shown = fake if shown is None else shown
        if fake.requires_grad:
            self._fake.register_hook(self._watch_gradient)  # type: ignore[no-untyped-call]

    def _discriminate(self, images: Tensor) -> Tensor:
        return self._tell_apart(images).float()

    def discriminator_loss(self) -> Tensor:
        """The discriminator's loss over the batch, a scalar, penalties included."""
        config = self._config
        real = augment(self._real, config.augment).detach().requires_grad_(config.r1 > 0)
        fake = augment(self._shown.detach(), config.augment).requires_grad_(config.r2 > 0)
        on_real, on_fake = self._discriminate(real), self._discriminate(fake)
        loss = discriminator_loss(config.loss, on_real, on_fake)
        if config.r1 > 0:
            loss = loss + config.r1 / 2 * squared_slope(on_real, real)
        if config.r2 > 0:
            loss = loss + config.r2 / 2 * squared_slope(on_fake, fake)
        if config.loss == "wasserstein-gp":
            shares = torch.rand(len(real), device=real.device)
            loss = loss + config.gradient_penalty * gradient_penalty(self._discriminate, real, fake, shares)
        self._watch(on_real.detach(), on_fake.detach())
        return loss

    def generator_loss(self) -> Tensor:
        """The generator's loss over the batch, a scalar."""
        config = self._config
        on_fake = self._discriminate(augment(self._fake, config.augment))
        on_real = self._discriminate(augment(self._real, config.augment)) if needs_real(config.loss) else None
        return generator_loss(config.loss, on_fake, on_real)

    # Watching ---------------------------------------------------------------------------------------------

    def _watch(self, on_real: Tensor, on_fake: Tensor) -> None:
        """Remember how often the discriminator was right. What compares has no zero: there the pairs count."""
        middle = 0.5 if self._config.loss == "least-squares" else 0.0
        if self._config.loss in CRITICS:
            middle = float(on_fake.mean() + on_real.mean()) / 2
        real = (on_real > middle).float().mean()
        self.accuracy = float(real + (on_fake < middle).float().mean()) / 2
        self._sums += torch.tensor([self.accuracy, 2 * float(real) - 1, 0.0, 1.0])

    def _watch_gradient(self, gradient: Tensor) -> None:
        """Remember what the generator is told: the norm of the gradient at one image."""
        self._sums[0, WATCHED.index("image_gradient")] += float(gradient.flatten(1).norm(dim=1).sum())

    def watched(self) -> dict[str, float]:
        """The means since the last `forget`, and over how many steps.

        NaN is what nobody knows: all of them without a step, and how often a critic was right.
        """
        *sums, steps = self._sums[0].tolist()
        means = {name: total / steps if steps else math.nan for name, total in zip(WATCHED, sums, strict=True)}
        return means | {"steps": steps} | ({"accuracy": math.nan} if self._config.loss in CRITICS else {})

    def forget(self) -> None:
        """Begin to watch anew."""
        self._sums = torch.zeros_like(self._sums)

    def state(self) -> Tensor:
        """What was watched, `(1, 4)`."""
        return self._sums

    def load_state(self, sums: Tensor) -> None:
        """Restore what `state` gave."""
        self._sums = sums.clone()
