"""The deep convolutional GAN (Radford et al. 2016), of any image size, with or without labels.

The rules of section 3 of that paper: strided convolutions instead of pooling, fractionally-strided ones to grow,
batch norm in both networks but neither in the generator's output nor in the discriminator's input, no hidden dense
layers, ReLU and a final tanh in the generator, LeakyReLU in the discriminator.

The paper's generator projects the latent to 4x4 and doubles it up to 64x64. Here the image's size says where it starts
(`seqgen.gan.pyramid`): 28x28 grows from 7x7, and an odd size loses its last row when it was doubled.

A label enters the generator as a vector beside the latent (Mirza and Osindero 2014). In the discriminator each class
has an output layer of its own, added to the common one (the projection of Miyato and Koyama 2018, eq. 3).
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrize import ParametrizationList, register_parametrization

from seqgen.config import GanConfig, ImageFormat
from seqgen.gan.pyramid import pyramid, widths
from seqgen.nets.images.norm import BatchNorm, SpectralNorm

SLOPE = 0.2
INITIAL_DEVIATION = 0.02


class Generator(nn.Module):
    """Images from latents.

    Args:
        images (ImageFormat): what to make.
        config (GanConfig): sizes.
    """

    def __init__(self, images: ImageFormat, config: GanConfig) -> None:
        super().__init__()
        self.latent_size = config.latent_size
        self._sizes = pyramid(images.height, images.width)[::-1]
        channels = widths(config.generator_size, len(self._sizes) - 1)[::-1]
        start = channels[0] * self._sizes[0][0] * self._sizes[0][1]
        self.label = nn.Embedding(len(images.classes), config.latent_size) if images.classes else None
        # No biases before batch norm, which would take them away again.
        self.project = nn.Linear(config.latent_size * (2 if images.classes else 1), start, bias=False)
        self.norms = nn.ModuleList(BatchNorm(size) for size in channels)
        outputs = [*channels[1:], images.channels]
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=after is outputs[-1])
            for before, after in zip(channels, outputs, strict=True)
        )

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images `(batch, channels, height, width)` in [-1, 1] from latents `(batch, latent)` and labels `(batch,)`."""
        return self.paint(self.inputs(latent, labels))

    def inputs(self, latent: Tensor, labels: Tensor | None) -> Tensor:
        """The latent, and the label's vector beside it if there are labels: `(batch, inputs)`."""
        return latent if self.label is None else torch.cat([latent, self.label(labels)], dim=1)

    def paint(self, inputs: Tensor) -> Tensor:
        """Images from what `inputs` gives."""
        x = self.project(inputs).unflatten(1, (-1, *self._sizes[0]))
        for norm, grow, (height, width) in zip(self.norms, self.grow, self._sizes[1:], strict=True):
            x = grow(functional.relu(norm(x)))[:, :, :height, :width]
        return torch.tanh(x)

    def initialise(self) -> None:
        """Weights from N(0, 0.02), gains from N(1, 0.02), as in the paper."""
        initialise(self)


class Discriminator(nn.Module):
    """How real an image looks: a logit, positive for real.

    Args:
        images (ImageFormat): what it is shown.
        config (GanConfig): sizes; with the body `spectral` every layer has spectral norm (Miyato et al. 2018) and none
            has batch norm.
    """

    def __init__(self, images: ImageFormat, config: GanConfig) -> None:
        super().__init__()
        height, width = images.height, images.width
        halvings = len(pyramid(height, width)) - 1
        channels = [images.channels, *widths(config.discriminator_size, halvings)]
        spectral = config.body == "spectral"
        self.shrink = nn.ModuleList()
        self.norms = nn.ModuleList()
        for i, (before, after) in enumerate(itertools.pairwise(channels)):
            normed = i > 0 and not spectral
            self.shrink.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=not normed))
            self.norms.append(BatchNorm(after) if normed else nn.Identity())
            height, width = height // 2, width // 2
        self.judge = nn.Linear(channels[-1] * height * width, 1)
        self.label = nn.Embedding(len(images.classes), channels[-1] * height * width) if images.classes else None
        if spectral:
            for layer in (*self.shrink, self.judge, *([self.label] if self.label is not None else [])):
                register_parametrization(layer, "weight", SpectralNorm(layer.weight), unsafe=True)  # its shape stays

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits `(batch,)` of images `(batch, channels, height, width)` in [-1, 1]."""
        x = images
        for shrink, norm in zip(self.shrink, self.norms, strict=True):
            x = functional.leaky_relu(norm(shrink(x)), SLOPE)
        x = x.flatten(1)
        logits: Tensor = self.judge(x)[:, 0]
        return logits if self.label is None else logits + (x * self.label(labels)).sum(dim=1)

    def initialise(self) -> None:
        """Weights from N(0, 0.02), gains from N(1, 0.02), as in the paper."""
        initialise(self)


@torch.no_grad()
def initialise(network: nn.Module) -> None:
    """Draw all weights anew: matrices and kernels from N(0, 0.02), gains from N(1, 0.02), biases 0."""
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, 0.0, INITIAL_DEVIATION)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.normal_(parameter, 1.0, INITIAL_DEVIATION)
    for module in network.modules():
        if isinstance(module, ParametrizationList) and isinstance(norm := module[0], SpectralNorm):
            norm.initialise(module.original)
