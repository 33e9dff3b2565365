"""How a GAN is doing whose images come from noise: samples beside real images, and what the duels were like."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqgen.figures.mosaic import sketch
from seqgen.gan.health import Diagnosis, Signals, diagnose, packed, unpacked, worst
from seqgen.tasks.gan.family import STATISTICS_IMAGES, Sampled
from seqgen.tasks.gan.judge import Judge
from seqgen.tasks.gan.kind import MEASURED_ON

STATISTICS_BATCHES, LEAST_STATISTICS_BATCHES = 16, 4
# As many sketches as fit into 80 columns.
SHOWN = 5
JUDGED = ("spread", "precision", "recall", "different_bins", "missing", "frechet", "floor", "closeness")


class SampleWatch:
    """See `seqgen.tasks.gan.family.Watch`.

    Args:
        family (Sampled): what is watched.
        judge (Judge): what samples are compared by.
        seed (int): the run's.
        validation_share (float): of the usual number of images to measure batch norm's statistics with.
    """

    criterion = f"{MEASURED_ON}_frechet"

    def __init__(self, family: Sampled, judge: Judge, *, seed: int, validation_share: float = 1.0) -> None:
        self._family, self._judge, self._seed = family, judge, seed
        self._statistics_batches = max(LEAST_STATISTICS_BATCHES, round(STATISTICS_BATCHES * validation_share))
        self._last = torch.empty(0)
        self._history: dict[str, list[Signals]] = {name: [] for name in family.duels}
        self._diagnosis = Diagnosis("healthy")

    def evaluate(self, stop: Callable[[], bool]) -> tuple[dict[str, float], Diagnosis] | None:
        """Make images with the averaged weights, and compare them with real ones."""
        self._family.settle(self._seed, self._statistics_batches)
        samples, labels = self._family.samples(self._judge.count, self._seed)
        if stop():
            return None
        measures, change = self._judge.judge(samples, labels), self._change(samples)
        named: dict[str, float] = {}
        for name, duel in self._family.duels.items():
            judged = {measure: measures[measure] for measure in JUDGED}
            signals = Signals(**duel.watched(), change=change, **judged)
            self._history[name].append(signals)
            named |= self._named(name, signals)
            duel.forget()
        self._diagnosis = worst(diagnose(history) for history in self._history.values())
        return named | {f"{MEASURED_ON}_{name}": value for name, value in measures.items()}, self._diagnosis

    def _named(self, duel: str, signals: Signals) -> dict[str, float]:
        """What was watched in training, as the log names it; a critic has no accuracy."""
        before = self._before(duel)
        named = {
            f"{duel}_accuracy": signals.accuracy,
            f"{before}sign": signals.sign,
            f"{before}image_gradient": signals.image_gradient,
            "change": signals.change,
        }
        return {name: value for name, value in named.items() if not math.isnan(value)}

    def _before(self, duel: str) -> str:
        """What stands before the names of a duel; nothing where it is the only one."""
        return "" if len(self._family.duels) == 1 else f"{duel}_"

    def _change(self, samples: NDArray[np.uint8]) -> float:
        """How far the same latents moved since the last evaluation, as a share of the distance between two of them."""
        now = torch.from_numpy(samples[:STATISTICS_IMAGES]).float()
        before, self._last = self._last, now
        if not len(before):
            return 1.0
        apart = (now - now.roll(1, dims=0)).flatten(1).norm(dim=1).mean()
        return float((now - before).flatten(1).norm(dim=1).mean() / apart.clamp_min(1e-12))

    def sample(self, seed: int) -> str:
        """See `Watch`."""
        judge = self._judge
        compared = f"Fréchet distance on {judge.extractor.identity}: {judge.count:,} samples, as many training images"
        return f"{self._diagnosis} ({compared})\n{sketch(self._family.drawn(SHOWN, seed))}"

    def state(self) -> dict[str, Tensor]:
        """What was watched since the last evaluation, the signals of all evaluations, and the last samples."""
        state = {"last": self._last}
        for name, duel in self._family.duels.items():
            before = self._before(name)
            state |= {f"{before}watched": duel.state(), f"{before}signals": packed(self._history[name], Signals)}
        return state

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `state` gave."""
        self._last = tensors["last"].clone()
        for name, duel in self._family.duels.items():
            before = self._before(name)
            self._history[name] = unpacked(tensors[f"{before}signals"], Signals)
            duel.load_state(tensors[f"{before}watched"])
