"""pix2pix: images of images, learned from pairs (Isola et al. 2017).

The discriminator is shown the input beside the image, so that an image that fits another input is a fake as well. The
generator pays for what the discriminator says and for its distance from the target: `G* = arg min_G max_D L_cGAN(G, D)
+ lambda L_L1(G)` (ib., eq. 4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from seqgen.config import PairConfig, PairedGameConfig, Pix2PixNetworks
from seqgen.data.epochs import Indices
from seqgen.data.image_pairs import PairSet
from seqgen.data.image_shift import shifted
from seqgen.gan.duel import Duel
from seqgen.gan.statistics import measure_statistics
from seqgen.seeds import derive
from seqgen.tasks.image_translation.model import Pix2Pix, TranslatorModel
from seqgen.tasks.image_translation.translate import scaled

DUEL = "discriminator"
STATISTICS_BATCH = 32


class Paired:
    """See `seqgen.tasks.gan.family.Family`.

    Args:
        model (TranslatorModel): its networks on their device already.
        pairs (PairSet): inputs and targets.
        config (PairConfig): how pairs are moved.
        game (PairedGameConfig): what the generator pays for.
        train (Indices): the pairs that are learned from.
    """

    def __init__(
        self, model: TranslatorModel, pairs: PairSet, config: PairConfig, game: PairedGameConfig, train: Indices
    ) -> None:
        assert isinstance(model.networks, Pix2Pix)
        assert isinstance(model.config, Pix2PixNetworks)
        self._pairs, self._config, self._game, self._train = pairs, config, game, train
        self._networks, self._sees_input = model.networks, model.config.pix2pix.see_input
        self._way = model.way()
        self.players: Mapping[str, nn.Module] = {
            DUEL: model.networks.discriminator,
            "generator": model.networks.generator,
        }
        self.duels = {DUEL: Duel(game)}
        self._fake = self._target = torch.empty(0)

    def play(self, indices: Indices, *, step: int, learns: bool) -> None:
        """See `Family`."""
        source, target = (scaled(x).to(self._way.device) for x in self._moved(*self._pairs.read(indices)))
        with torch.set_grad_enabled(learns):
            fake = self._networks.generator(source).float()
        self._fake, self._target = fake, target
        self.duels[DUEL].meet(target, fake, self._discriminate(source))

    def _discriminate(self, source: Tensor) -> Callable[[Tensor], Tensor]:
        """How images are judged that are of these inputs."""
        discriminator = self._networks.discriminator
        if not self._sees_input:
            return discriminator
        return lambda images: discriminator(torch.cat([source, images.to(source.dtype)], dim=1))

    def _moved(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Both images of each pair moved and mirrored alike, by torch's generator, which the loop seeds."""
        both = torch.cat([source, target], dim=1)
        if self._config.shift:
            both = shifted(both, self._config.shift, int(torch.randint(2**62, ())))
        if self._config.flip:
            both = torch.where(torch.rand(len(both), 1, 1, 1) < 0.5, both, both.flip(3))
        return both[:, : source.shape[1]], both[:, source.shape[1] :]

    def turn(self, player: str, step: int) -> bool:
        """See `Family`: all, always."""
        return True

    def generator_loss(self, player: str) -> Tensor:
        """See `Family`."""
        loss = self._game.l1 * (self._fake - self._target).abs().mean()
        if self._game.adversarial:
            loss = loss + self._game.adversarial * self.duels[DUEL].generator_loss()
        return loss

    def settle(self, seed: int, batches: int) -> None:
        """Measure batch norm's statistics of the averaged weights, which no step has measured."""
        draw = np.random.Generator(np.random.PCG64(derive(seed, "statistics")))
        count = min(STATISTICS_BATCH, len(self._train))
        drawn = (np.sort(draw.choice(self._train, count, replace=False)) for _ in range(batches))
        inputs = ((scaled(self._pairs.read(some)[0]).to(self._way.device),) for some in drawn)
        measure_statistics(self._networks.generator, inputs)
