from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from gan_models import bars, model_of, task_of, watch_of
from torch import Tensor

from seqgen.config import Augment, GanBody, GanLoss
from seqgen.data.images import ImageSet
from seqgen.errors import CollapsedError
from seqgen.gan import health
from seqgen.gan.duel import CRITICS, Duel
from seqgen.gan.health import Diagnosis
from seqgen.tasks.gan.task import GanTask


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return bars(60)


def duel_of(task: GanTask) -> Duel:
    return task._family.duels["discriminator"]


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
    epochs = [np.concatenate([task._epochs.batch(4 * epoch + i) for i in range(4)]) for epoch in (0, 1)]
    assert all(sorted(epoch) == list(range(60)) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    again = task_of(images, batch_size=15)
    assert np.array_equal(again._epochs.batch(6), epochs[1][30:45])


def test_fewer_images_than_a_batch_are_seen_more_than_once() -> None:
    task = task_of(bars(5), batch_size=12)
    batch = task._epochs.batch(0)
    assert len(batch) == 12
    assert sorted(np.bincount(batch).tolist()) == [2, 2, 2, 3, 3]
    steps(task, 2)


def test_fakes_are_of_the_classes_of_the_real_images(images: ImageSet) -> None:
    told: list[Tensor | None] = []
    model = model_of(images)
    model.generator.register_forward_pre_hook(lambda _, given: told.append(given[1]))
    task = task_of(images, model)
    task.prepare(0)
    assert images.labels is not None
    assert told[-1] is not None
    assert told[-1].tolist() == images.labels[task._epochs.batch(0)].tolist()
    assert duel_of(task)._fake.shape == duel_of(task)._real.shape


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
    assert not duel_of(task)._fake.requires_grad
    task.prepare(2)
    assert duel_of(task)._fake.requires_grad


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
    assert measures["train_floor"] < measures["train_frechet"]
    assert not any(name.startswith("valid") for name in measures)  # nothing is held out
    text = task.sample(0)
    assert text is not None
    assert "30 samples, as many training images" in text
    assert len(text.splitlines()) > 4


def test_the_figures_do_not_depend_on_the_order_of_the_images(images: ImageSet) -> None:
    """Sorted by class, neighbours in the list were alike, and the spread of the real images was half of itself."""
    assert images.labels is not None
    orders = (np.arange(60), np.argsort(images.labels, kind="stable"), np.arange(60)[::-1])
    sets = [ImageSet(images.pixels[order], images.labels[order], images.classes) for order in orders]
    figures = [evaluated(task_of(some)) for some in sets]
    assert figures[0] == figures[1] == figures[2]


def test_nothing_is_said_of_an_untrained_model(images: ImageSet) -> None:
    assert evaluated(task_of(images))["health"] == "healthy"


def test_an_evaluation_changes_nothing_but_the_statistics(images: ImageSet) -> None:
    task = task_of(images)
    steps(task, 2)
    before = {name: p.clone() for name, p in task.players["generator"].named_parameters()}
    one, other = evaluated(task), evaluated(task)
    assert one["train_frechet"] == other["train_frechet"]
    assert other["change"] == 0
    assert all(torch.equal(p, before[name]) for name, p in task.players["generator"].named_parameters())


@pytest.mark.parametrize("loss", CRITICS)
def test_a_critic_has_no_accuracy(images: ImageSet, loss: GanLoss) -> None:
    task = task_of(images, loss=loss)
    steps(task, 1)
    assert "discriminator_accuracy" not in evaluated(task)
    assert math.isnan(watch_of(task)._history["discriminator"][-1].accuracy)


@pytest.mark.parametrize("on_collapse", ["stop", "rollback"])
def test_a_hopeless_run_can_be_ended(on_collapse: str, images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqgen.tasks.gan.watch.diagnose", lambda history: Diagnosis("collapsed", "all alike"))
    task = task_of(images, on_collapse=on_collapse)
    steps(task, 1)
    with pytest.raises(CollapsedError, match="the GAN collapsed: all alike") as caught:
        evaluated(task)
    assert caught.value.roll_back == (on_collapse == "rollback")
    assert "--preset" in caught.value.hint


def test_its_state_is_all_that_it_carries(images: ImageSet) -> None:
    model = model_of(images)
    task = task_of(images, model, loss="wasserstein-gp")
    steps(task, 2)
    evaluated(task)
    steps(task, 2, first=2)
    other = task_of(images, model, loss="wasserstein-gp")
    other.load_state({name: value.clone() for name, value in task.state().items()})
    assert all(torch.isfinite(value).all() for value in task.state().values())
    one, same = evaluated(task), evaluated(other)
    assert one == same
    assert len(watch_of(other)._history["discriminator"]) == 2
