"""Several networks that decide together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqgen.decode.step import AttentiveStep, Step

States = tuple[Any, ...]


class EnsembleStep:
    """The `Step` of several networks: the mean of their probabilities. Its state holds one of each.

    Args:
        steps (Sequence[Step[Any]]): of networks with the same vocabulary; at least one.
        aligned (bool): whether all read the source in the same tokens, in the same order. Widths do not tell.
    """

    def __init__(self, steps: Sequence[Step[Any]], *, aligned: bool) -> None:
        self._steps, self._aligned = tuple(steps), aligned

    def __call__(self, tokens: Tensor, state: States) -> tuple[Tensor, States]:
        """Log of the mean probabilities `(batch, vocab)` after the last tokens `(batch,)`, and the new states."""
        log_probs, states = zip(*(step(tokens, part) for step, part in self._each(state)), strict=True)
        mean = torch.stack(log_probs).logsumexp(dim=0).sub_(math.log(len(self._steps)))
        # Rounding may not make a probability of more than 1: searches rely on it.
        return mean.clamp_(max=0.0), states

    def reorder(self, state: States, index: Tensor) -> States:
        """The states of the sequences `index`, `(new_batch,)`: some may be left out, some may repeat."""
        return tuple(step.reorder(part, index) for step, part in self._each(state))

    def join(self, states: Sequence[States]) -> States:
        """The states of all sequences of several states, in order; at least one."""
        return tuple(step.join(parts) for step, *parts in zip(self._steps, *states, strict=True))

    def attention(self, state: States) -> Tensor | None:
        """The mean attention of those networks that have any, `(batch, source)`.

        None if none has, or if they read the source in different tokens.
        """
        if not self._aligned:
            return None
        each = [step.attention(part) for step, part in self._each(state) if isinstance(step, AttentiveStep)]
        found = [attention for attention in each if attention is not None]
        return torch.stack(found).mean(dim=0) if found else None

    def _each(self, state: States) -> zip[tuple[Step[Any], Any]]:
        return zip(self._steps, state, strict=True)
