from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from gan_models import bars, model_of, task_of

from seqgen.config import Augment, GanBody, GanLoss
from seqgen.data.images import ImageSet
from seqgen.errors import CollapsedError
from seqgen.gan import health
from seqgen.gan.health import Diagnosis
from seqgen.tasks.gan_judge import Judge, closeness, spread
from seqgen.tasks.gan_task import CRITICS, GanTask
from seqgen.tasks.pixel_features import PixelFeatures


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return bars(60)


def steps(task: GanTask, count: int, *, first: int = 0, lr: float = 2e-3) -> None:
    """Some steps as the loop takes them, without its trimmings."""
    optimizers = {
        name: torch.optim.Adam(net.parameters(), lr, betas=(0.5, 0.999)) for name, net in task.players.items()
    }
    for step in range(first, first + count):
        torch.manual_seed(step)
        task.prepare(step)
        for name, optimizer in optimizers.items():
            if not task.pace(name, step):
                continue
            for other in task.players:
                task.players[other].requires_grad_(other == name)
            optimizer.zero_grad()
            task.loss(name, 0, 1).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            for network in task.players.values():
                network.requires_grad_(True)


# Batches ------------------------------------------------------------------------------------------------------


def test_an_epoch_sees_every_image_once_and_the_next_in_another_order(images: ImageSet) -> None:
    task = task_of(images, batch_size=15)
    assert task.steps_per_epoch == 4
    epochs = [np.concatenate([task._batch(4 * epoch + i) for i in range(4)]) for epoch in (0, 1)]
    assert all(sorted(epoch) == list(range(60)) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    again = task_of(images, batch_size=15)
    assert np.array_equal(again._batch(6), epochs[1][30:45])


def test_fewer_images_than_a_batch_are_seen_more_than_once() -> None:
    task = task_of(bars(5), batch_size=12)
    batch = task._batch(0)
    assert np.bincount(batch).tolist() == sorted(np.bincount(batch).tolist(), reverse=True) or len(batch) == 12
    assert set(np.bincount(batch)) == {2, 3}
    steps(task, 2)


def test_fakes_are_of_the_classes_of_the_real_images(images: ImageSet) -> None:
    task = task_of(images)
    task.prepare(0)
    assert images.labels is not None
    assert task._labels is not None
    assert task._labels.tolist() == images.labels[task._batch(0)].tolist()
    assert task._fake.shape == task._real.shape


# Turns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", get_args(GanLoss))
def test_every_loss_moves_both_players(images: ImageSet, loss: GanLoss) -> None:
    task = task_of(images, loss=loss, r1=0.1, r2=0.1)
    before = {name: [p.clone() for p in net.parameters()] for name, net in task.players.items()}
    steps(task, 1)
    for name, network in task.players.items():
        assert not all(torch.equal(*pair) for pair in zip(before[name], network.parameters(), strict=True))


@pytest.mark.parametrize("body", get_args(GanBody))
@pytest.mark.parametrize("augment", get_args(Augment))
def test_every_body_learns_under_every_augmentation(images: ImageSet, body: GanBody, augment: Augment) -> None:
    task = task_of(images, model_of(images, body=body), augment=augment, batch_size=6)
    steps(task, 1)
    assert all(torch.isfinite(p).all() for network in task.players.values() for p in network.parameters())


def test_no_gradient_is_computed_that_is_not_used(images: ImageSet) -> None:
    task = task_of(images)
    discriminator, generator = task.players["discriminator"], task.players["generator"]
    task.prepare(0)
    generator.requires_grad_(False)
    task.loss("discriminator", 0, 1).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in generator.parameters())
    generator.requires_grad_(True)
    discriminator.requires_grad_(False)
    before = [None if p.grad is None else p.grad.clone() for p in discriminator.parameters()]
    task.loss("generator", 0, 1).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in generator.parameters())
    for old, parameter in zip(before, discriminator.parameters(), strict=True):
        assert old is None or torch.equal(old, torch.as_tensor(parameter.grad))


def test_the_generator_waits_for_its_turn(images: ImageSet) -> None:
    task = task_of(images, discriminator_steps=3, lr_ratio=2.0)
    assert [task.pace("generator", step) for step in range(6)] == [0, 0, 1, 0, 0, 1]
    assert task.pace("discriminator", 0) == 2.0
    task.prepare(0)
    assert not task._fake.requires_grad
    task.prepare(2)
    assert task._fake.requires_grad


# Watching -----------------------------------------------------------------------------------------------------


def evaluated(task: GanTask) -> dict[str, Any]:
    for network in task.players.values():
        network.eval()
    measures = task.evaluate(lambda: False)
    for network in task.players.values():
        network.train()
    assert measures is not None
    return measures


