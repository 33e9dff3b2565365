"""LapGAN: a chain of GANs over a Laplacian pyramid (Denton et al. 2015).

The coarsest level is a DCGAN of small images. Each finer one is a conditional GAN: its generator is given the smaller
image, doubled, and one plane of noise, and makes the difference image that this lacks; its discriminator is shown the
sum (ib., section 3.1, and the authors' code, which adds them before its first layer). A label is one more plane of the
generator, and an output layer of its own in the discriminator.

The paper's generators are convolutions over all pixels. Here all but the first and the last layer see a quarter as
many, as in a DCGAN: in the same time a processor takes several times the steps, and the images are better for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import GanConfig, ImageFormat, LapGanConfig
from seqgen.gan.dcgan import SLOPE, Discriminator, Generator, initialise
from seqgen.gan.laplacian import doubled
from seqgen.gan.reflection import reflected
from seqgen.nets.dropout import Dropout
from seqgen.nets.images.norm import BatchNorm

KERNEL = 5
# Convolutions of a generator between the first one and the last.
INNER = 2
DROPOUT = 0.5


def level_sizes(images: ImageFormat, levels: int) -> list[tuple[int, int]]:
    """Height and width at each level, the coarsest first."""
    sizes = [(images.height, images.width)]
    for _ in range(levels - 1):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes[::-1]


class LevelGenerator(nn.Module):
    """Difference images from smaller images that were doubled, and noise.

    Args:
        images (ImageFormat): of its size.
        config (LapGanConfig): sizes.
    """

    def __init__(self, images: ImageFormat, config: LapGanConfig) -> None:
        super().__init__()
        self.size = (images.height, images.width)
        size, inputs = config.generator_size, images.channels + 1 + bool(images.classes)
        self.label = nn.Embedding(len(images.classes), images.height * images.width) if images.classes else None
        self.first = nn.Conv2d(inputs, size, 4, stride=2, padding=1, bias=False)
        self.inner = nn.ModuleList(nn.Conv2d(size, size, 3, padding=1, bias=False) for _ in range(INNER))
        self.norms = nn.ModuleList(BatchNorm(size) for _ in range(1 + INNER))
        self.last = nn.ConvTranspose2d(size, images.channels, 4, stride=2, padding=1)

    def forward(self, doubled_images: Tensor, noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Difference images `(batch, channels, height, width)`.

        Args:
            doubled_images (Tensor): likewise, in [-1, 1].
            noise (Tensor): `(batch, height * width)`.
            label (Tensor | None): the plane of each label, likewise, if there are labels.
        """
        planes = [noise] if label is None else [noise, label]
        x = torch.cat([doubled_images, *(plane.view(-1, 1, *self.size) for plane in planes)], dim=1)
        x = self.first(reflected(x, 2))
        for norm, inner in zip(self.norms, self.inner, strict=False):
            x = inner(functional.relu(norm(x)))
        difference: Tensor = self.last(functional.relu(self.norms[-1](x)))
        return difference[:, :, : self.size[0], : self.size[1]]


