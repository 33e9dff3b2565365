"""What every search is given: a network at the start of some sentences, and what any output must be like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from seqgen.decode.step import State, Step


@dataclass(frozen=True, kw_only=True)
class Problem(Generic[State]):
    """A batch of sentences to find outputs for.

    An output is a sequence of tokens that ends with the end symbol, which counts: an output of `max_lengths` 1 is the
    end symbol alone. Each sentence has its own limits and prefix: its answer does not depend on its neighbours.

    Args:
        step (Step[State]): the network.
        state (State): where it starts, one row per sentence.
        start (Tensor): the token that it is given first, `(sentences,)`, on the network's device.
        eos_id (int): the end symbol.
        max_lengths (Sequence[int]): the most tokens that the output of each sentence may have.
        prefixes (Sequence[tuple[int, ...]]): what each output begins with; empty if that is free for all.
        after_prefix (Tensor | None): true for the tokens of which one comes right after a prefix, `(vocab,)`, on the
            network's device; None if any may.
        banned (Sequence[int]): tokens that no output has, unless its prefix does; the end symbol is never one.
        source_lengths (Sequence[int]): how many source tokens each sentence has; empty if all have as many as the
            attention is wide.
    """

    step: Step[State]
    state: State
    start: Tensor
    eos_id: int
    max_lengths: Sequence[int]
    prefixes: Sequence[tuple[int, ...]] = ()
    after_prefix: Tensor | None = None
    banned: Sequence[int] = ()
    source_lengths: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.start)

    @property
    def limits(self) -> Tensor:
        """`max_lengths`, raised to what the prefix and the end symbol need, `(sentences,)`."""
        needed = [len(prefix) + 1 for prefix in self.prefixes] or [1] * len(self)
        return torch.tensor([max(pair) for pair in zip(self.max_lengths, needed, strict=True)], dtype=torch.long)
