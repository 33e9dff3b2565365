"""Keys and values of what was read so far, kept for attention: hypotheses of one sentence are a tree, stored once.

The live hypotheses of a beam are young branches of an old stem. Each token of the tree is one place of its sentence's
group, and a row of hypotheses is a line of booleans that tells which places are on its path. To move a hypothesis is to
move that line; its keys and values, which are a thousand times larger, stay where they are, until the room is used up
and what no line sees any more is left behind. Text without a search is the simple case: one row in each group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from seqgen.nets.transformer.layers import KeysValues, closed

# Room for this many more places is made at a time, or for one token of each row, whichever is more.
ROOM = 16


@dataclass
class _Store:
    """Memory that several caches may share: only the one that knows all places that are taken may take more.

    Args:
        values (Tensor): keys and values, `(layers, groups, capacity, 2, kv_heads, head)`.
        taken (int): how many places are.
    """

    values: Tensor
    taken: int


@dataclass(frozen=True)
class Cache:
    """Keys and values of all layers for the tokens of some rows; rows of a group stand together, as many in each.

    Args:
        store (_Store): where they are.
        places (int): how many places of it count.
        lengths (Tensor): how many tokens each row has, `(rows,)`.
        seen (Tensor | None): which places each row sees, `(groups, rows / groups, places)`; None: all, and it is the
            only one of its group.
        even (bool): whether all lengths are known to be the same.
        mask (Tensor | None): of the attention to the places that are seen, once there is a token.
    """

    store: _Store
    places: int
    lengths: Tensor
    seen: Tensor | None = None
    even: bool = True
    mask: Tensor | None = None

    @staticmethod
    def empty(values: Tensor) -> Cache:
        """Rows without tokens, with memory for the first one, `(layers, rows, 1, 2, kv_heads, head)`."""
        lengths = torch.zeros(values.shape[1], dtype=torch.long, device=values.device)
        return Cache(_Store(values, 0), 0, lengths)

    @property
    def groups(self) -> int:
        """How many there are."""
        return self.store.values.shape[1]

    @property
    def width(self) -> int:
        """How many rows each group has."""
        return 1 if self.seen is None else self.seen.shape[1]

    def grown(self) -> Cache:
        """The same with one more token in each row, whose keys and values are still to be written."""
        width, cache = self.width, self
        if self.places < self.store.taken or self.places + width > self.store.values.shape[2]:
            cache = self._copied(torch.arange(self.groups, device=self.lengths.device), self.seen, max(ROOM, width))
        cache.store.taken += width
        seen, mask = cache.seen, None
        if seen is not None:
            own = torch.eye(width, dtype=torch.bool, device=seen.device)
            seen = torch.cat((seen, own.expand(self.groups, -1, -1)), dim=2)
            mask = closed(seen[:, None], self.store.values.dtype)
        return replace(cache, places=cache.places + width, lengths=self.lengths + 1, seen=seen, mask=mask)

    def write(self, layer: int, new: Tensor) -> KeysValues:
        """Put the keys and values `(rows, 2 * kv)` of each row's last token in their place.

        Returns:
            KeysValues: what the queries of the groups, `(groups, heads, rows / groups, head)`, look at in this layer.
        """
        values = self.store.values[layer, :, : self.places]
        last = values[:, self.places - self.width :]
        last.copy_(new.view(last.shape))
        keys, values = values.permute(2, 0, 3, 1, 4)
        return KeysValues(keys, values, self.mask)

    def rows(self, index: Tensor) -> Cache:
        """The rows `index`; nothing is copied while all groups stay, in their order."""
        group = index // self.width
        groups, counts = torch.unique_consecutive(group, return_counts=True)
        if len(index) and bool((counts != counts[0]).any()):
            groups = group
        width, seen = max(1, len(index) // max(1, len(groups))), self.seen
        if seen is not None or width > 1:
            seen = self._lines()[index].view(len(groups), width, self.places)
        cache = self
        if len(groups) != self.groups or bool((groups != torch.arange(self.groups, device=index.device)).any()):
            cache = self._copied(groups, seen, width)
            seen = cache.seen
        return replace(cache, lengths=self.lengths[index], seen=seen)

    @staticmethod
    def joined(caches: Sequence[Cache]) -> Cache:
        """All rows of several caches, in order, each in a group of its own."""
        alone = [cache._apart() for cache in caches]
        lengths = torch.cat([cache.lengths for cache in alone])
        places, first = max(cache.places for cache in alone), alone[0].store.values
        values = first.new_zeros(len(first), len(lengths), places + 1, *first.shape[3:])
        seen = torch.zeros(len(lengths), 1, places, dtype=torch.bool, device=lengths.device)
        begin = 0
        for cache in alone:
            end = begin + len(cache.lengths)
            values[:, begin:end, : cache.places] = cache.store.values[:, :, : cache.places]
            seen[begin:end, 0, : cache.places] = cache._lines()
            begin = end
        even = bool((lengths == lengths[:1]).all())
        return Cache(_Store(values, places), places, lengths, None if bool(seen.all()) else seen, even)

    def _apart(self) -> Cache:
        """The same rows, each in a group of its own."""
        if self.width == 1:
            return self
        groups = torch.arange(len(self.lengths), device=self.lengths.device) // self.width
        return replace(self._copied(groups, self._lines()[:, None], 1), lengths=self.lengths)

    def _lines(self) -> Tensor:
        """Which places each row sees, `(rows, places)`."""
        if self.seen is None:
            return torch.ones(len(self.lengths), self.places, dtype=torch.bool, device=self.lengths.device)
        return self.seen.flatten(0, 1)

    def _copied(self, groups: Tensor, seen: Tensor | None, room: int) -> Cache:
        """Some groups in memory of their own, with room for more places, without those that no row sees.

        Args:
            groups (Tensor): which.
            seen (Tensor | None): which places the rows of each of these see, as for the cache.
            room (int): how many more places.
        """
        values = self.store.values
        order = torch.arange(self.places, device=groups.device).expand(len(groups), -1)
        if seen is not None:
            live = seen.any(dim=1)
            most = int(live.sum(dim=1).max()) if len(live) else 0
            order = live.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
            seen = seen.gather(2, order[:, None].expand(-1, seen.shape[1], -1))
            seen = None if seen.shape[1] == 1 and bool(seen.all()) else seen
        places = order.shape[1]
        index = groups[:, None] * values.shape[2] + functional.pad(order, (0, room))  # in new places stands anything
        copy = values.flatten(1, 2).index_select(1, index.flatten()).view(len(values), *index.shape, *values.shape[3:])
        return replace(self, store=_Store(copy, places), places=places, seen=seen)
