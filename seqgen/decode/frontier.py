"""What an exhaustive search has still to visit, and the network's states that it needs for that."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic

import torch
from torch import Tensor

from seqgen.decode.step import State, Step


@dataclass(slots=True, eq=False)
class Prefix:
    """The beginning of an output, as a node of the search tree.

    Once it is expanded it knows its children, and the network's state after it is stored until all of them are
    visited or given up. A child becomes a prefix itself only when it is visited: of most the log-probability is all
    that is ever needed.

    Args:
        sentence (int): whose output it begins.
        parent (Prefix | None): without its last token; the origin, which is not yet empty, has none.
        token (int): its last token; of the empty prefix, what the network is given first.
        log_prob (float): of this token, in nats.
        total (float): summed from the root, in nats.
        length (int): its tokens: 0 of the empty prefix, -1 of the origin.
        attention (Tensor | None): what the token after it pays to each source token, `(source,)`.
        tokens (list[int]): of the children to visit, the most probable last.
        log_probs (list[float]): of these tokens, in nats.
        chunk (int): where `States` keeps the state that it goes on from: its parent's, and its own once it is expanded.
        row (int): the place there.
    """

    sentence: int
    parent: Prefix | None
    token: int
    log_prob: float
    total: float
    length: int
    attention: Tensor | None = None
    tokens: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    chunk: int = -1
    row: int = -1

    @property
    def best_total(self) -> float:
        """The total of the best child to visit; minus infinity if none is left."""
        return self.total + self.log_probs[-1] if self.log_probs else -math.inf

    def visit(self) -> Prefix:
        """Take out the best child."""
        token, log_prob = self.tokens.pop(), self.log_probs.pop()
        total, length = self.total + log_prob, self.length + 1
        return Prefix(self.sentence, self, token, log_prob, total, length, chunk=self.chunk, row=self.row)

    def give_up(self) -> None:
        """No child is visited any more."""
        self.tokens.clear()
        self.log_probs.clear()

    def path(self) -> list[Prefix]:
        """From the empty prefix to itself."""
        path: list[Prefix] = []
        last: Prefix | None = self
        while last is not None and last.length >= 0:
            path.append(last)
            last = last.parent
        return path[::-1]


class Frontier:
    """The expanded prefixes of one sentence that have children to visit.

    There is one heap for each length, so that the best of all and the best of the longest are both at hand.

    Args:
        limit (int): the greatest length of an output.
    """

    def __init__(self, limit: int) -> None:
        self._heaps: list[list[tuple[float, int, Prefix]]] = [[] for _ in range(limit + 1)]
        self._count = itertools.count()

    def __bool__(self) -> bool:
        return any(self._heaps)

    @property
    def best_total(self) -> float:
        """The highest total that a child to visit has."""
        return -min((heap[0][0] for heap in self._heaps if heap), default=math.inf)

    def push(self, prefix: Prefix, floor: float) -> None:
        """Remember the children of a prefix whose totals exceed a floor, if any does."""
        if prefix.best_total > floor:
            heapq.heappush(self._heaps[prefix.length + 1], (-prefix.best_total, next(self._count), prefix))
        else:
            prefix.give_up()

    def pop(self, floor: float, *, longest: bool = False) -> Prefix:
        """Visit the child with the highest total of all, or of the longest."""
        filled = [heap for heap in self._heaps if heap]
        heap = filled[-1] if longest else min(filled, key=lambda heap: heap[0])
        parent = heapq.heappop(heap)[2]
        child = parent.visit()
        self.push(parent, floor)
        return child

    def prune(self, floor: float) -> None:
        """Forget the children whose totals do not exceed a floor."""
        for length, heap in enumerate(self._heaps):
            self._heaps[length] = []
            for _, _, prefix in heap:
                self.push(prefix, floor)


@dataclass(frozen=True)
class _Chunk(Generic[State]):
    state: State
    prefixes: list[Prefix]

    @property
    def used(self) -> list[Prefix]:
        return [prefix for prefix in self.prefixes if prefix.tokens]


class States(Generic[State]):
    """The network's states after expanded prefixes, in chunks of many rows.

    A chunk that is more than half unused is made anew without what is unused, and two of similar size become one: so a
    few chunks hold any number of rows, and a row is copied a logarithmic number of times.

    Args:
        step (Step[State]): what moves states.
        device (torch.device): where they are.
    """

    def __init__(self, step: Step[State], device: torch.device) -> None:
        self._step, self._device = step, device
        self._chunks: dict[int, _Chunk[State]] = {}
        self._number = itertools.count()
        self._fresh = 0

    @property
    def rows(self) -> int:
        """How many states are stored."""
        return sum(len(chunk.prefixes) for chunk in self._chunks.values())

    def add(self, state: State, prefixes: list[Prefix]) -> None:
        """Store the states after prefixes, one row each."""
        number = next(self._number)
        self._fresh += len(prefixes)
        self._chunks[number] = _Chunk(state, prefixes)
        for row, prefix in enumerate(prefixes):
            prefix.chunk, prefix.row = number, row

    def gather(self, prefixes: Sequence[Prefix]) -> State:
        """The states that prefixes go on from, one row each; quickest if those of a chunk stand together."""
        states = []
        for number, group in itertools.groupby(prefixes, key=lambda prefix: prefix.chunk):
            index = torch.tensor([prefix.row for prefix in group], device=self._device)
            states.append(self._step.reorder(self._chunks[number].state, index))
        return states[0] if len(states) == 1 else self._step.join(states)

    def tidy(self) -> None:
        """Drop the states after prefixes that have no children left to visit, when that pays."""
        if 8 * self._fresh < self.rows:  # counting over all rows costs time too
            return
        while numbers := self._untidy():
            prefixes = [prefix for number in numbers for prefix in self._chunks[number].used]
            if prefixes:
                self.add(self.gather(prefixes), prefixes)
            for number in numbers:
                del self._chunks[number]
        self._fresh = 0

    def _untidy(self) -> tuple[int, ...]:
        """The chunks to make one anew of, if any."""
        used = {number: len(chunk.used) for number, chunk in self._chunks.items()}
        for number, chunk in self._chunks.items():
            if 2 * used[number] < len(chunk.prefixes):
                return (number,)
        smallest_first = sorted(used, key=lambda number: used[number])
        pairs = itertools.pairwise(smallest_first)
        return next(((small, large) for small, large in pairs if used[large] <= 2 * used[small]), ())
