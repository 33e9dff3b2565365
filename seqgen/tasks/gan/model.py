"""GAN models: to build and to load.

`seqgen.tasks.gan.task` trains one, `seqgen.tasks.gan.imagine` makes images with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never, get_args

import torch
from torch import nn

from seqgen import modeldir
from seqgen.config import GanArchitecture, GanConfig, GanNetworks, ImageFormat, LapGanNetworks, to_json
from seqgen.gan.dcgan import Discriminator, Generator
from seqgen.gan.lapgan import Chain, LapGan
from seqgen.gan.r3 import ResidualDiscriminator, ResidualGenerator
from seqgen.seeds import derive
from seqgen.tasks.gan.kind import KIND
from seqgen.tasks.opening import Opening

ARCHITECTURES: Mapping[str, type[GanNetworks | LapGanNetworks]] = {
    **dict.fromkeys(get_args(GanArchitecture), GanNetworks),
    "lapgan": LapGanNetworks,
}


class Adversaries(nn.Module):
    """Both networks as one module: what a checkpoint holds.

    Args:
        images (ImageFormat): what is made and judged; a `dcgan` is not told their classes.
        config (GanConfig): which networks.
    """

    def __init__(self, images: ImageFormat, config: GanConfig) -> None:
        super().__init__()
        self.discriminator: Discriminator | ResidualDiscriminator
        self.generator: Generator | ResidualGenerator
        match config.body:
            case "dcgan" | "spectral":
                self.discriminator, self.generator = Discriminator(images, config), Generator(images, config)
            case "residual":
                self.discriminator = ResidualDiscriminator(images, config)
                self.generator = ResidualGenerator(images, config)
            case _:
                assert_never(config.body)

    def initialise(self) -> None:
        """Draw the weights of both."""
        self.generator.initialise()
        self.discriminator.initialise()


@dataclass(frozen=True)
class GanModel:
    """A generator, its discriminator, and the form of their images."""

    networks: Adversaries | LapGan
    config: GanNetworks | LapGanNetworks
    directory: Path | None = None

    @classmethod
    def new(cls, config: GanNetworks | LapGanNetworks, seed: int) -> GanModel:
        """An untrained model, its weights a function of the seed."""
        torch.manual_seed(derive(seed, "weights"))
        networks = _networks(config)
        networks.initialise()
        return cls(_laid_out(networks), config)

    @classmethod
    def load(cls, name: str, device: torch.device) -> GanModel:
        """Load a model by path or name; everything is checked before it is used.

        Raises:
            ModelError: no such model, or it is damaged, or it does not make images.
        """
        opening = Opening(name, KIND)
        config, networks = opening.network(ARCHITECTURES, _networks)
        opening.fill(networks, device)
        return cls(_laid_out(networks), config, opening.directory)

    def files(self) -> dict[str, bytes]:
        """What turns a weights file into a model directory."""
        config = modeldir.ModelConfig(KIND.task, self._architecture, to_json(self.config))
        return {modeldir.CONFIG: config.to_bytes()}

    @property
    def _architecture(self) -> str:
        return self.config.gan.arch if isinstance(self.config, GanNetworks) else self.config.lapgan.arch

    @property
    def generator(self) -> Generator | ResidualGenerator | Chain:
        """The network that makes images."""
        return self.networks.generator

    @property
    def classes(self) -> tuple[str, ...]:
        """What images can be asked for; nothing unless the model is conditional."""
        return self.config.images.classes

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.networks.parameters()).device


def _networks(config: GanNetworks | LapGanNetworks) -> Adversaries | LapGan:
    match config:
        case GanNetworks():
            return Adversaries(config.images, config.gan)
        case LapGanNetworks():
            return LapGan(config.images, config.lapgan)
        case _:
            assert_never(config)


def _laid_out(networks: Adversaries | LapGan) -> Adversaries | LapGan:
    """The same networks, kernels and hence images with their channels side by side: convolutions are faster then."""
    return networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