def test_an_evaluation_says_what_was_seen(images: ImageSet) -> None:
    task = task_of(images)
    evaluated(task)
    steps(task, 3)
    measures = evaluated(task)
    assert task.criterion in measures
    assert measures["health"] in health.ADVICE
    assert 0 <= measures["discriminator_accuracy"] <= 1
    assert measures["image_gradient"] > 0
    assert measures["valid_floor"] < measures["valid_frechet"]
    text = task.sample(0)
    assert text is not None
    assert "30 samples, 60 real" in text
    assert len(text.splitlines()) > 4


def test_nothing_is_said_of_an_untrained_model(images: ImageSet) -> None:
    assert evaluated(task_of(images))["health"] == "healthy"


def test_an_evaluation_changes_nothing_but_the_statistics(images: ImageSet) -> None:
    task = task_of(images)
    steps(task, 2)
    before = {name: p.clone() for name, p in task.players["generator"].named_parameters()}
    one, other = evaluated(task), evaluated(task)
    assert one["valid_frechet"] == other["valid_frechet"]
    assert other["change"] == 0
    assert all(torch.equal(p, before[name]) for name, p in task.players["generator"].named_parameters())


@pytest.mark.parametrize("loss", CRITICS)
def test_a_critic_has_no_accuracy(images: ImageSet, loss: GanLoss) -> None:
    task = task_of(images, loss=loss)
    steps(task, 1)
    assert "discriminator_accuracy" not in evaluated(task)
    assert math.isnan(task._history[-1].accuracy)


@pytest.mark.parametrize("on_collapse", ["stop", "rollback"])
def test_a_hopeless_run_can_be_ended(on_collapse: str, images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqgen.tasks.gan_task.diagnose", lambda history: Diagnosis("collapsed", "all alike"))
    task = task_of(images, on_collapse=on_collapse)
    steps(task, 1)
    with pytest.raises(CollapsedError, match="the GAN collapsed: all alike") as caught:
        evaluated(task)
    assert caught.value.roll_back == (on_collapse == "rollback")
    assert "--preset" in caught.value.hint


def test_its_state_is_all_that_it_carries(images: ImageSet) -> None:
    task = task_of(images, loss="wasserstein-gp")
    steps(task, 2)
    evaluated(task)
    steps(task, 2, first=2)
    other = task_of(images, task._model, loss="wasserstein-gp")
    other.load_state({name: value.clone() for name, value in task.state().items()})
    assert all(torch.isfinite(value).all() for value in task.state().values())
    one, same = evaluated(task), evaluated(other)
    assert one == same
    assert len(other._history) == 2


# Judging ------------------------------------------------------------------------------------------------------


def test_real_images_are_judged_as_real(images: ImageSet) -> None:
    measures = Judge(images, "pixels", 0, torch.device("cpu")).judge(np.asarray(images.pixels[:30]), None)
    assert measures["frechet"] < 2 * measures["floor"]
    assert measures["precision"] == measures["recall"] or measures["precision"] == 1.0
    assert measures["spread"] == pytest.approx(1.0, abs=0.2)
    assert measures["closeness"] == 0.0  # they are in the set


def test_one_image_many_times_has_no_spread(images: ImageSet) -> None:
    same = np.repeat(np.asarray(images.pixels[:1]), 30, axis=0)
    measures = Judge(images, "pixels", 0, torch.device("cpu")).judge(same, None)
    assert measures["spread"] == pytest.approx(0.0, abs=1e-9)
    assert measures["recall"] < 0.1


def test_distances_between_neighbours() -> None:
    corners = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]], np.float32)
    assert spread(corners) == pytest.approx(4.0)  # 3, 4 and 5
    assert closeness(corners + np.float32(0.5), corners) == pytest.approx(math.sqrt(0.5) / 3.0)


def test_pixel_features_keep_distances_of_small_images() -> None:
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, size=(90, 1, 6, 6)).astype(np.uint8)
    seen = PixelFeatures(pixels).look(pixels)
    assert seen.features.shape == (90, 36)
    assert seen.probs.shape == (90, 0)
    apart = np.linalg.norm((pixels[0].astype(float) - pixels[1]) / 127.5)
    assert np.linalg.norm(seen.features[0] - seen.features[1]) == pytest.approx(apart, rel=1e-4)


def test_a_network_that_does_not_exist_is_an_error(images: ImageSet, tmp_path: Path) -> None:
    from seqgen.errors import ModelError

    with pytest.raises(ModelError):
        Judge(images, str(tmp_path / "none"), 0, torch.device("cpu"))
