"""What every decoding method knows of a network: one step, and ways to move its state.

A state belongs to a batch of sequences, one row each. What it is made of only its network knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

from torch import Tensor

from seqgen.errors import NonFiniteError

State = TypeVar("State")


class Step(Protocol[State]):
    """A network that predicts one token for each sequence of a batch; decoders call it by `advance`."""

    def __call__(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probabilities `(batch, vocab)` after the last tokens `(batch,)`, and the new state.

        Whoever calls may write into the log-probabilities.
        """

    def reorder(self, state: State, index: Tensor) -> State:
        """The state of the sequences `index`, `(new_batch,)`: some may be left out, some may repeat."""

    def join(self, states: Sequence[State]) -> State:
        """The state of all sequences of several states, in order; at least one."""


class PromptedStep(Step[State], Protocol[State]):
    """A step of a language model: it begins with a text."""

    def start(self, tokens: Tensor) -> tuple[Tensor, State]:
        """Log-probabilities `(batch, vocab)` after prompts `(batch, time)`, and the state there."""


@runtime_checkable
class AttentiveStep(Step[State], Protocol[State]):
    """A step that attends to a source, and tells how much to each of its tokens."""

    def attention(self, state: State) -> Tensor | None:
        """What the last token of each sequence paid to each source token, `(batch, source)`; rows sum to one.

        None if this network has no attention. Beyond the end of a short source the attention is zero.
        """


def advance(step: Step[State], tokens: Tensor, state: State) -> tuple[Tensor, State]:
    """One step, as `Step.__call__`, whose log-probabilities are `checked`: every decoder goes on by this."""
    log_probs, state = step(tokens, state)
    return checked(log_probs), state


def checked(log_probs: Tensor) -> Tensor:
    """Log-probabilities `(rows, vocab)`, in each row at least one that is a finite number.

    A network whose logits overflow gives not-a-number for every token, and among those any search finds something.

    Raises:
        NonFiniteError: a row has none.
    """
    if not bool(log_probs.amax(dim=-1).isfinite().all()):
        raise no_probabilities()
    return log_probs


def no_probabilities() -> NonFiniteError:
    """What to raise where a network gives no probabilities."""
    return NonFiniteError(
        "the network overflows: its probabilities are not numbers",
        hint="its weights are too large; use another model, or an earlier checkpoint of this one",
    )
