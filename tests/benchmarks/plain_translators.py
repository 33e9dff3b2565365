"""The peers: pix2pix, CycleGAN and a level of a LapGAN with `torch.nn` alone, of the layers that seqgen has.

The first two are written from the loops of pytorch-CycleGAN-and-pix2pix: its order of turns, its losses, its pool of
fakes; the third from what the paper says of a level. Images are floats before they begin.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import CycleGanConfig, ImageFormat, LapGanConfig, Pix2PixConfig
from seqgen.gan.laplacian import doubled, halved
from seqgen.gan.pyramid import widths


def drawn(module: nn.Module) -> None:
    """Kernels from N(0, 0.02), gains from N(1, 0.02)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d) and module.affine:
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def adam(*networks: nn.Module) -> torch.optim.Adam:
    """The papers' optimizer of some networks."""
    return torch.optim.Adam(itertools.chain(*(n.parameters() for n in networks)), lr=2e-4, betas=(0.5, 0.999))


class _Block(nn.Module):
    """A layer of the U-Net with all that lies below it, as the peer nests them."""

    def __init__(self, outer: int, inner: int, inputs: int, below: nn.Module | None, *, outermost: bool) -> None:
        super().__init__()
        down: list[nn.Module] = [] if outermost else [nn.LeakyReLU(0.2)]
        down.append(nn.Conv2d(inputs, inner, 4, 2, 1, bias=outermost or below is None))
        if not outermost and below is not None:
            down.append(nn.BatchNorm2d(inner))
        up: list[nn.Module] = [nn.ReLU()]
        up.append(nn.ConvTranspose2d(inner if below is None else 2 * inner, outer, 4, 2, 1, bias=outermost))
        up += [nn.Tanh()] if outermost else [nn.BatchNorm2d(outer), nn.Dropout(0.5)]
        self.model = nn.Sequential(*down, *([] if below is None else [below]), *up)
        self.outermost = outermost

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.model(x)
        return made if self.outermost else torch.cat([x, made], 1)


def plain_unet(source: int, target: int, config: Pix2PixConfig) -> nn.Module:
    """The generator, from the inside out."""
    sizes, block = widths(config.generator_size, config.halvings), None
    for i in reversed(range(config.halvings)):
        outer = target if i == 0 else sizes[i - 1]
        block = _Block(outer, sizes[i], source if i == 0 else sizes[i - 1], block, outermost=i == 0)
    assert block is not None
    return block.apply(drawn)


