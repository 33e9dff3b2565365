"""A family that fights two duels: each has its turn, its names and its verdict; the worst verdict counts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from gan_models import CPU, bars, model_of
from torch import Tensor, nn

from seqgen.config import AdversarialConfig
from seqgen.data.epochs import Indices
from seqgen.data.images import ImageSet
from seqgen.gan.duel import Duel
from seqgen.gan.health import Signals
from seqgen.tasks.gan.family import ByLabel
from seqgen.tasks.gan.judge import Judge
from seqgen.tasks.gan.model import Adversaries
from seqgen.tasks.gan.task import GanTask
from seqgen.tasks.gan.watch import SampleWatch

WEIGHT = 3.0


class TwoCritics(ByLabel):
    """A generator that two discriminators judge, and whose images shall be dark."""

    def __init__(self, images: ImageSet, config: AdversarialConfig) -> None:
        model = model_of(images)
        super().__init__(model, images, config)
        other = model_of(images, seed=1).networks
        assert isinstance(other, Adversaries)
        self.second = other.discriminator
        self.players: Mapping[str, nn.Module] = {
            "first": self._networks.discriminator,
            "second": self.second,
            "generator": model.generator,
        }
        self.duels = {"first": Duel(config), "second": Duel(config)}
        self.fake = torch.empty(0)

    def play(self, indices: Indices, *, step: int, learns: bool) -> None:
        real, labels = self._images.read(indices)
        with torch.set_grad_enabled(learns):
            self.fake = self._networks.generator(torch.randn(len(indices), 6), labels).float()
        self.duels["first"].meet(real, self.fake, lambda images: self._networks.discriminator(images, labels))
        self.duels["second"].meet(real, self.fake, lambda images: self.second(images, labels))

    def generator_loss(self, player: str) -> Tensor:
        fought = [duel.generator_loss() for duel in self.duels.values()]
        return fought[0] + fought[1] + WEIGHT * self.fake.mean()


@pytest.fixture
def family() -> TwoCritics:
    return TwoCritics(bars(24), AdversarialConfig())


def task_of(family: TwoCritics) -> GanTask:
    images = family._images
    watch = SampleWatch(family, Judge(images, "pixels", 0, CPU), seed=0)
    return GanTask(family, watch, np.arange(len(images)), AdversarialConfig(), batch_size=8, seed=0)


def histories(task: GanTask) -> dict[str, list[Signals]]:
    assert isinstance(task._watch, SampleWatch)
    return task._watch._history


def test_the_generator_learns_from_both_and_from_what_its_family_adds(family: TwoCritics) -> None:
    task = task_of(family)
    torch.manual_seed(0)
    task.prepare(0)
    alone = [duel.generator_loss() for duel in family.duels.values()]
    expected = float((alone[0] + alone[1] + WEIGHT * family.fake.mean()).detach())
    assert float(task.loss("generator", 0, 1).detach()) == pytest.approx(expected, rel=1e-5)


def test_each_duel_has_names_of_its_own(family: TwoCritics) -> None:
    task = task_of(family)
    task.prepare(0)
    losses = {player: float(task.loss(player, 0, 1).detach()) for player in task.players}
    assert task.measures(losses).keys() == {
        *("first_loss", "second_loss", "generator_loss"),
        *("first_accuracy", "second_accuracy"),
    }
    measures = task.evaluate(lambda: False)
    assert measures is not None
    assert {"first_sign", "second_sign", "first_image_gradient", "train_frechet", "health"} <= measures.keys()
    assert task.state().keys() == {"last", *(f"{n}_{k}" for n in ("first", "second") for k in ("watched", "signals"))}
    again = task_of(family)
    again.load_state(task.state())
    assert histories(again) == histories(task)


def test_the_worst_verdict_counts(family: TwoCritics, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(family)
    task.evaluate(lambda: False)
    for name, accuracy in (("first", 0.7), ("second", 0.999)):
        sums = torch.tensor([[accuracy, 0.4, 1.0, 1.0]]) * 1000.0
        family.duels[name].load_state(sums)
    measures = task.evaluate(lambda: False)
    assert measures is not None
    assert measures["health"] == "generator vanishing"
    assert [history[-1].steps for history in histories(task).values()] == [1000.0, 1000.0]
