"""What the training loop knows of what is learned; the real tasks are in `seqgen.tasks`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor, nn


class Task(Protocol):
    """What a model learns from and is judged by."""

    @property
    def players(self) -> Mapping[str, nn.Module]:
        """The networks that are trained, each by its own optimizer, in the order of their turns in a step."""

    @property
    def steps_per_epoch(self) -> int:
        """How many steps read all of the data once."""

    @property
    def criterion(self) -> str | None:
        """The measure of `evaluate` that decides which model is best, None without one.

        Smaller is better, unless a minus stands before its name.
        """

    def prepare(self, step: int) -> int:
        """Read the batch of a step.

        Returns:
            int: how many units, such as tokens or images, the batch holds.
        """

    def pace(self, player: str, step: int) -> float:
        """The share of the learning rate with which a player moves in a step; with 0 it has no turn."""

    def loss(self, player: str, part: int, parts: int) -> Tensor:
        """This part's share of a player's mean loss over the batch, a scalar; the shares of all parts add up."""

    def measures(self, losses: Mapping[str, float]) -> dict[str, Any]:
        """What to log of a step, by name, from the loss of each player that had a turn."""

    def evaluate(self, stop: Callable[[], bool]) -> dict[str, Any] | None:
        """Judge the players on held-out data; None when `stop` became true on the way."""

    def sample(self, seed: int) -> str | None:
        """Something that the model makes at this moment, to be shown to a person."""

    def state(self) -> dict[str, Tensor]:
        """What the task carries from step to step, such as the hidden state of its lanes.

        The first dimension of each tensor counts the examples, so that several processes can join their shares.
        """

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `state` gave, joined over all processes."""


class OnePlayer:
    """What most tasks share: one player, which moves in every step, and nothing to show or to carry along."""

    def pace(self, player: str, step: int) -> float:
        """The whole learning rate in each step."""
        return 1.0

    def sample(self, seed: int) -> str | None:
        """Nothing to show."""
        return None

    def state(self) -> dict[str, Tensor]:
        """Nothing is carried from step to step."""
        return {}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Nothing to restore."""
