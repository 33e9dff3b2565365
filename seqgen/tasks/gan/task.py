"""How a GAN is trained, and how it watches itself.

One step: the generator makes images once; the discriminator moves, given real and these images in batches of their own
(batch norm must not mix them); then the generator moves, through the same images and the discriminator that just moved.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqgen.config import AdversarialConfig
from seqgen.data.epochs import shuffled
from seqgen.errors import CollapsedError
from seqgen.figures.mosaic import sketch
from seqgen.gan.health import STATES, Diagnosis, Signals, diagnose
from seqgen.tasks.gan.family import STATISTICS_IMAGES, Family
from seqgen.tasks.gan.judge import Judge
from seqgen.tasks.gan.kind import MEASURED_ON

STATISTICS_BATCHES, LEAST_STATISTICS_BATCHES = 16, 4
SHOWN = 6
JUDGED = ("spread", "precision", "recall", "different_bins", "missing", "frechet", "floor", "closeness")
# Stands for not-a-number in a checkpoint, which holds finite values only.
UNKNOWN = -1.0


class GanTask:
    """Trains a family of networks (see `seqgen.train.task.Task`).

    Args:
        family (Family): its networks on their device already.
        images (int): how many real images there are.
        judge (Judge): what samples are compared by.
        config (AdversarialConfig): the game.
        batch_size (int): images per step.
        seed (int): the run's.
        validation_share (float): of the usual number of images to measure batch norm's statistics with.
    """

    criterion = f"{MEASURED_ON}_frechet"

    def __init__(
        self,
        family: Family,
        images: int,
        judge: Judge,
        config: AdversarialConfig,
        *,
        batch_size: int,
        seed: int,
        validation_share: float = 1.0,
    ) -> None:
        self.players = family.players
        self._family, self._judge, self._config = family, judge, config
        self._batch_size, self._seed = batch_size, seed
        self._statistics_batches = max(LEAST_STATISTICS_BATCHES, round(STATISTICS_BATCHES * validation_share))
        self._epochs = shuffled(np.arange(images), batch_size, seed)
        self.steps_per_epoch = self._epochs.steps_per_epoch
        self._last = torch.empty(0)
        self._history: dict[str, list[Signals]] = {name: [] for name in family.duels}
        self._diagnosis = Diagnosis("healthy")

    # Learning ---------------------------------------------------------------------------------------------

    def prepare(self, step: int) -> int:
        """Read real images, and make as many of the same classes."""
        learns = any(self.pace(player, step) > 0 for player in self.players.keys() - self._family.duels.keys())
        self._family.play(self._epochs.batch(step), learns=learns)
        return self._batch_size

    def pace(self, player: str, step: int) -> float:
        """A discriminator moves `lr_ratio` times as fast; a generator waits for its last step of several."""
        if player in self._family.duels:
            return self._config.lr_ratio
        steps = self._config.discriminator_steps
        return 1.0 if step % steps == steps - 1 else 0.0

    def loss(self, player: str, part: int, parts: int) -> Tensor:
        """The player's loss over the batch, penalties included."""
        assert parts == 1, "batch norm sees the batch as a whole"
        if player in self._family.duels:
            return self._family.duels[player].discriminator_loss()
        losses = [duel.generator_loss() for duel in self._family.duels.values()]
        extra = self._family.extra_loss(player)
        return sum(losses[1:], losses[0]) + (0.0 if extra is None else extra)

    def measures(self, losses: Mapping[str, float]) -> dict[str, float]:
        """The losses, and how often each discriminator was right."""
        right = {f"{name}_accuracy": duel.accuracy for name, duel in self._family.duels.items()}
        return {f"{player}_loss": loss for player, loss in losses.items()} | right

    # Watching ---------------------------------------------------------------------------------------------

    def evaluate(self, stop: Callable[[], bool]) -> dict[str, Any] | None:
        """Make images with the averaged weights, compare them with real ones, and say how the run is doing.

        Raises:
            CollapsedError: it went wrong, and was asked not to go on then.
        """
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
        found = [diagnose(history) for history in self._history.values()]
        self._diagnosis = max(found, key=lambda diagnosis: STATES.index(diagnosis.state))  # the worst counts
        if self._diagnosis.hopeless and self._config.on_collapse != "warn":
            raise CollapsedError(
                f"the GAN {self._diagnosis.state}: {self._diagnosis.found}",
                hint=f"try {self._diagnosis.advice}",
                roll_back=self._config.on_collapse == "rollback",
            )
        of_samples = {f"{MEASURED_ON}_{name}": value for name, value in measures.items()}
        return named | of_samples | {"health": self._diagnosis.state}

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

    def sample(self, seed: int) -> str | None:
        """How the run is doing, and some images drawn with letters."""
        judge = self._judge
        compared = f"Fréchet distance on {judge.extractor.identity}: {judge.count:,} samples, as many training images"
        return f"{self._diagnosis} ({compared})\n{sketch(self._family.drawn(SHOWN, seed))}"

    # State ------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """What was watched since the last evaluation, the signals of all evaluations, and the last samples."""
        state = {"last": self._last}
        for name, duel in self._family.duels.items():
            history = [dataclasses.astuple(signals) for signals in self._history[name]]
            signals = torch.tensor(history, dtype=torch.float64).reshape(-1, len(dataclasses.fields(Signals)))
            before = self._before(name)
            state |= {f"{before}watched": duel.state(), f"{before}signals": torch.nan_to_num(signals, nan=UNKNOWN)}
        return state

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `state` gave."""
        self._last = tensors["last"].clone()
        for name, duel in self._family.duels.items():
            before = self._before(name)
            rows = tensors[f"{before}signals"].tolist()
            self._history[name] = [Signals(*(math.nan if value == UNKNOWN else value for value in row)) for row in rows]
            duel.load_state(tensors[f"{before}watched"])
