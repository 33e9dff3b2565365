"""Runs that are made to fail are named within two or three evaluations, and healthy ones are left alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from gan_models import model_of, task_of

from seqgen.config import GanLoss, TrainConfig
from seqgen.data.images import ImageSet
from seqgen.gan.health import State
from seqgen.tasks.gan.task import GanTask
from seqgen.train.distributed import Group
from seqgen.train.players import Players

STEPS, EVERY = 200, 100
TRAIN = TrainConfig(steps=STEPS, lr=2e-3, beta1=0.5, beta2=0.999, weight_decay=0.0, clip=0.0, ema=0.99)

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in another number of parts round otherwise, and two hundred steps later the samples are others."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def corners(count: int = 800, side: int = 8) -> ImageSet:
    """A soft spot near one of four corners; place, width and brightness differ."""
    draw, labels = np.random.Generator(np.random.PCG64(0)), np.arange(count) % 4
    near, far = 1.5, side - 2.5
    down = np.where(labels < 2, near, far) + draw.uniform(-0.7, 0.7, count)
    right = np.where(labels % 2 == 0, near, far) + draw.uniform(-0.7, 0.7, count)
    width, level = draw.uniform(0.8, 1.6, count), draw.uniform(120, 255, count)
    y, x = np.mgrid[0:side, 0:side]
    squared = (y - down[:, None, None]) ** 2 + (x - right[:, None, None]) ** 2
    spots = level[:, None, None] * np.exp(-squared / (2 * width[:, None, None] ** 2))
    return ImageSet(spots.astype(np.uint8)[:, None], labels, ("a", "b", "c", "d"))


def states(task: GanTask, seed: int, lr: float = TRAIN.lr, steps: int = STEPS) -> list[State]:
    """The state at each evaluation of a short run."""
    found: list[State] = []
    players = Players(task.players, TRAIN, Group())
    for step in range(steps + 1):
        if step % EVERY == 0:
            with players.judged():
                measures = task.evaluate(lambda: False)
            assert measures is not None
            found.append(measures["health"])
        torch.manual_seed(1000 * seed + step)
        task.prepare(step)
        for name in task.players:
            if pace := task.pace(name, step):
                players.turn(name, lambda part, name=name: task.loss(name, part, 1), lr * pace, step)  # type: ignore[misc]
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_healthy_run_raises_no_alarm(seed: int) -> None:
    images = corners()
    task = task_of(images, model_of(images, seed=seed, latent_size=16), batch_size=32, seed=seed)
    assert states(task, seed) == ["healthy"] * 3


def test_a_generator_that_does_not_move_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(corners(), model_of(corners()), batch_size=32)
    monkeypatch.setattr(task, "pace", lambda player, step: float(player == "discriminator"))
    assert states(task, 0)[1:] == ["generator vanishing"] * 2


@pytest.mark.parametrize("loss", ["minimax", "non-saturating"])
def test_a_discriminator_twenty_times_as_fast_is_seen(loss: GanLoss) -> None:
    """At the learning rate of DCGAN; at ten times that it overshoots instead of winning."""
    images = corners()
    task = task_of(images, model_of(images), batch_size=32, loss=loss, lr_ratio=20.0)
    assert states(task, 0, lr=2e-4)[1:] == ["discriminator overpowers"] * 2


def test_a_latent_of_one_number_is_seen() -> None:
    images = corners()
    task = task_of(images, model_of(images, conditional=False, latent_size=1), batch_size=32)
    assert set(states(task, 0)[1:]) & {"collapsing", "collapsed"}


def test_one_class_alone_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    images = corners()
    task = task_of(images, model_of(images, conditional=False), batch_size=32)
    whole = task._epochs.batch
    monkeypatch.setattr(task._epochs, "batch", lambda step: whole(step) // 4 * 4)  # only images of the first corner
    # Until the third evaluation the distance falls, and samples are more than half as different as real ones.
    assert states(task, 0, steps=300)[-1] in ("collapsing", "collapsed")
