"""CycleGAN: from one domain to another and back, without pairs (Zhu et al. 2017).

With adversarial losses alone any image of B would do for an image of A. So an image that goes there and back has to
come back as it was: `L(G, F) = L_GAN(G, D_B) + L_GAN(F, D_A) + lambda (|F(G(a)) - a| + |G(F(b)) - b|)` (ib., eqs. 2 and
3). The identity loss, `|G(b) - b|`, keeps an image of B as it is on the way to B (ib., section 5.2): it keeps colours.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from seqgen.config import CycleGameConfig, Direction, DomainsConfig
from seqgen.data.epochs import Indices
from seqgen.data.image_domains import Domains
from seqgen.data.image_shift import shifted
from seqgen.gan.duel import Duel
from seqgen.gan.history import History
from seqgen.tasks.image_translation.model import WAYS, CycleGan, TranslatorModel
from seqgen.tasks.image_translation.translate import scaled

# The discriminator of each domain, by the direction that leads there.
DUELS: Mapping[Direction, str] = {"a2b": "discriminator_b", "b2a": "discriminator_a"}


class Unpaired:
    """See `seqgen.tasks.gan.family.Family`.

    Args:
        model (TranslatorModel): its networks on their device already.
        domains (Domains): the images of both.
        config (DomainsConfig): how they are moved.
        game (CycleGameConfig): what generators pay for.
        train_b (Indices): the images of B that are learned from; those of A are told step by step.
    """

    def __init__(
        self,
        model: TranslatorModel,
        domains: Domains,
        config: DomainsConfig,
        game: CycleGameConfig,
        train_b: Indices,
    ) -> None:
        assert isinstance(model.networks, CycleGan)
        networks = model.networks
        self._networks, self._domains, self._config, self._game = networks, domains, config, game
        self._train_b, self._ways = train_b, model.ways
        self.players: Mapping[str, nn.Module] = {
            "discriminator_a": networks.discriminator_a,
            "discriminator_b": networks.discriminator_b,
            "generators": networks.generators,
        }
        self.duels = {name: Duel(game) for name in ("discriminator_a", "discriminator_b")}
        self.histories = {name: History(game.history) for name in self.duels}
        self._real: dict[Direction, Tensor] = {}
        self._fake: dict[Direction, Tensor] = {}

    def play(self, indices: Indices, *, step: int, learns: bool) -> None:
        """See `Family`: for the images of A as many of B, drawn at random."""
        networks, device = self._networks, self._ways["a2b"].device
        drawn = self._train_b[torch.randint(len(self._train_b), (len(indices),)).numpy()]
        real: dict[Direction, Tensor] = {
            "a2b": self._moved(torch.from_numpy(self._domains.a.pixels[indices])).to(device),
            "b2a": self._moved(torch.from_numpy(self._domains.b.pixels[drawn])).to(device),
        }
        with torch.set_grad_enabled(learns):
            fake = {way: networks.generators[way](images).float() for way, images in real.items()}
        self._real, self._fake = real, fake
        for way, back in WAYS:
            name, shown = DUELS[way], self.histories[DUELS[way]].exchange(fake[way])
            self.duels[name].meet(real[back], fake[way], self.players[name], shown=shown)

    def _moved(self, pixels: Tensor) -> Tensor:
        """Images in [-1, 1], moved and mirrored by torch's generator, which the loop seeds."""
        if self._config.shift:
            pixels = shifted(pixels, self._config.shift, int(torch.randint(2**62, ())))
        if self._config.flip:
            pixels = torch.where(torch.rand(len(pixels), 1, 1, 1) < 0.5, pixels, pixels.flip(3))
        return scaled(pixels)

    def turn(self, player: str, step: int) -> bool:
        """See `Family`: all, always."""
        return True

    def generator_loss(self, player: str) -> Tensor:
        """See `Family`: of both generators."""
        game, generators = self._game, self._networks.generators
        loss = torch.stack([duel.generator_loss() for duel in self.duels.values()]).sum()
        for way, back in WAYS:
            if game.cycle:
                returned = generators[back](self._fake[way])
                loss = loss + game.cycle * (returned.float() - self._real[way]).abs().mean()
            if game.identity:
                same = generators[way](self._real[back])
                loss = loss + game.cycle * game.identity * (same.float() - self._real[back]).abs().mean()
        return loss
