"""Models that make an image of an image: to build and to load.

`seqgen.tasks.gan.task` trains one, `seqgen.tasks.image_translation.translate` uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import torch
from torch import nn

from seqgen import modeldir
from seqgen.config import Condition, CycleGanNetworks, Direction, ImageFormat, Pix2PixNetworks, to_json
from seqgen.errors import UsageError
from seqgen.gan.dcgan import initialise
from seqgen.gan.patches import PatchDiscriminator
from seqgen.gan.residual import ResidualTranslator
from seqgen.gan.unet import UNet
from seqgen.seeds import derive
from seqgen.tasks.image_translation.kind import KIND
from seqgen.tasks.opening import Opening

ARCHITECTURES: Mapping[str, type[Pix2PixNetworks | CycleGanNetworks]] = {
    "pix2pix": Pix2PixNetworks,
    "cyclegan": CycleGanNetworks,
}
# Each direction, and the way back.
WAYS: tuple[tuple[Direction, Direction], ...] = (("a2b", "b2a"), ("b2a", "a2b"))


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


class CycleGan(nn.Module):
    """All four networks as one module.

    Args:
        config (CycleGanNetworks): sizes.
    """

    def __init__(self, config: CycleGanNetworks) -> None:
        super().__init__()
        a, b, sizes = config.images_a, config.images_b, config.cyclegan
        size = (a.height, a.width)
        self.discriminator_a, self.discriminator_b = (
            PatchDiscriminator(images.channels, sizes.discriminator_size, sizes.patch, size, norm="instance")
            for images in (a, b)
        )
        self.generators = nn.ModuleDict(
            {
                "a2b": ResidualTranslator(a.channels, b.channels, sizes),
                "b2a": ResidualTranslator(b.channels, a.channels, sizes),
            }
        )


@dataclass(frozen=True)
class Way:
    """One direction of a model: from what, through what, to what.

    Args:
        generator (UNet | ResidualTranslator): makes the images.
        source_channels (int): of its input.
        images (ImageFormat): what it makes, and the size that it was trained with.
    """

    generator: UNet | ResidualTranslator
    source_channels: int
    images: ImageFormat

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.generator.parameters()).device


@dataclass(frozen=True)
class TranslatorModel:
    """Networks, and the form of their images."""

    networks: Pix2Pix | CycleGan
    config: Pix2PixNetworks | CycleGanNetworks
    directory: Path | None = None

    @classmethod
    def new(cls, config: Pix2PixNetworks | CycleGanNetworks, seed: int) -> TranslatorModel:
        """An untrained model, its weights a function of the seed."""
        torch.manual_seed(derive(seed, "weights"))
        networks = _networks(config)
        initialise(networks)
        return cls(_laid_out(networks), config)

    @classmethod
    def load(cls, name: str, device: torch.device) -> TranslatorModel:
        """Load a model by path or name; everything is checked before it is used.

        Raises:
            ModelError: no such model, or it is damaged, or it does not make images of images.
        """
        opening = Opening(name, KIND)
        config, networks = opening.network(ARCHITECTURES, _networks)
        opening.fill(networks, device)
        return cls(_laid_out(networks), config, opening.directory)

    def files(self) -> dict[str, bytes]:
        """What turns a weights file into a model directory."""
        architecture = "pix2pix" if isinstance(self.config, Pix2PixNetworks) else "cyclegan"
        return {modeldir.CONFIG: modeldir.ModelConfig(KIND.task, architecture, to_json(self.config)).to_bytes()}

    @property
    def ways(self) -> dict[Direction, Way]:
        """The directions that it goes; the first one is meant where none is named."""
        if isinstance(self.config, Pix2PixNetworks):
            assert isinstance(self.networks, Pix2Pix)
            way = Way(self.networks.generator, self.config.source_channels, self.config.images)
            return {self.config.direction: way}
        assert isinstance(self.networks, CycleGan)
        a, b = self.config.images_a, self.config.images_b
        there, back = (self.networks.generators[direction] for direction, _ in WAYS)
        assert isinstance(there, ResidualTranslator)
        assert isinstance(back, ResidualTranslator)
        return {"a2b": Way(there, a.channels, b), "b2a": Way(back, b.channels, a)}

    def way(self, direction: Direction | None = None) -> Way:
        """One of them.

        Raises:
            UsageError: it does not go this one.
        """
        ways = self.ways
        direction = direction or next(iter(ways))
        if direction not in ways:
            raise UsageError(f"--direction {direction}: this model goes {' and '.join(ways)} only")
        return ways[direction]

    @property
    def condition(self) -> Condition:
        """How the inputs of its training were derived from images."""
        return self.config.condition if isinstance(self.config, Pix2PixNetworks) else "none"


def _networks(config: Pix2PixNetworks | CycleGanNetworks) -> Pix2Pix | CycleGan:
    match config:
        case Pix2PixNetworks():
            return Pix2Pix(config)
        case CycleGanNetworks():
            return CycleGan(config)
        case _:
            assert_never(config)


def _laid_out(networks: Pix2Pix | CycleGan) -> Pix2Pix | CycleGan:
    """The same networks, kernels and hence images with their channels side by side: convolutions are faster then."""
    return networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
