"""CycleGAN: what four networks pay for, what their runs say of themselves, and what a judge sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from shapes import CPU, measured, shapes, train
from torch import Tensor

from seqgen.config import CycleGameConfig, CycleGanConfig, CycleGanNetworks, DomainsConfig, ImageFormat
from seqgen.data.image_domains import Domains
from seqgen.data.images import ImageSet
from seqgen.metrics.image_pairs import mean_distance
from seqgen.tasks.features.texture import TextureFeatures
from seqgen.tasks.gan.task import GanTask
from seqgen.tasks.image_translation.model import WAYS, CycleGan, TranslatorModel
from seqgen.tasks.image_translation.translate import made_of, scaled
from seqgen.tasks.image_translation.unpaired import Unpaired
from seqgen.tasks.image_translation.unpaired_judge import (
    UnpairedJudge,
    kept_classes,
    matched_histogram,
    truth_of,
)
from seqgen.tasks.image_translation.unpaired_watch import UnpairedWatch

Pixels = NDArray[np.uint8]
HELD = 24


def unlabelled(pixels: Pixels) -> ImageSet:
    return ImageSet(pixels, None, ())


def domains(count: int = 100, seed: int = 0, *, grey: bool = False) -> Domains:
    """The same kind of shapes in two colourings, of other shapes each."""
    a = shapes(count, seed).targets
    b = 255 - shapes(count + 20, seed + 50).targets[:, ::-1] // 2
    return Domains(unlabelled(a[:, :1] if grey else a), unlabelled(b))


def model_of(data: Domains, *, seed: int = 0, **config: Any) -> TranslatorModel:
    forms = [ImageFormat(channels=s.pixels.shape[1], height=16, width=16) for s in (data.a, data.b)]
    sizes: dict[str, Any] = {"generator_size": 4, "discriminator_size": 6, "blocks": 1, "patch": "16"} | config
    networks = CycleGanNetworks(images_a=forms[0], images_b=forms[1], cyclegan=CycleGanConfig(**sizes))
    return TranslatorModel.new(networks, seed)


def task_of(data: Domains, model: TranslatorModel, *, seed: int = 0, held_out: int = HELD, **game: Any) -> GanTask:
    config = CycleGameConfig(**game)
    family = Unpaired(model, data, DomainsConfig(), config, np.arange(held_out, len(data.b)))
    held = (np.arange(held_out), np.arange(held_out))
    watch = UnpairedWatch(family, model, data, held, config, seed=seed)
    return GanTask(family, watch, np.arange(held_out, len(data.a)), config, batch_size=8, seed=seed)


def networks_of(model: TranslatorModel) -> CycleGan:
    assert isinstance(model.networks, CycleGan)
    return model.networks


def test_the_losses_are_those_of_the_paper() -> None:
    """Equations 1 to 3 of Zhu et al. 2017 with least squares, and the identity loss of section 5.2, written out."""
    data = domains()
    model = model_of(data)
    task = task_of(data, model, cycle=7.0, identity=0.3, history=0)
    torch.manual_seed(0)
    task._family.play(np.arange(30, 38), step=0, learns=True)
    torch.manual_seed(0)
    drawn = np.arange(HELD, len(data.b))[torch.randint(len(data.b) - HELD, (8,)).numpy()]
    a, b = scaled(torch.tensor(data.a.pixels[30:38])), scaled(torch.tensor(data.b.pixels[drawn]))
    networks = networks_of(model)
    there, back = networks.generators["a2b"], networks.generators["b2a"]
    fake_a, fake_b = back(b), there(a)

    def judged(judge: Any, real: Tensor, fake: Tensor) -> Tensor:
        return ((judge(real) - 1).square().mean() + judge(fake).square().mean()) / 2  # type: ignore[no-any-return]

    for name, real, fake in (("discriminator_a", a, fake_a), ("discriminator_b", b, fake_b)):
        expected = judged(task.players[name], real, fake)
        torch.testing.assert_close(task.loss(name, 0, 1), expected, rtol=1e-4, atol=1e-5)
    expected = (networks.discriminator_a(fake_a) - 1).square().mean() / 2
    expected = expected + (networks.discriminator_b(fake_b) - 1).square().mean() / 2
    expected = expected + 7.0 * ((back(fake_b) - a).abs().mean() + (there(fake_a) - b).abs().mean())
    expected = expected + 7.0 * 0.3 * ((there(b) - b).abs().mean() + (back(a) - a).abs().mean())
    torch.testing.assert_close(task.loss("generators", 0, 1), expected, rtol=1e-4, atol=1e-5)


def test_other_channels_there_and_back() -> None:
    data = domains(grey=True)
    model = model_of(data)
    task = task_of(data, model)
    train(task, 2)
    assert made_of(model.way("a2b"), data.a.pixels[:3], None).shape == (3, 3, 16, 16)
    assert made_of(model.way("b2a"), data.b.pixels[:3], None).shape == (3, 1, 16, 16)
    assert measured(task)["health"] == "healthy"


def test_processes_share_a_batch_and_their_losses_add_up() -> None:
    data = domains()
    model = model_of(data)
    whole = task_of(data, model, history=0)
    torch.manual_seed(0)
    whole._family.play(np.arange(30, 38), step=0, learns=True)
    family, config = whole._family, CycleGameConfig(history=0)
    assert isinstance(family, Unpaired)
    drawn = torch.randint(len(family._train_b), (8,), generator=torch.Generator().manual_seed(0)).numpy()
    parts = []
    for rows in (slice(0, 5), slice(5, 8)):
        part = Unpaired(model, data, DomainsConfig(), config, family._train_b[drawn[rows]])
        part._real = {way: images[rows] for way, images in family._real.items()}
        part._fake = {way: images[rows] for way, images in family._fake.items()}
        for name, duel in part.duels.items():
            other = family.duels[name]
            duel.meet(other._real[rows], other._fake[rows], part.players[name])
        share = (rows.stop - rows.start) / 8
        parts.append(
            [share * part.generator_loss("generators"), share * part.duels["discriminator_a"].discriminator_loss()]
        )
    for i, name in enumerate(("generators", "discriminator_a")):
        torch.testing.assert_close(parts[0][i] + parts[1][i], whole.loss(name, 0, 1), rtol=1e-4, atol=1e-5)


def test_it_learns_to_go_there_and_back() -> None:
    data = domains()
    task = task_of(data, model_of(data))
    before = measured(task)
    train(task, 300)
    after = measured(task)
    assert after["valid_cycle"] < before["valid_cycle"] / 2
    assert after["valid_frechet"] < before["valid_frechet"] / 2
    assert after["health"] == "healthy"
    assert after["valid_cycle"] == pytest.approx((after["valid_cycle_a2b"] + after["valid_cycle_b2a"]) / 2)
    assert "healthy" in task.sample(0)


def test_the_state_comes_back_history_included() -> None:
    data = domains()
    task = task_of(data, model_of(data), history=10)
    measured(task)
    train(task, 4)
    measured(task)
    train(task, 2, first=4)
    other = task_of(data, model_of(data), history=10)
    other.load_state(task.state())
    assert other.state().keys() == task.state().keys()
    assert all(torch.equal(value, other.state()[name]) for name, value in task.state().items())
    assert len(task.state()["discriminator_a_kept"]) == 10


def test_each_process_takes_its_own_part_of_a_state() -> None:
    data = domains()
    parts = []
    for seed in (0, 1):
        part = task_of(data, model_of(data), history=20)
        torch.manual_seed(seed)
        part._family.play(np.arange(30, 33 + seed), step=0, learns=False)
        parts.append(part.state())
    joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    for rank in (0, 1):
        again = task_of(data, model_of(data), history=20)
        assert isinstance(again._watch, UnpairedWatch)
        again._watch._share = lambda total, rank=rank: slice(rank, rank + 1)  # type: ignore[misc]
        again.load_state(joined)
        for name, value in again.state().items():
            assert torch.equal(value, parts[rank][name]), name


def test_with_nothing_held_out_nothing_is_judged() -> None:
    data = domains()
    task = task_of(data, model_of(data), held_out=0)
    assert task.criterion is None
    assert not any(name.startswith("valid") for name in measured(task))


# Runs made to fail ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_healthy_runs_raise_no_alarm(seed: int) -> None:
    data = domains(seed=seed)
    task = task_of(data, model_of(data, seed=seed), seed=seed)
    measured(task)
    for part in range(4):
        train(task, 100, first=100 * part)
        assert measured(task)["health"] == "healthy"


def learned(data: Domains, goals: dict[str, Pixels], steps: int = 250) -> TranslatorModel:
    """A model whose generators were taught what to make of each image."""
    model = model_of(data)
    optimizer = torch.optim.Adam(networks_of(model).generators.parameters(), 5e-3)
    sides = {"a2b": data.a.pixels, "b2a": data.b.pixels}
    for step in range(steps):
        rows = np.random.Generator(np.random.PCG64(step)).integers(0, 100, size=16)
        losses = [
            (
                networks_of(model).generators[way](scaled(torch.tensor(sides[way][rows])))
                - scaled(torch.tensor(goal[rows]))
            )
            .abs()
            .mean()
            for way, goal in goals.items()
        ]
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model


def judged_later(data: Domains, model: TranslatorModel, **game: Any) -> dict[str, Any]:
    """What a run says of such a model that goes on at a pace at which nothing changes."""
    task = task_of(data, model, **game)
    measured(task)
    train(task, 200, lr=1e-6)
    return measured(task)


def test_one_direction_that_makes_one_image_of_all_is_named() -> None:
    data = domains()
    one = np.repeat(data.b.pixels[:1], 100, axis=0)
    model = learned(data, {"a2b": one, "b2a": data.b.pixels[:100]})
    task = task_of(data, model)
    measured(task)
    train(task, 200, lr=1e-6)
    found = measured(task)
    assert found["health"] == "ignores its input"
    assert found["valid_sensitivity_a2b"] < 0.15 < found["valid_sensitivity_b2a"]
    assert "a2b: outputs differ" in task.sample(0)


def test_light_and_dark_exchanged_is_named_where_both_domains_are_alike() -> None:
    a = shapes(100).targets
    data = Domains(unlabelled(a), unlabelled(shapes(120, 50).targets))
    model = learned(data, {"a2b": 255 - a, "b2a": 255 - data.b.pixels[:100]})
    assert judged_later(data, model)["health"] == "inverts colours"
    dark = Domains(data.a, unlabelled(255 - data.b.pixels))
    assert judged_later(dark, learned(dark, {"a2b": 255 - a, "b2a": 255 - dark.b.pixels[:100]}))["health"] == "healthy"


@pytest.mark.slow
def test_an_input_that_is_hidden_for_the_way_back_is_named() -> None:
    """There: a flat picture in the colour of the shape. That the shape comes back shows that it was hidden in it."""
    data = domains()
    a = data.a.pixels
    red = ((a[:, 0] == 200) & (a[:, 1] == 30)).any(axis=(1, 2))
    flat = np.where(red[:, None], (220, 40, 40), (40, 40, 220)).astype(np.uint8)[:, :, None, None]
    goal, images = scaled(torch.tensor(np.broadcast_to(flat, a.shape).copy())), scaled(torch.tensor(a))
    model = model_of(data, generator_size=8, blocks=2)
    generators = networks_of(model).generators
    optimizer = torch.optim.Adam(generators.parameters(), 3e-3)
    for step in range(800):
        rows = np.random.Generator(np.random.PCG64(step)).integers(0, 100, size=16)
        there = generators["a2b"](images[rows])
        returned = generators["b2a"](there)
        loss = 2.0 * (there - goal[rows]).abs().mean() + 3.0 * (returned - images[rows]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = judged_later(data, model)
    assert found["health"] == "hides its input"
    assert found["valid_cycle_a2b"] < 0.05
    assert found["valid_hidden_a2b"] > 4.0


# Judging ----------------------------------------------------------------------------------------------------------


def test_real_images_of_the_other_domain_are_at_the_floor() -> None:
    data = Domains(unlabelled(shapes(100).targets), unlabelled(shapes(120, 9).targets))
    texture = TextureFeatures()
    judge = UnpairedJudge(data.a.pixels, data.b.pixels, (texture, texture), 0)
    halves = judge._halves["a2b"]
    assert halves.distance(texture.extract(data.a.pixels).features) == pytest.approx(halves.floor, rel=1.0)
    assert judge.alike


def test_a_matched_histogram_has_the_grey_values_of_the_other() -> None:
    draw = np.random.Generator(np.random.PCG64(0))
    a = draw.integers(0, 256, (30, 1, 16, 16)).astype(np.uint8)
    b = (draw.normal(size=(30, 1, 16, 16)) * 20 + 100).clip(0, 255).astype(np.uint8)
    matched = matched_histogram(a, b)
    assert np.quantile(matched, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(b, [0.1, 0.5, 0.9]), abs=2)
    order = np.argsort(a.ravel(), kind="stable")
    assert (np.diff(matched.ravel()[order].astype(int)) >= 0).all()
    assert (matched_histogram(a, a) == a).all()


def test_truth_is_compared_with_doing_nothing() -> None:
    a, b = shapes(40).targets, 255 - shapes(40).targets
    data = Domains(unlabelled(a), unlabelled(b))
    found = truth_of("a2b", data, b)
    assert found["truth"] == 0.0
    assert found["identity"] == pytest.approx(float(mean_distance(a, b).mean()))
    assert 0 < found["histogram"] <= 1


def test_classes_that_are_kept_are_counted_by_name() -> None:
    class Reader:
        classes, identity = ("b", "a", "c"), "reader"

        def extract(self, pixels: Pixels) -> Any:
            class Found:
                probs = np.eye(3)[pixels[:, 0, 0, 0]]

            return Found()

    made = np.array([1, 1, 0, 2], np.uint8).reshape(4, 1, 1, 1)
    source = ImageSet(made, np.array([0, 0, 0, 1]), ("a", "b"))
    assert kept_classes(made, source, Reader()) == 0.5  # type: ignore[arg-type]
    assert kept_classes(made, unlabelled(made), Reader()) is None  # type: ignore[arg-type]
    assert kept_classes(made, ImageSet(made, np.zeros(4, np.int64), ("z",)), Reader()) is None  # type: ignore[arg-type]


def test_both_ways_have_names() -> None:
    model = model_of(domains(grey=True))
    assert list(model.ways) == [way for way, _ in WAYS] == ["a2b", "b2a"]
    assert model.way().source_channels == 1
    assert model.way("b2a").images.channels == 1
    assert model.way("b2a").device == CPU
