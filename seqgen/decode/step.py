"""What every decoding method sees of a network: one step, and a way to move its state."""

from __future__ import annotations

from typing import Protocol, TypeVar

from torch import Tensor

State = TypeVar("State")


class Step(Protocol[State]):
    """A network that predicts one token for each sequence of a batch."""

    def __call__(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probabilities `(batch, vocab)` after the last tokens `(batch,)`, and the new state."""

    def reorder(self, state: State, index: Tensor) -> State:
        """The state of the sequences `index`, `(new_batch,)`: some may be left out, some may repeat."""
