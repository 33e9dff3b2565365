from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seqgen.config import GanBody, GanConfig, GanNetworks, ImageFormat
from seqgen.gan.dcgan import Discriminator, Generator
from seqgen.gan.folding import Phases, fold
from seqgen.gan.pyramid import pyramid, widths
from seqgen.gan.r3 import Block, ResidualDiscriminator, ResidualGenerator
from seqgen.gan.statistics import measure_statistics
from seqgen.nets.images.norm import BatchNorm
from seqgen.tasks.gan.model import Adversaries, GanModel

SIZES = [(28, 28, 1), (32, 32, 3), (31, 50, 3), (4, 4, 1), (9, 21, 1)]
BODIES: list[GanBody] = ["dcgan", "spectral", "residual"]


def networks_of(height: int, width: int, channels: int, body: GanBody, classes: int = 3) -> Adversaries:
    images = ImageFormat(channels=channels, height=height, width=width, classes=tuple(map(str, range(classes))))
    gan = GanConfig(body=body, latent_size=5, generator_size=4, discriminator_size=4)
    networks = GanModel.new(GanNetworks(images=images, gan=gan), seed=0).networks
    assert isinstance(networks, Adversaries)
    return networks


def latents(count: int) -> Tensor:
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(1))


def labels(count: int) -> Tensor:
    return torch.arange(count) % 3


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        ((28, 28), [(28, 28), (14, 14), (7, 7)]),
        ((64, 64), [(64, 64), (32, 32), (16, 16), (8, 8), (4, 4)]),
        ((31, 50), [(31, 50), (16, 25), (8, 13), (4, 7)]),
        ((4, 4), [(4, 4), (2, 2)]),
    ],
)
def test_sizes_are_halved_and_rounded_up(size: tuple[int, int], sizes: list[tuple[int, int]]) -> None:
    assert pyramid(*size) == sizes


def test_channels_double_up_to_eightfold() -> None:
    assert widths(16, 6) == [16, 32, 64, 128, 128, 128]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("size", SIZES)
def test_images_of_any_size_are_made_and_judged(size: tuple[int, int, int], body: GanBody) -> None:
    height, width, channels = size
    networks = networks_of(height, width, channels, body)
    images = networks.generator(latents(4), labels(4))
    assert images.shape == (4, channels, height, width)
    assert networks.discriminator(images, labels(4)).shape == (4,)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_both_networks_look_at_the_label(body: GanBody, network: str) -> None:
    networks = networks_of(8, 8, 1, body).eval()
    given = latents(3) if network == "generator" else torch.rand(3, 1, 8, 8)
    one, other = (getattr(networks, network)(given, torch.full((3,), label)) for label in (0, 1))
    assert not torch.allclose(one, other)


@pytest.mark.parametrize("body", BODIES)
def test_a_model_without_classes_needs_no_labels(body: GanBody) -> None:
    networks = networks_of(8, 8, 1, body, classes=0)
    assert networks.discriminator(networks.generator(latents(2))).shape == (2,)


def test_the_rules_of_the_paper() -> None:
    """Section 3: no pooling, no hidden dense layer, no norm at the image, ReLU and tanh in the generator."""
    networks = networks_of(64, 64, 3, "dcgan")
    discriminator, generator = networks.discriminator, networks.generator
    assert isinstance(discriminator, Discriminator)
    assert isinstance(generator, Generator)
    assert [type(norm) for norm in discriminator.norms] == [nn.Identity, BatchNorm, BatchNorm, BatchNorm]
    assert len(generator.norms) == len(generator.grow) == 4
    assert sum(isinstance(module, nn.Linear) for module in discriminator.modules()) == 1
    assert not any("Pool" in type(module).__name__ for module in networks.modules())
    images = generator(100.0 * latents(8), labels(8))
    assert images.abs().max() <= 1.0


def test_initial_weights_are_those_of_the_paper() -> None:
    networks = networks_of(64, 64, 3, "dcgan")
    kernels = torch.cat([p.flatten() for p in networks.discriminator.parameters() if p.ndim == 4])
    assert kernels.mean().item() == pytest.approx(0.0, abs=1e-3)
    assert kernels.std().item() == pytest.approx(0.02, rel=0.03)
    gains = torch.cat([m.weight for m in networks.modules() if isinstance(m, BatchNorm)])
    assert gains.mean().item() == pytest.approx(1.0, abs=0.01)


def test_the_spectral_discriminator_has_no_norm_and_layers_of_norm_one() -> None:
    discriminator = networks_of(16, 16, 1, "spectral").discriminator
    assert isinstance(discriminator, Discriminator)
    assert not any(isinstance(module, BatchNorm) for module in discriminator.modules())
    images = torch.rand(4, 1, 16, 16)
    for _ in range(60):  # each pass in training is a step of the power iteration
        discriminator(images, labels(4))
    layers = [layer for layer in discriminator.shrink if isinstance(layer, nn.Conv2d)]
    largest = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in layers]
    assert largest == pytest.approx([1.0] * len(largest), rel=0.02)


def test_residual_networks_have_no_norm_and_begin_as_their_skips() -> None:
    networks = networks_of(16, 16, 1, "residual")
    assert isinstance(networks.generator, ResidualGenerator)
    assert isinstance(networks.discriminator, ResidualDiscriminator)
    assert not any(isinstance(module, BatchNorm) for module in networks.modules())
    block = next(module for module in networks.modules() if isinstance(module, Block))
    x = torch.randn(2, block.widen.in_channels, 4, 4)
    assert torch.equal(block(x), x)


# Batch norm ---------------------------------------------------------------------------------------------------


def measured(networks: Adversaries) -> Adversaries:
    with torch.no_grad():
        for parameter in networks.generator.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    measure_statistics(networks.generator, [(latents(64), labels(64))])
    return networks.eval()


@pytest.mark.parametrize("size", SIZES)
def test_the_folded_generator_makes_the_same_images(size: tuple[int, int, int]) -> None:
    height, width, channels = size
    generator = measured(networks_of(height, width, channels, "dcgan")).generator
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    folded = fold(generator)
    assert not any(isinstance(module, BatchNorm) for module in folded.modules())
    torch.testing.assert_close(folded(latents(6), labels(6)), generator(latents(6), labels(6)), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last])
def test_phases_are_the_transposed_convolution(bias: bool, format: torch.memory_format) -> None:
    layer = nn.ConvTranspose2d(5, 3, 4, stride=2, padding=1, bias=bias).double()
    values = torch.randn(2, 5, 3, 7, dtype=torch.float64).contiguous(memory_format=format)
    torch.testing.assert_close(Phases(layer)(values), layer(values))


def test_a_generator_without_batch_norm_is_its_own_fold() -> None:
    generator = networks_of(8, 8, 1, "residual").generator.eval()
    assert torch.equal(fold(generator)(latents(2), labels(2)), generator(latents(2), labels(2)))


def test_statistics_are_the_mean_over_the_batches() -> None:
    norm = BatchNorm(1)
    network = nn.Sequential(norm).eval()
    batches = [torch.tensor([0.0, 2.0]), torch.tensor([4.0, 8.0])]
    measure_statistics(network, ((batch.reshape(2, 1, 1, 1),) for batch in batches))
    # Means 1 and 6; unbiased variances 2 and 8.
    assert norm.running_mean.item() == pytest.approx(3.5)
    assert norm.running_var.item() == pytest.approx(5.0)
    assert norm.momentum == 0.1
    assert not network.training
