"""A family of GANs: which networks play, which duels they fight, and what else a generator pays for.

The task (`seqgen.tasks.gan.task`) trains any family, and whoever watches it says how it is doing. A new family brings
its networks, a class like `ByLabel`, and if it does not make images from noise a watch of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqgen.config import AdversarialConfig
from seqgen.data.epochs import Indices
from seqgen.data.images import ImageSet
from seqgen.gan.duel import Duel
from seqgen.gan.health import Diagnosis
from seqgen.gan.statistics import measure_statistics
from seqgen.seeds import derive
from seqgen.tasks.gan.imagine import to_bytes
from seqgen.tasks.gan.model import Adversaries, GanModel

STATISTICS_IMAGES = 256


class Family(Protocol):
    """What the task asks of a family."""

    @property
    def players(self) -> Mapping[str, nn.Module]:
        """The networks in the order of their turns: discriminators before what learns from them."""

    @property
    def duels(self) -> Mapping[str, Duel]:
        """Each by the discriminator that fights it."""

    def turn(self, player: str, step: int) -> bool:
        """Whether a player has a turn in a step, as far as the family knows."""

    def play(self, indices: Indices, *, step: int, learns: bool) -> None:
        """Read the real images `indices`, `(batch,)`, make fakes, and let the duels meet them.

        Args:
            indices (Indices): of the real images.
            step (int): which step it is.
            learns (bool): whether a generator has a turn in this step.
        """

    def generator_loss(self, player: str) -> Tensor:
        """What a generator pays, a scalar: its duels, and whatever else it has to see to."""


class Watch(Protocol):
    """How a family is doing: what the task asks at each evaluation."""

    @property
    def criterion(self) -> str | None:
        """See `seqgen.train.task.Task`."""

    def evaluate(self, stop: Callable[[], bool]) -> tuple[dict[str, float], Diagnosis] | None:
        """The measures by the names of the log, and what they say; None when `stop` became true on the way."""

    def sample(self, seed: int) -> str:
        """What was said last, and some images drawn with letters."""

    def state(self) -> dict[str, Tensor]:
        """What was watched so far."""

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `state` gave."""


class Sampled(Family, Protocol):
    """A family whose images come from noise, so that as many as wanted can be made."""

    def settle(self, seed: int, batches: int) -> None:
        """Measure what averaged weights lack, such as the statistics of batch norm, over so many batches."""

    def samples(self, count: int, seed: int) -> tuple[NDArray[np.uint8], Indices | None]:
        """Images `(count, channels, height, width)` to be judged, always of the same latents, and their classes."""

    def drawn(self, count: int, seed: int) -> NDArray[np.uint8]:
        """Some images `(count, channels, height, width)` to be shown to a person."""


class FromNoise:
    """What families share whose images come from noise: how samples are made, and batch norm's statistics.

    Args:
        model (GanModel): its networks on their device already.
        images (ImageSet): the real images.
    """

    def __init__(self, model: GanModel, images: ImageSet) -> None:
        self._model, self._images = model, images
        self._asked = None if images.labels is None else np.sort(images.labels)  # in whatever order they came

    def settle(self, seed: int, batches: int) -> None:
        """See `Sampled`: batch norm's statistics of the averaged weights, which no step has measured."""
        generator = torch.Generator().manual_seed(derive(seed, "statistics"))
        measure_statistics(self._model.generator, (self._inputs(STATISTICS_IMAGES, generator) for _ in range(batches)))

    def _inputs(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Latents `(count, latent)`, and labels `(count,)` as frequent as among the real images."""
        latents = torch.randn(count, self._model.generator.latent_size, generator=generator)
        device = self._model.device
        if self._asked is None or not self._model.classes:
            return latents.to(device), None
        chosen = torch.randint(len(self._asked), (count,), generator=generator)
        return latents.to(device), torch.from_numpy(self._asked[chosen.numpy()]).to(device)

    @torch.no_grad()
    def samples(self, count: int, seed: int) -> tuple[NDArray[np.uint8], Indices | None]:
        """See `Sampled`."""
        generator = torch.Generator().manual_seed(derive(seed, "judged"))
        made, asked = [], []
        for first in range(0, count, STATISTICS_IMAGES):
            latents, labels = self._inputs(min(STATISTICS_IMAGES, count - first), generator)
            made.append(to_bytes(self._model.generator(latents, labels)))
            if labels is not None:
                asked.append(labels.cpu().numpy())
        return np.concatenate(made), np.concatenate(asked) if asked else None

    @torch.no_grad()
    def drawn(self, count: int, seed: int) -> NDArray[np.uint8]:
        """See `Sampled`."""
        return to_bytes(self._model.generator(*self._inputs(count, torch.Generator().manual_seed(seed))))


class ByLabel(FromNoise):
    """DCGAN, and cGAN where both networks are told the label: one generator, one discriminator, one duel.

    Args:
        model (GanModel): its networks on their device already.
        images (ImageSet): the real images.
        config (AdversarialConfig): the game.
    """

    def __init__(self, model: GanModel, images: ImageSet, config: AdversarialConfig) -> None:
        super().__init__(model, images)
        assert isinstance(model.networks, Adversaries)
        networks = self._networks = model.networks
        self.players: Mapping[str, nn.Module] = {
            "discriminator": networks.discriminator,
            "generator": networks.generator,
        }
        self.duels = {"discriminator": Duel(config)}

    def turn(self, player: str, step: int) -> bool:
        """See `Family`: both, always."""
        return True

    def play(self, indices: Indices, *, step: int, learns: bool) -> None:
        """See `Family`."""
        images, labels = self._images.read(indices)
        device, told = self._model.device, labels is not None and bool(self._model.classes)
        real, labels = images.to(device), labels.to(device) if told and labels is not None else None
        latents = torch.randn(len(indices), self._networks.generator.latent_size, device=device)
        with torch.set_grad_enabled(learns):
            fake = self._networks.generator(latents, labels).float()
        self.duels["discriminator"].meet(real, fake, lambda images: self._networks.discriminator(images, labels))

    def generator_loss(self, player: str) -> Tensor:
        """See `Family`."""
        return self.duels["discriminator"].generator_loss()
