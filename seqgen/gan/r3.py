"""Residual networks without any norm, written from the paper of R3GAN (Huang et al. 2024, section 4).

A loss that compares each fake with a real image, and penalties on the discriminator's slope on both sides, make the
game converge by themselves (the preset `r3`). What older networks needed to keep it stable can then go: no batch norm,
no strided convolutions, no tanh, no momentum. What is left:

- bilinear resampling between stages, and a 1x1 convolution where the number of channels changes;
- blocks `x + W3 act(W2 act(W1 x))`, where W1 and W3 are 1x1 and W2 is a 3x3 convolution in groups, twice as wide;
- an initialisation for depth without norm (Zhang et al. 2019): W3 begins at zero, the others a little smaller.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import GanConfig, ImageFormat
from seqgen.gan.pyramid import pyramid, widths

SLOPE = 0.2
EXPANSION, GROUP, BLOCKS = 2, 16, 2


class Block(nn.Module):
    """One residual step at a size.

    Args:
        channels (int): in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inside = EXPANSION * channels
        groups = inside // GROUP if inside % GROUP == 0 else 1
        self.widen = nn.Conv2d(channels, inside, 1)
        self.mix = nn.Conv2d(inside, inside, 3, padding=1, groups=groups, bias=False)
        self.narrow = nn.Conv2d(inside, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        inside = functional.leaky_relu(self.widen(x), SLOPE)
        inside = functional.leaky_relu(self.mix(inside), SLOPE)
        return torch.add(x, self.narrow(inside))


class Stage(nn.Module):
    """Resampling to a size, then blocks.

    Args:
        before (int): channels that come in.
        after (int): channels that go out.
        size (tuple[int, int]): height and width to resample to.
    """

    def __init__(self, before: int, after: int, size: tuple[int, int]) -> None:
        super().__init__()
        self._size = size
        self.change = nn.Conv2d(before, after, 1, bias=False) if before != after else nn.Identity()
        self.blocks = nn.Sequential(*(Block(after) for _ in range(BLOCKS)))

    def forward(self, x: Tensor) -> Tensor:
        """From `(batch, before, any height, any width)` to the size."""
        if x.shape[2:] != self._size:
            x = functional.interpolate(x, self._size, mode="bilinear", align_corners=False)
        blocks: Tensor = self.blocks(self.change(x))
        return blocks


class ResidualGenerator(nn.Module):
    """Images from latents.

    Args:
        images (ImageFormat): what to make.
        config (GanConfig): sizes.
    """

    def __init__(self, images: ImageFormat, config: GanConfig) -> None:
        super().__init__()
        self.latent_size = config.latent_size
        sizes = pyramid(images.height, images.width)[::-1]
        channels = [*widths(config.generator_size, len(sizes) - 1)[::-1], config.generator_size]
        self.label = nn.Embedding(len(images.classes), config.latent_size) if images.classes else None
        inputs = config.latent_size * (2 if images.classes else 1)
        self._start = (channels[0], *sizes[0])
        self.project = nn.Linear(inputs, math.prod(self._start))
        stages = zip(itertools.pairwise([channels[0], *channels]), sizes, strict=True)
        self.stages = nn.Sequential(*(Stage(before, after, size) for (before, after), size in stages))
        self.colour = nn.Conv2d(channels[-1], images.channels, 1)

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images `(batch, channels, height, width)`, about in [-1, 1], from latents `(batch, latent)` and labels."""
        return self.paint(self.inputs(latent, labels))

    def inputs(self, latent: Tensor, labels: Tensor | None) -> Tensor:
        """The latent, and the label's vector beside it if there are labels: `(batch, inputs)`."""
        return latent if self.label is None else torch.cat([latent, self.label(labels)], dim=1)

    def paint(self, inputs: Tensor) -> Tensor:
        """Images from what `inputs` gives."""
        images: Tensor = self.colour(self.stages(self.project(inputs).unflatten(1, self._start)))
        return images

    def initialise(self) -> None:
        """Draw all weights anew."""
        initialise(self)


class ResidualDiscriminator(nn.Module):
    """How real an image looks: a logit, to be compared with others.

    Args:
        images (ImageFormat): what it is shown.
        config (GanConfig): sizes.
    """

    def __init__(self, images: ImageFormat, config: GanConfig) -> None:
        super().__init__()
        sizes = pyramid(images.height, images.width)
        channels = [config.discriminator_size, *widths(config.discriminator_size, len(sizes) - 1)]
        self.colour = nn.Conv2d(images.channels, channels[0], 1)
        stages = zip(itertools.pairwise([channels[0], *channels]), sizes, strict=True)
        self.stages = nn.Sequential(*(Stage(before, after, size) for (before, after), size in stages))
        self.gather = nn.Conv2d(channels[-1], channels[-1], sizes[-1], groups=channels[-1], bias=False)
        self.judge = nn.Linear(channels[-1], 1)
        self.label = nn.Embedding(len(images.classes), channels[-1]) if images.classes else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits `(batch,)` of images `(batch, channels, height, width)` in [-1, 1]."""
        x = self.gather(self.stages(self.colour(images))).flatten(1)
        logits: Tensor = self.judge(x)[:, 0]
        return logits if self.label is None else logits + (x * self.label(labels)).sum(dim=1)

    def initialise(self) -> None:
        """Draw all weights anew."""
        initialise(self)


@torch.no_grad()
def initialise(network: nn.Module) -> None:
    """Kernels from a normal distribution that keeps the size of activations; each block adds nothing at first.

    With `L` blocks of three convolutions the first two are scaled by `L^(-1/4)` (Zhang et al. 2019, section 3).
    """
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, a=SLOPE, nonlinearity="leaky_relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, 0.0, 1.0 / math.sqrt(module.embedding_dim))
    for block in blocks:
        block.widen.weight *= len(blocks) ** -0.25
        block.mix.weight *= len(blocks) ** -0.25
        nn.init.zeros_(block.narrow.weight)
