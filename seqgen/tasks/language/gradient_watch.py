"""Looks at the gradient through time while a network trains: `gradient_flow` on some lanes of a training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from seqgen.config import LEAST_DISTANCE
from seqgen.nets.recurrent.network import RecurrentNetwork
from seqgen.tasks.gradient_flow import Trend, Verdict, gradients_of, trend_of, typical, whole_norms
from seqgen.tasks.language.gradients import last_loss

LANES = 16
# After so many half-lives a thousandth is left.
HALVINGS = 10


class GradientWatch:
    """Measures the gradient through time every few steps, and warns when it is no longer healthy.

    It draws no random numbers and leaves the weights' gradients alone: a run that is watched learns the same.

    Args:
        network (RecurrentNetwork): the one that trains.
        every (int): steps between two measurements.
        warn (Callable[[str], None]): told once whenever the verdict turns to vanishing or exploding.
    """

    def __init__(self, network: RecurrentNetwork, every: int, warn: Callable[[str], None]) -> None:
        self._network, self._every, self._warn = network, every, warn
        self._verdict: Verdict = "healthy"

    def measure(self, step: int, tokens: Tensor, targets: Tensor, state: Tensor) -> dict[str, Any]:
        """What to log of a step that has been taken, with the weights after it.

        The loss is that of the chunk's last token, the distances are those within the chunk.

        Args:
            step (int): counted from 1.
            tokens (Tensor): the chunk of every lane, `(lanes, time)`.
            targets (Tensor): a token later.
            state (Tensor): before the chunk, `(num_layers, parts, lanes, hidden)`.

        Returns:
            dict[str, Any]: the verdict, and for each layer its rate and the share of its gradient that is left at the
            beginning of the chunk; nothing if none is due or the chunk is too short for one.
        """
        if step % self._every or tokens.shape[1] <= LEAST_DISTANCE:
            return {}
        loss, layers = last_loss(self._network, tokens[:LANES], targets[:LANES, -1], state[:, :, :LANES])
        curves = [typical(whole_norms(gradients)) for gradients in gradients_of(loss, layers)]
        trends = [trend_of(norms) for norms in curves]
        self._tell(step, max(trends, key=lambda trend: trend.rate))
        record: dict[str, Any] = {"gradient_flow": self._verdict}
        for i, (trend, norms) in enumerate(zip(trends, curves, strict=True), 1):
            record |= {f"gradient_rate_{i}": trend.rate, f"gradient_reach_{i}": norms[-1] / norms[0]}
        return record

    def _tell(self, step: int, trend: Trend) -> None:
        before, self._verdict = self._verdict, trend.verdict
        if self._verdict == before:
            return
        if self._verdict == "vanishing" and trend.half_life is not None:
            far = max(1, round(HALVINGS * trend.half_life))
            more = f"the network learns next to nothing from what lies more than {far} steps back"
            self._warn(f"step {step}: the gradient through time is {trend}; {more}")
        elif self._verdict == "exploding":
            self._warn(f"step {step}: the gradient through time is {trend}; a smaller --lr or --clip tames its steps")
