"""LapGAN: what each level learns from, whose turn it is, and what the chain makes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gan_models import CPU, bars, write_model
from torch import nn
from torch.nn import functional

from seqgen.config import (
    GanConfig,
    GanNetworks,
    ImageConfig,
    ImageFormat,
    LapGanConfig,
    LapGanGameConfig,
    LapGanNetworks,
)
from seqgen.data.images import ImageSet, build_images
from seqgen.errors import ConfigError, UsageError
from seqgen.gan.lapgan import Chain, LapGan, LevelGenerator, level_sizes
from seqgen.gan.laplacian import doubled, gaussian_pyramid, laplacian_pyramid
from seqgen.gan.statistics import measure_statistics
from seqgen.tasks.gan.imagine import Imagination, grown
from seqgen.tasks.gan.judge import Judge
from seqgen.tasks.gan.levels import ByLevel, stages_of
from seqgen.tasks.gan.model import GanModel
from seqgen.tasks.gan.task import GanTask
from seqgen.tasks.gan.watch import SampleWatch

MNIST = Path(os.environ.get("SEQGEN_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "mnist"
needs_mnist = pytest.mark.skipif(not MNIST.is_dir(), reason="MNIST is not here")


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return bars(64, side=16)


def model_of(images: ImageSet, *, seed: int = 0, **config: Any) -> GanModel:
    _, channels, height, width = images.pixels.shape
    form = ImageFormat(channels=channels, height=height, width=width, classes=images.classes)
    sizes = {"levels": 3, "latent_size": 6, "generator_size": 8, "discriminator_size": 8} | config
    return GanModel.new(LapGanNetworks(images=form, lapgan=LapGanConfig(**sizes)), seed)


def task_of(images: ImageSet, model: GanModel, *, seed: int = 0, **game: Any) -> GanTask:
    config = LapGanGameConfig(**game)
    family = ByLevel(model, images, config)
    watch = SampleWatch(family, Judge(images, "pixels", seed, CPU), seed=seed)
    return GanTask(family, watch, np.arange(len(images)), config, batch_size=16, seed=seed)


def networks_of(model: GanModel) -> LapGan:
    assert isinstance(model.networks, LapGan)
    return model.networks


def chain_of(model: GanModel) -> Chain:
    assert isinstance(model.generator, Chain)
    return model.generator


def train(task: GanTask, steps: int, first: int = 0) -> None:
    optimizers = {n: torch.optim.Adam(net.parameters(), 2e-3, betas=(0.5, 0.999)) for n, net in task.players.items()}
    for step in range(first, first + steps):
        torch.manual_seed(step)
        task.prepare(step)
        for name, optimizer in optimizers.items():
            if task.pace(name, step):
                optimizer.zero_grad()
                task.loss(name, 0, 1).backward()  # type: ignore[no-untyped-call]
                optimizer.step()


def test_sizes_are_halved_and_rounded_up() -> None:
    form = ImageFormat(channels=1, height=28, width=45)
    assert level_sizes(form, 3) == [(7, 12), (14, 23), (28, 45)]
    with pytest.raises(ConfigError, match="levels is 4, too many for images of 28x45"):
        LapGanNetworks(images=form, lapgan=LapGanConfig(levels=4))


def test_each_level_has_its_turn_or_one_has_all(images: ImageSet) -> None:
    task = task_of(images, model_of(images))
    turns = [[name for name in task.players if task.pace(name, step)] for step in range(4)]
    assert turns == [[f"discriminator_{level}", f"generator_{level}"] for level in (0, 1, 2, 0)]
    alone = task_of(images, model_of(images), level=2)
    assert {name for step in range(5) for name in task.players if alone.pace(name, step)} == {
        "discriminator_1",
        "generator_1",
    }


def test_nothing_is_said_of_a_level_that_had_no_turn(images: ImageSet) -> None:
    task = task_of(images, model_of(images), level=2)
    train(task, 2)
    found = task.evaluate(lambda: False)
    assert found is not None
    named = {name for name in found if name.startswith("discriminator_")}
    assert named == {f"discriminator_1_{name}" for name in ("accuracy", "sign", "image_gradient")}


def test_a_finer_level_is_given_the_real_smaller_image_and_noise(images: ImageSet) -> None:
    """The duel meets the real image, and the doubled smaller one with a difference image added: section 3.1."""
    model = model_of(images)
    for network in networks_of(model).children():
        if isinstance(network, LevelGenerator):
            nn.init.normal_(network.last.weight)
    task, rows = task_of(images, model), np.arange(16)
    torch.manual_seed(3)
    task._family.play(rows, step=2, learns=True)
    real, labels = images.read(rows)
    sizes = gaussian_pyramid(real, 3)
    generator = networks_of(model).get_submodule("generator_2")
    assert isinstance(generator, LevelGenerator)
    assert generator.label is not None
    torch.manual_seed(3)
    noise, below = torch.randn(16, 256), doubled(sizes[1], (16, 16))
    expected = below + generator(below, noise, generator.label(labels))
    duel = task._family.duels["discriminator_2"]
    torch.testing.assert_close(duel._fake, expected)
    torch.testing.assert_close(duel._real, real)
    difference = laplacian_pyramid(real, 3)[2]
    torch.testing.assert_close(duel._real - below, difference)


def test_a_level_that_learned_nothing_adds_nothing(images: ImageSet) -> None:
    model = model_of(images)
    chain = chain_of(model)
    coarse, middle, fine = chain.stages(chain.inputs(torch.randn(2, chain.latent_size), torch.tensor([0, 1])))
    torch.testing.assert_close(middle, doubled(coarse, (8, 8)).clamp(-1, 1))
    torch.testing.assert_close(fine, doubled(middle, (16, 16)).clamp(-1, 1))


def test_the_chain_is_its_levels_one_after_the_other(images: ImageSet) -> None:
    model = model_of(images, levels=2)
    networks = networks_of(model).eval()
    fine = networks.get_submodule("generator_1")
    assert isinstance(fine, LevelGenerator)
    assert fine.label is not None
    nn.init.normal_(fine.last.weight)
    chain = chain_of(model).eval()
    assert chain.latent_size == 6 + 16 * 16
    latent, labels = torch.randn(3, chain.latent_size), torch.tensor([1, 0, 1])
    coarse = networks.get_submodule("generator_0")(latent[:, :6], labels)
    below = functional.pad(doubled(coarse, (16, 16)), (0, 0))
    expected = (below + fine(below, latent[:, 6:], fine.label(labels))).clamp(-1, 1)
    torch.testing.assert_close(chain(latent, labels), expected)


def test_it_learns_and_says_how_it_is_doing(images: ImageSet) -> None:
    task = task_of(images, model_of(images))
    before = task.evaluate(lambda: False)
    train(task, 300)
    after = task.evaluate(lambda: False)
    assert before is not None
    assert after is not None
    assert after["train_frechet"] < 0.9 * before["train_frechet"]
    assert {"discriminator_0_accuracy", "discriminator_2_sign", "health"} <= after.keys()
    other = task_of(images, model_of(images))
    other.load_state(task.state())
    assert all(torch.equal(value, other.state()[name]) for name, value in task.state().items())


@pytest.mark.slow
@needs_mnist
@pytest.mark.parametrize("seed", range(2))
def test_healthy_runs_raise_no_alarm(seed: int, tmp_path: Path) -> None:
    config = ImageConfig(paths=(str(MNIST / "t10k-images-idx3-ubyte.gz"),))
    digits = build_images(config, tmp_path, pytest.fail)
    model = model_of(digits, seed=seed, levels=2, latent_size=32, generator_size=12, discriminator_size=12)
    task = task_of(digits, model, seed=seed)
    task.evaluate(lambda: False)
    for part in range(3):
        train(task, 150, first=150 * part)
        found = task.evaluate(lambda: False)
        assert found is not None
        assert found["health"] == "healthy"


# Sampling -------------------------------------------------------------------------------------------------------


def lively(images: ImageSet) -> GanModel:
    model = model_of(images)
    for network in networks_of(model).children():
        if isinstance(network, LevelGenerator):
            nn.init.normal_(network.last.weight, std=0.1)
    generator = torch.Generator().manual_seed(0)
    chain = chain_of(model)
    inputs = [(torch.randn(64, chain.latent_size, generator=generator), torch.arange(64) % 2)]
    measure_statistics(chain, inputs)
    model.networks.eval().requires_grad_(False)
    return model


def test_the_last_stage_is_the_image_and_none_depends_on_the_others(images: ImageSet) -> None:
    maker = Imagination(lively(images), seed=5)
    whole = np.concatenate(list(maker.images(range(70), [0, 1])))
    stages = maker.stages(range(70), [0, 1])
    assert [level.shape[2:] for level in stages] == [(4, 4), (8, 8), (16, 16)]
    assert np.array_equal(stages[-1], whole)
    few = maker.stages([3], [1])
    assert all(np.array_equal(level[3:4], alone) for level, alone in zip(stages, few, strict=True))
    assert np.array_equal(grown(stages[0], 16, 16)[:, :, ::4, ::4], stages[0])


def test_the_folded_chain_makes_the_same_images(images: ImageSet) -> None:
    model = lively(images)
    maker = Imagination(model, seed=5)
    plain = chain_of(model).eval()
    inputs = plain.inputs(maker.latents(range(4)), maker.labels(range(4), [0]))
    expected = ((plain.paint(inputs) + 1) * 127.5).round().clamp(0, 255)
    made = np.concatenate(list(maker.images(range(4), [0])))
    assert np.abs(made - expected.numpy()).max() <= 1


def test_other_models_have_no_stages() -> None:
    form = ImageFormat(channels=1, height=8, width=8)
    model = GanModel.new(GanNetworks(images=form, gan=GanConfig(latent_size=4, generator_size=4)), 0)
    with pytest.raises(UsageError, match="makes an image at once"):
        Imagination(model, seed=0).stages([0])


def test_a_model_comes_back_as_it_was(images: ImageSet, tmp_path: Path) -> None:
    model = lively(images)
    again = GanModel.load(str(write_model(tmp_path / "m", model)), CPU)
    assert again.config == model.config
    made = [np.concatenate(list(Imagination(m, seed=1).images(range(3)))) for m in (model, again)]
    assert np.array_equal(made[0], made[1])


def test_real_images_have_stages_too(images: ImageSet) -> None:
    stages = stages_of(images.pixels[:3], 3)
    assert [level.shape for level in stages] == [(3, 1, 4, 4), (3, 1, 8, 8), (3, 1, 16, 16)]
    assert np.array_equal(stages[-1], images.pixels[:3])
