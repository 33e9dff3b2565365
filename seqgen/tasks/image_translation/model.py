"""Models that make an image of an image: to build and to load.

`seqgen.tasks.gan.task` trains one, `seqgen.tasks.image_translation.translate` uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from seqgen import modeldir
from seqgen.config import Condition, ImageFormat, Pix2PixNetworks, to_json
from seqgen.gan.dcgan import initialise
from seqgen.gan.patches import PatchDiscriminator
from seqgen.gan.unet import UNet
from seqgen.seeds import derive
from seqgen.tasks.image_translation.kind import KIND
from seqgen.tasks.opening import Opening

PIX2PIX = "pix2pix"


class Pix2Pix(nn.Module):
    """Both networks as one module: what a checkpoint holds.

    Args:
        config (Pix2PixNetworks): sizes.
    """

    def __init__(self, config: Pix2PixNetworks) -> None:
        super().__init__()
        images, sizes = config.images, config.pix2pix
        shown = images.channels + (config.source_channels if sizes.see_input else 0)
        self.discriminator = PatchDiscriminator(
            shown, sizes.discriminator_size, sizes.patch, (images.height, images.width), norm=sizes.norm
        )
        self.generator = UNet(config.source_channels, images.channels, sizes)


@dataclass(frozen=True)
class TranslatorModel:
    """A generator, its discriminator, and the form of their images."""

    networks: Pix2Pix
    config: Pix2PixNetworks
    directory: Path | None = None

    @classmethod
    def new(cls, config: Pix2PixNetworks, seed: int) -> TranslatorModel:
        """An untrained model, its weights a function of the seed."""
        torch.manual_seed(derive(seed, "weights"))
        networks = Pix2Pix(config)
        initialise(networks.generator)
        initialise(networks.discriminator)
        return cls(_laid_out(networks), config)

    @classmethod
    def load(cls, name: str, device: torch.device) -> TranslatorModel:
        """Load a model by path or name; everything is checked before it is used.

        Raises:
            ModelError: no such model, or it is damaged, or it does not make images of images.
        """
        opening = Opening(name, KIND)
        config, networks = opening.network({PIX2PIX: Pix2PixNetworks}, Pix2Pix)
        opening.fill(networks, device)
        return cls(_laid_out(networks), config, opening.directory)

    def files(self) -> dict[str, bytes]:
        """What turns a weights file into a model directory."""
        return {modeldir.CONFIG: modeldir.ModelConfig(KIND.task, PIX2PIX, to_json(self.config)).to_bytes()}

    @property
    def generator(self) -> UNet:
        """The network that makes images."""
        return self.networks.generator

    @property
    def source_channels(self) -> int:
        """Of the input."""
        return self.config.source_channels

    @property
    def images(self) -> ImageFormat:
        """The size that it was trained with, and the channels of what it makes."""
        return self.config.images

    @property
    def condition(self) -> Condition:
        """How the inputs of its training were derived from images."""
        return self.config.condition

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.networks.parameters()).device


def _laid_out(networks: Pix2Pix) -> Pix2Pix:
    """The same networks, kernels and hence images with their channels side by side: convolutions are faster then."""
    return networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