def plain_patches(channels: int, size: int, norm: Callable[[int], nn.Module]) -> nn.Sequential:
    """The discriminator of patches of 34 pixels."""
    layers: list[nn.Module] = [nn.Conv2d(channels, size, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    layers += [nn.Conv2d(size, 2 * size, 4, 2, 1, bias=False), norm(2 * size), nn.LeakyReLU(0.2, True)]
    layers += [nn.Conv2d(2 * size, 4 * size, 4, 1, 1, bias=False), norm(4 * size), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, nn.Conv2d(4 * size, 1, 4, 1, 1)).apply(drawn)


class PlainPix2Pix:
    """Both networks and the step."""

    def __init__(self, source: int, images: ImageFormat, config: Pix2PixConfig) -> None:
        self.generator = plain_unet(source, images.channels, config)
        self.judge = plain_patches(source + images.channels, config.discriminator_size, nn.BatchNorm2d)
        self.of_generator, self.of_judge = adam(self.generator), adam(self.judge)

    def step(self, source: Tensor, target: Tensor) -> float:
        """The generator's loss over one batch."""
        fake = self.generator(source)
        self.of_judge.zero_grad()
        on_fake = self.judge(torch.cat([source, fake], 1).detach())
        on_real = self.judge(torch.cat([source, target], 1))
        losses = (functional.softplus(on_fake).mean() + functional.softplus(-on_real).mean()) * 0.5
        losses.backward()  # type: ignore[no-untyped-call]
        self.of_judge.step()
        self.judge.requires_grad_(False)
        self.of_generator.zero_grad()
        loss = functional.softplus(-self.judge(torch.cat([source, fake], 1))).mean()
        loss = loss + 100.0 * functional.l1_loss(fake, target)
        loss.backward()  # type: ignore[no-untyped-call]
        self.of_generator.step()
        self.judge.requires_grad_(True)
        return loss.item()


class _Residual(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for last in (False, True):
            layers += [
                nn.ReflectionPad2d(1),
                nn.Conv2d(size, size, 3, bias=False),
                nn.InstanceNorm2d(size, affine=True),
            ]
            layers += [] if last else [nn.ReLU(True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.layers(x)
        return changed


def plain_residual(source: int, target: int, config: CycleGanConfig) -> nn.Sequential:
    """The residual generator."""
    size, norm = config.generator_size, partial(nn.InstanceNorm2d, affine=True)
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(source, size, 7, bias=False), norm(size), nn.ReLU(True)]
    for before in (size, 2 * size):
        layers += [nn.Conv2d(before, 2 * before, 3, 2, 1, bias=False), norm(2 * before), nn.ReLU(True)]
    layers += [_Residual(4 * size) for _ in range(config.blocks)]
    for before in (4 * size, 2 * size):
        layers.append(nn.ConvTranspose2d(before, before // 2, 3, 2, 1, output_padding=1, bias=False))
        layers += [norm(before // 2), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(size, target, 7), nn.Tanh()).apply(drawn)


class _Pool:
    """The last fifty fakes."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []

    def query(self, images: Tensor) -> Tensor:
        shown = []
        for image in images.detach():
            if len(self.kept) < 50:
                self.kept.append(image)
                shown.append(image)
            elif random.random() > 0.5:
                place = random.randrange(50)
                shown.append(self.kept[place].clone())
                self.kept[place] = image
            else:
                shown.append(image)
        return torch.stack(shown)


class PlainCycleGan:
    """All four networks and the step."""

    def __init__(self, a: ImageFormat, b: ImageFormat, config: CycleGanConfig) -> None:
        norm = partial(nn.InstanceNorm2d, affine=True)
        self.there, self.back = (
            plain_residual(x.channels, y.channels, config) for x, y in itertools.permutations((a, b))
        )
        self.of_a, self.of_b = (plain_patches(x.channels, config.discriminator_size, norm) for x in (a, b))
        self.generators, self.judges = adam(self.there, self.back), adam(self.of_a, self.of_b)
        self.pools = _Pool(), _Pool()

    def step(self, a: Tensor, b: Tensor) -> float:
        """The generators' loss over one batch."""
        fake_b, fake_a = self.there(a), self.back(b)
        for judge in (self.of_a, self.of_b):
            judge.requires_grad_(False)
        self.generators.zero_grad()
        loss = (self.of_b(fake_b) - 1).square().mean() + (self.of_a(fake_a) - 1).square().mean()
        loss = loss + 10.0 * functional.l1_loss(self.back(fake_b), a) + 10.0 * functional.l1_loss(self.there(fake_a), b)
        loss.backward()
        self.generators.step()
        for judge in (self.of_a, self.of_b):
            judge.requires_grad_(True)
        self.judges.zero_grad()
        for judge, real, fake, pool in ((self.of_a, a, fake_a, self.pools[0]), (self.of_b, b, fake_b, self.pools[1])):
            shown = pool.query(fake)
            ((judge(real) - 1).square().mean() * 0.5 + judge(shown).square().mean() * 0.5).backward()
        self.judges.step()
        return float(loss.detach())


class PlainLevel:
    """The finest level of a LapGAN, and its step."""

    def __init__(self, images: ImageFormat, config: LapGanConfig) -> None:
        self.size, channels = (images.height, images.width), images.channels
        size, judged = config.generator_size, config.discriminator_size
        layers: list[nn.Module] = [nn.Conv2d(channels + 1, size, 4, 2, 1, bias=False)]
        for _ in range(2):
            layers += [nn.BatchNorm2d(size), nn.ReLU(True), nn.Conv2d(size, size, 3, 1, 1, bias=False)]
        layers += [nn.BatchNorm2d(size), nn.ReLU(True), nn.ConvTranspose2d(size, channels, 4, 2, 1)]
        self.generator = nn.Sequential(*layers).apply(drawn)
        flat = 2 * judged * -(-images.height // 4) * -(-images.width // 4)
        layers = [nn.Conv2d(channels, judged, 5, 2, 2), nn.LeakyReLU(0.2, True)]
        layers += [nn.Conv2d(judged, 2 * judged, 5, 2, 2, bias=False), nn.BatchNorm2d(2 * judged)]
        layers += [nn.LeakyReLU(0.2, True), nn.Flatten(), nn.Dropout(0.5), nn.Linear(flat, 1)]
        self.judge = nn.Sequential(*layers).apply(drawn)
        self.of_generator, self.of_judge = adam(self.generator), adam(self.judge)

    def step(self, real: Tensor) -> float:
        """The generator's loss over one batch."""
        below = doubled(halved(real), self.size)
        noise = torch.randn(len(real), 1, *self.size)
        fake = below + self.generator(torch.cat([below, noise], 1))
        self.of_judge.zero_grad()
        losses = functional.softplus(-self.judge(real)).mean() + functional.softplus(self.judge(fake.detach())).mean()
        losses.backward()  # type: ignore[no-untyped-call]
        self.of_judge.step()
        self.judge.requires_grad_(False)
        self.of_generator.zero_grad()
        loss = functional.softplus(-self.judge(fake)).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        self.of_generator.step()
        self.judge.requires_grad_(True)
        return loss.item()
