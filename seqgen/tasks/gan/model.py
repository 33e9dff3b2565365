"""GAN models: to build and to load.

`seqgen.tasks.gan.task` trains one, `seqgen.tasks.gan.imagine` makes images with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import assert_never, get_args

import torch
from torch import nn

from seqgen import modeldir
from seqgen.config import GanArchitecture, GanConfig, GanNetworks, ImageFormat, to_json
from seqgen.gan.dcgan import Discriminator, Generator
from seqgen.gan.r3 import ResidualDiscriminator, ResidualGenerator
from seqgen.seeds import derive
from seqgen.tasks.gan.kind import KIND
from seqgen.tasks.opening import Opening


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


@dataclass(frozen=True)
class GanModel:
    """A generator, its discriminator, and the form of their images."""

    networks: Adversaries
    config: GanNetworks
    directory: Path | None = None

    @classmethod
    def new(cls, config: GanNetworks, seed: int) -> GanModel:
        """An untrained model, its weights a function of the seed."""
        torch.manual_seed(derive(seed, "weights"))
        networks = Adversaries(config.images, config.gan)
        networks.generator.initialise()
        networks.discriminator.initialise()
        return cls(_laid_out(networks), config)

    @classmethod
    def load(cls, name: str, device: torch.device) -> GanModel:
        """Load a model by path or name; everything is checked before it is used.

        Raises:
            ModelError: no such model, or it is damaged, or it does not make images.
        """
        opening = Opening(name, KIND)
        config, networks = opening.network(
            dict.fromkeys(get_args(GanArchitecture), GanNetworks), lambda config: Adversaries(config.images, config.gan)
        )
        opening.fill(networks, device)
        return cls(_laid_out(networks), config, opening.directory)

    def files(self) -> dict[str, bytes]:
        """What turns a weights file into a model directory."""
        config = modeldir.ModelConfig(KIND.task, self.config.gan.arch, to_json(self.config))
        return {modeldir.CONFIG: config.to_bytes()}

    @property
    def generator(self) -> Generator | ResidualGenerator:
        """The network that makes images."""
        return self.networks.generator

    @property
    def discriminator(self) -> Discriminator | ResidualDiscriminator:
        """The network that tells them from real ones."""
        return self.networks.discriminator

    @property
    def classes(self) -> tuple[str, ...]:
        """What images can be asked for; nothing unless the model is conditional."""
        return self.config.images.classes

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.generator.project.weight.device


def _laid_out(networks: Adversaries) -> Adversaries:
    """The same networks, kernels and hence images with their channels side by side: convolutions are faster then."""
    return networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
