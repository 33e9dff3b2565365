"""The peer: a DCGAN as `dcgan/main.py` of pytorch/examples writes it, with `torch.nn` alone.

Written from that example: its layers, its initial weights, its sigmoid and `BCELoss`, its Adam, its loop, in which the
generator's turn computes gradients of the discriminator too and throws them away. It makes 64x64 images there; here
the first layer decides, as in the paper, so that it begins with 7x7 for 28x28.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from seqgen.config import GanConfig, ImageFormat
from seqgen.gan.pyramid import pyramid, widths


def plain_generator(images: ImageFormat, config: GanConfig) -> nn.Sequential:
    """Images from latents `(batch, latent, 1, 1)`."""
    sizes = pyramid(images.height, images.width)[::-1]
    channels = widths(config.generator_size, len(sizes) - 1)[::-1]
    layers: list[nn.Module] = [nn.ConvTranspose2d(config.latent_size, channels[0], sizes[0], 1, 0, bias=False)]
    for before, after in itertools.pairwise(channels):
        layers += [nn.BatchNorm2d(before), nn.ReLU(True), nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)]
    layers += [nn.BatchNorm2d(channels[-1]), nn.ReLU(True)]
    layers += [nn.ConvTranspose2d(channels[-1], images.channels, 4, 2, 1, bias=False), nn.Tanh()]
    return nn.Sequential(*layers).apply(_draw)


def plain_discriminator(images: ImageFormat, config: GanConfig) -> nn.Sequential:
    """How probably real, `(batch, 1, 1, 1)`, images `(batch, channels, height, width)` are."""
    sizes = pyramid(images.height, images.width)
    channels = widths(config.discriminator_size, len(sizes) - 1)
    layers: list[nn.Module] = [nn.Conv2d(images.channels, channels[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for before, after in itertools.pairwise(channels):
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2, True)]
    layers += [nn.Conv2d(channels[-1], 1, sizes[-1], 1, 0, bias=False), nn.Sigmoid()]
    return nn.Sequential(*layers).apply(_draw)


def _draw(module: nn.Module) -> None:
    """Kernels from N(0, 0.02), gains from N(1, 0.02)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


class PlainGame:
    """Both networks, their optimizers, and the example's step.

    Args:
        images (ImageFormat): what is made.
        config (GanConfig): sizes.
        lr (float): Adam's.
    """

    def __init__(self, images: ImageFormat, config: GanConfig, lr: float = 2e-4) -> None:
        self.generator, self.discriminator = plain_generator(images, config), plain_discriminator(images, config)
        self._latent_size, self._criterion = config.latent_size, nn.BCELoss()
        self._optimizers = [
            torch.optim.Adam(network.parameters(), lr=lr, betas=(0.5, 0.999))
            for network in (self.discriminator, self.generator)
        ]

    def step(self, real: Tensor) -> tuple[float, float]:
        """Both losses of one batch."""
        of_discriminator, of_generator = self._optimizers
        self.discriminator.zero_grad()
        output = self.discriminator(real).view(-1)
        loss_real = self._criterion(output, torch.ones_like(output))
        loss_real.backward()
        fake = self.generator(torch.randn(len(real), self._latent_size, 1, 1))
        output = self.discriminator(fake.detach()).view(-1)
        loss_fake = self._criterion(output, torch.zeros_like(output))
        loss_fake.backward()
        of_discriminator.step()
        self.generator.zero_grad()
        output = self.discriminator(fake).view(-1)
        loss = self._criterion(output, torch.ones_like(output))
        loss.backward()
        of_generator.step()
        return loss_real.item() + loss_fake.item(), loss.item()
