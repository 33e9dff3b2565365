"""How a forecaster is trained: the quantile loss of what came after places of the training rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from seqgen.config.forecasting import LEVELS
from seqgen.data.epochs import Indices, shuffled
from seqgen.data.series import Series
from seqgen.metrics.series import Values
from seqgen.tasks.forecasting.choice import Cut, origins
from seqgen.tasks.forecasting.judge import judge, summary
from seqgen.tasks.forecasting.model import ForecasterModel
from seqgen.train.task import OnePlayer

# A recurrent network is trained on stretches of so many steps, of which the latter half counts: the state is warm then.
STRETCH = 128
# Stretches of one series begin so far apart.
APART = 8


class ForecasterTask(OnePlayer):
    """Trains a network on series (see `seqgen.train.task.Task`).

    Args:
        model (ForecasterModel): its network on its device already.
        series (Sequence[Series]): all of each.
        cuts (Sequence[Cut]): where the training rows, and the validation rows, end.
        batch_size (int): windows, or stretches, per step.
        seed (int): the run's.
        share (Callable[[int], slice]): which of so many are computed here.
    """

    def __init__(
        self,
        model: ForecasterModel,
        series: Sequence[Series],
        cuts: Sequence[Cut],
        *,
        batch_size: int,
        seed: int,
        share: Callable[[int], slice] = slice,
    ) -> None:
        self.players: Mapping[str, nn.Module] = {"model": model.network}
        self.criterion: str | None = "valid_loss"
        self._model, self._series, self._cuts, self._share = model, series, cuts, share
        self._prepared = model.prepared(series)
        self._span, self._examples = self._stretches() if self._recurrent else (1, self._windows())
        self._epochs = shuffled(np.arange(len(self._examples)), batch_size, seed)
        self.steps_per_epoch = self._epochs.steps_per_epoch
        self._batch: tuple[Tensor, Tensor, Tensor] | None = None
        self._total = 0

    @property
    def _recurrent(self) -> bool:
        return self._model.network.config.response == "infinite"

    def _windows(self) -> Indices:
        """Each series and each place of it at which something can be learned, `(examples, 2)`."""
        own = [origins(cut, one, 1, "train") for cut, one in zip(self._cuts, self._prepared, strict=True)]
        return np.concatenate([np.stack([np.full_like(places, i), places], axis=1) for i, places in enumerate(own)])

    def _stretches(self) -> tuple[int, Indices]:
        """How many places of a stretch count, and each series with the last place of each stretch."""
        room = min(cut.train - 1 - one.first for cut, one in zip(self._cuts, self._prepared, strict=True))
        span = max(1, min(STRETCH // 2, room // 2))
        examples = []
        for i, (cut, one) in enumerate(zip(self._cuts, self._prepared, strict=True)):
            last = np.arange(cut.train - 2, one.first + span - 2, -APART)
            examples.append(np.stack([np.full_like(last, i), last], axis=1))
        return span, np.concatenate(examples)

    def prepare(self, step: int) -> int:
        """Read the windows of a step, and take this process's share."""
        chosen = self._examples[self._epochs.batch(step)]
        wanted = [self._targets(i, place) for i, place in chosen.tolist()]
        self._total = max(1, sum(int(np.isfinite(own).sum()) for own in wanted))
        self._batch = None
        own = chosen[self._share(len(chosen))]
        if len(own):
            inputs = [self._inputs(i, place) for i, place in own.tolist()]
            device = self._model.network.device
            windows, steps, targets = (
                torch.from_numpy(np.stack(values)).float().to(device)
                for values in ([one for one, _ in inputs], [one for _, one in inputs], wanted[self._share(len(chosen))])
            )
            self._batch = windows, steps, targets
        return len(chosen)

    def _places(self, last: int) -> Indices:
        return np.arange(last - self._span + 1, last + 1)

    def _inputs(self, number: int, last: int) -> tuple[Values, Values]:
        """Features of the windows `(span, window)` and of the steps `(time, step)` up to the last place."""
        prepared = self._prepared[number]
        windows = prepared.windows(self._places(last))[0]
        if not self._recurrent:
            return windows, windows
        start = max(1, last - 2 * self._span + 1)
        steps = np.nan_to_num(prepared.steps[start : last + 1])
        missing = 2 * self._span - len(steps)
        return windows, np.pad(steps, ((missing, 0), (0, 0)))

    def _targets(self, number: int, last: int) -> Values:
        """What is to be forecast, `(span, horizon)`; not-a-number for what does not count."""
        places = self._places(last)
        return self._prepared[number].targets(places, self._model.horizon, self._cuts[number].train)

    def loss(self, player: str, part: int, parts: int) -> Tensor:
        """The part's share of the mean quantile loss, in sizes of windows."""
        here = len(self._batch[0]) if self._batch else 0
        rows = slice(part * here // parts, (part + 1) * here // parts)
        if self._batch is None or rows.start == rows.stop:
            return torch.zeros((), requires_grad=True)
        windows, steps, wanted = (tensor[rows] for tensor in self._batch)
        there = wanted.isfinite()
        over = torch.where(there, wanted, 0.0)[..., None] - self._model.network(windows, steps)
        levels = torch.tensor(LEVELS, device=over.device)
        losses = torch.maximum(levels * over, (levels - 1) * over).mean(dim=-1)
        return torch.where(there, losses, 0.0).sum() / self._total

    def measures(self, losses: Mapping[str, float]) -> dict[str, float]:
        """The quantile loss."""
        return {"loss": losses["model"]}

    def evaluate(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        """Quantile loss and MASE on the validation rows, by rolling origin."""
        found = judge(self._model, self._series, self._cuts, "valid", stop)
        if found is None:
            return None
        measures = summary(found)
        return {"valid_loss": measures["pinball"], "valid_mase": measures["mase"]}