class LevelDiscriminator(nn.Module):
    """How real an image of one level looks: a logit, positive for real.

    Args:
        images (ImageFormat): of its size.
        config (LapGanConfig): sizes.
    """

    def __init__(self, images: ImageFormat, config: LapGanConfig) -> None:
        super().__init__()
        size = config.discriminator_size
        self.first = nn.Conv2d(images.channels, size, KERNEL, stride=2, padding=KERNEL // 2)
        self.second = nn.Conv2d(size, 2 * size, KERNEL, stride=2, padding=KERNEL // 2, bias=False)
        self.norm, self.dropout = BatchNorm(2 * size), Dropout(DROPOUT)
        flat = 2 * size * -(-images.height // 4) * -(-images.width // 4)
        self.judge = nn.Linear(flat, 1)
        self.label = nn.Embedding(len(images.classes), flat) if images.classes else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits `(batch,)` of images `(batch, channels, height, width)` in about [-1, 1]."""
        x = functional.leaky_relu(self.first(images), SLOPE)
        x = self.dropout(functional.leaky_relu(self.norm(self.second(x)), SLOPE).flatten(1))
        logits: Tensor = self.judge(x)[:, 0]
        return logits if self.label is None else logits + (x * self.label(labels)).sum(dim=1)


class Chain(nn.Module):
    """All generators of a LapGAN as one: images from latents.

    A latent is that of the coarsest level, and behind it the noise of each finer one.

    Args:
        levels (Sequence[nn.Module]): the generators, the coarsest first; they belong to whoever made them.
    """

    def __init__(self, levels: Sequence[nn.Module]) -> None:
        super().__init__()
        coarsest, *finer = levels
        assert isinstance(coarsest, Generator)
        self.coarsest = coarsest
        self.finer = nn.ModuleList(finer)
        self._parts = [
            coarsest.latent_size,
            *(_generator(level).size[0] * _generator(level).size[1] for level in finer),
        ]
        self.latent_size = sum(self._parts)

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images `(batch, channels, height, width)` from latents `(batch, latent)` and labels `(batch,)`."""
        return self.paint(self.inputs(latent, labels))

    def inputs(self, latent: Tensor, labels: Tensor | None) -> Tensor:
        """The latent, and if there are labels their vectors and planes behind it: `(batch, inputs)`."""
        if self.coarsest.label is None or labels is None:
            return latent
        told = [self.coarsest.label(labels)]
        for level in self.finer:
            label = _generator(level).label
            assert label is not None
            told.append(label(labels))
        return torch.cat([latent, *told], dim=1)

    def paint(self, inputs: Tensor) -> Tensor:
        """Images from what `inputs` gives."""
        return self.stages(inputs)[-1]

    def stages(self, inputs: Tensor) -> list[Tensor]:
        """The images of each level, the coarsest first."""
        parts = list(inputs[:, : self.latent_size].split(self._parts, dim=1))  # type: ignore[no-untyped-call]
        told: list[Tensor | None] = [None] * len(parts)
        if inputs.shape[1] > self.latent_size:
            told = list(inputs[:, self.latent_size :].split(self._parts, dim=1))  # type: ignore[no-untyped-call]
        whole = parts[0] if told[0] is None else torch.cat([parts[0], told[0]], dim=1)
        images = [self.coarsest.paint(whole)]
        for level, noise, label in zip(self.finer, parts[1:], told[1:], strict=True):
            generator = _generator(level)
            below = doubled(images[-1], generator.size)
            images.append((below + generator(below, noise, label)).clamp(-1.0, 1.0))
        return images


def _generator(level: nn.Module) -> LevelGenerator:
    assert isinstance(level, LevelGenerator)
    return level


class LapGan(nn.Module):
    """The networks of all levels as one module: what a checkpoint holds.

    Args:
        images (ImageFormat): what is made and judged at the finest level, and the classes.
        config (LapGanConfig): sizes.
    """

    def __init__(self, images: ImageFormat, config: LapGanConfig) -> None:
        super().__init__()
        self.sizes = level_sizes(images, config.levels)
        coarsest = GanConfig(
            latent_size=config.latent_size,
            generator_size=config.generator_size,
            discriminator_size=config.discriminator_size,
        )
        for level, (height, width) in enumerate(self.sizes):
            form = ImageFormat(channels=images.channels, height=height, width=width, classes=images.classes)
            made = Generator(form, coarsest) if level == 0 else LevelGenerator(form, config)
            judged = Discriminator(form, coarsest) if level == 0 else LevelDiscriminator(form, config)
            self.add_module(f"discriminator_{level}", judged)
            self.add_module(f"generator_{level}", made)

    @property
    def generator(self) -> Chain:
        """All generators as one."""
        return Chain([self.get_submodule(f"generator_{level}") for level in range(len(self.sizes))])

    def initialise(self) -> None:
        """Draw weights as a DCGAN does; a finer level adds nothing yet, so that its images begin as doubled ones."""
        for level in range(len(self.sizes)):
            for network in (self.get_submodule(f"{part}_{level}") for part in ("generator", "discriminator")):
                initialise(network)
                if isinstance(network, LevelGenerator):
                    nn.init.zeros_(network.last.weight)
