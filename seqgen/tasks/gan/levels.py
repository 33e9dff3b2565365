"""LapGAN: a duel at each level of a Laplacian pyramid (Denton et al. 2015, section 3.1).

Each level learns from real pyramids, so that none waits for another: its generator is given the real image of the level
below. Only in use does one level go on from what the other made.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqgen.config import LapGanGameConfig
from seqgen.data.epochs import Indices
from seqgen.data.images import ImageSet
from seqgen.gan.dcgan import Generator
from seqgen.gan.duel import Duel
from seqgen.gan.lapgan import LapGan, LevelGenerator
from seqgen.gan.laplacian import doubled, gaussian_pyramid
from seqgen.tasks.gan.family import FromNoise
from seqgen.tasks.gan.model import GanModel


class ByLevel(FromNoise):
    """See `seqgen.tasks.gan.family.Family`.

    Args:
        model (GanModel): its networks on their device already.
        images (ImageSet): the real images.
        config (LapGanGameConfig): the game, and which level is played.
    """

    def __init__(self, model: GanModel, images: ImageSet, config: LapGanGameConfig) -> None:
        super().__init__(model, images)
        assert isinstance(model.networks, LapGan)
        self._networks, self._level = model.networks, config.level
        self.levels = len(model.networks.sizes)
        names = [f"{part}_{level}" for level in range(self.levels) for part in ("discriminator", "generator")]
        self.players: Mapping[str, nn.Module] = {name: model.networks.get_submodule(name) for name in names}
        self.duels = {f"discriminator_{level}": Duel(config) for level in range(self.levels)}

    def turn(self, player: str, step: int) -> bool:
        """See `Family`: the level that was asked for, or each in turn."""
        level = self._level - 1 if self._level else step % self.levels
        return player.endswith(f"_{level}")

    def play(self, indices: Indices, *, step: int, learns: bool) -> None:
        """See `Family`."""
        level = self._level - 1 if self._level else step % self.levels
        images, labels = self._images.read(indices)
        device = self._model.device
        told = labels.to(device) if labels is not None and self._model.classes else None
        sizes = gaussian_pyramid(images.to(device), self.levels)
        generator, judge = self.players[f"generator_{level}"], self.players[f"discriminator_{level}"]
        real = sizes[level].detach()
        with torch.set_grad_enabled(learns):
            if isinstance(generator, Generator):
                noise = torch.randn(len(indices), generator.latent_size, device=device)
                fake = generator(noise, told).float()
            else:
                assert isinstance(generator, LevelGenerator)
                height, width = generator.size
                noise = torch.randn(len(indices), height * width, device=device)
                below = doubled(sizes[level - 1], generator.size)
                label = None if generator.label is None else generator.label(told)
                fake = below + generator(below, noise, label).float()
        self.duels[f"discriminator_{level}"].meet(real, fake, lambda shown: judge(shown, told))

    def generator_loss(self, player: str) -> Tensor:
        """See `Family`."""
        return self.duels[player.replace("generator", "discriminator")].generator_loss()


def stages_of(images: NDArray[np.uint8], levels: int) -> list[NDArray[np.uint8]]:
    """Real images `(n, channels, height, width)` at each level, the coarsest first, as bytes."""
    sizes = gaussian_pyramid(torch.tensor(images).float(), levels)
    return [size.round().clamp(0, 255).to(torch.uint8).numpy() for size in sizes]
