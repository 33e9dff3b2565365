"""GAN models: to build and to load.

`seqgen.tasks.gan.task` trains one, `seqgen.tasks.gan.imagine` makes images with it.
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import torch
from torch import nn

from seqgen import modeldir
from seqgen.config import GanConfig, GanNetworks, ImageFormat, from_json, to_json
from seqgen.errors import ConfigError, ModelError
from seqgen.gan.dcgan import Discriminator, Generator
from seqgen.gan.r3 import ResidualDiscriminator, ResidualGenerator
from seqgen.nets.shapes import shapes_only
from seqgen.seeds import derive

TASK = "images"
ARCHITECTURES = ("dcgan", "cgan")


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
        directory = modeldir.locate(name)
        described = modeldir.read_config(directory)
        path = directory / modeldir.CONFIG
        if described.task != TASK:
            raise ModelError(f"{directory} is a model for {reprlib.repr(described.task)}, not for images")
        if described.architecture not in ARCHITECTURES:
            known = ", ".join(ARCHITECTURES)
            raise ModelError(f"{path}: architecture {described.architecture!r} is unknown; known: {known}")
        try:
            config = from_json(GanNetworks, described.network, where=f"{path}: network")
            with shapes_only():
                networks = Adversaries(config.images, config.gan)
        except ConfigError as error:
            raise ModelError(error.message, hint=error.hint) from None
        shapes = {key: tuple(value.shape) for key, value in networks.state_dict().items()}
        tensors = modeldir.read_tensors(directory / modeldir.WEIGHTS, shapes)
        networks.load_state_dict({key: value.float() for key, value in tensors.items()}, assign=True)
        _laid_out(networks).to(device).eval().requires_grad_(False)
        return cls(networks, config, directory)

    def files(self) -> dict[str, bytes]:
        """What turns a weights file into a model directory."""
        config = modeldir.ModelConfig(TASK, self.config.gan.arch, to_json(self.config))
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
