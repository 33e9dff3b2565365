"""Keys and values of what was read so far, kept for attention: hypotheses of one sentence are a tree, stored once.

The live hypotheses of a beam are young branches of an old stem. Each token of the tree is one place of its sentence's
group, and a row of hypotheses is a line of booleans that tells which places are on its path. To move a hypothesis is to
move that line; its keys and values, which are a thousand times larger, stay where they are, until the room is used up
and what no line marks any more is left behind. Text without a search is the simple case: one row in each group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from seqgen.nets.transformer.attention import KeysValues, additive

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
        mask (Tensor | None): true for the places that are on a row's path, `(groups, rows / groups, places)`; None: all
            are, and the row is the only one of its group.
        even (bool): whether all lengths are known to be the same.
        additive_mask (Tensor | None): `mask` for attention, `(groups, 1, rows / groups, places)`, after a token.
    """

    store: _Store
    places: int
    lengths: Tensor
    mask: Tensor | None = None
    even: bool = True
    additive_mask: Tensor | None = None

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
        return 1 if self.mask is None else self.mask.shape[1]

    def grown(self) -> Cache:
        """The same with one more token in each row, whose keys and values are still to be written."""
        width, cache = self.width, self
        if self.places < self.store.taken or self.places + width > self.store.values.shape[2]:
            cache = self._copied(torch.arange(self.groups, device=self.lengths.device), self.mask, max(ROOM, width))
        cache.store.taken += width
        mask, additive_mask = cache.mask, None
        if mask is not None:
            own = torch.eye(width, dtype=torch.bool, device=mask.device)
            mask = torch.cat((mask, own.expand(self.groups, -1, -1)), dim=2)
            additive_mask = additive(mask[:, None], self.store.values.dtype)
        places = cache.places + width
        return replace(cache, places=places, lengths=self.lengths + 1, mask=mask, additive_mask=additive_mask)

    def write(self, layer: int, new: Tensor) -> KeysValues:
        """Put the keys and values `(rows, 2 * kv)` of each row's last token in their place.

        Returns:
            KeysValues: what the queries of the groups, `(groups, heads, rows / groups, head)`, attend to in this layer.
        """
        values = self.store.values[layer, :, : self.places]
        last = values[:, self.places - self.width :]
        last.copy_(new.view(last.shape))
        keys, values = values.permute(2, 0, 3, 1, 4)
        return KeysValues(keys, values, additive_mask=self.additive_mask)

    def rows(self, index: Tensor) -> Cache:
        """The rows `index`, `(new_rows,)`; nothing is copied while all groups stay, in their order."""
        group = index // self.width
        groups, counts = torch.unique_consecutive(group, return_counts=True)
        if len(index) and bool((counts != counts[0]).any()):
            groups = group
        width, mask = max(1, len(index) // max(1, len(groups))), self.mask
        if mask is not None or width > 1:
            mask = self._lines()[index].view(len(groups), width, self.places)
        cache = self
        if len(groups) != self.groups or bool((groups != torch.arange(self.groups, device=index.device)).any()):
            cache = self._copied(groups, mask, width)
            mask = cache.mask
        return replace(cache, lengths=self.lengths[index], mask=mask)

    @staticmethod
    def joined(caches: Sequence[Cache]) -> Cache:
        """All rows of several caches, in order, each in a group of its own."""
        alone = [cache._apart() for cache in caches]
        lengths = torch.cat([cache.lengths for cache in alone])
        places, first = max(cache.places for cache in alone), alone[0].store.values
        values = first.new_zeros(len(first), len(lengths), places + 1, *first.shape[3:])
        mask = torch.zeros(len(lengths), 1, places, dtype=torch.bool, device=lengths.device)
        begin = 0
        for cache in alone:
            end = begin + len(cache.lengths)
            values[:, begin:end, : cache.places] = cache.store.values[:, :, : cache.places]
            mask[begin:end, 0, : cache.places] = cache._lines()
            begin = end
        even = bool((lengths == lengths[:1]).all())
        return Cache(_Store(values, places), places, lengths, None if bool(mask.all()) else mask, even)

    def _apart(self) -> Cache:
        """The same rows, each in a group of its own."""
        if self.width == 1:
            return self
        groups = torch.arange(len(self.lengths), device=self.lengths.device) // self.width
        return replace(self._copied(groups, self._lines()[:, None], 1), lengths=self.lengths)

    def _lines(self) -> Tensor:
        """Which places are on each row's path, `(rows, places)`."""
        if self.mask is None:
            return torch.ones(len(self.lengths), self.places, dtype=torch.bool, device=self.lengths.device)
        return self.mask.flatten(0, 1)

    def _copied(self, groups: Tensor, mask: Tensor | None, room: int) -> Cache:
        """Some groups in memory of their own, with room for more places, without those that are on no path.

        Args:
            groups (Tensor): which.
            mask (Tensor | None): which places are on the paths of each of these, as for the cache.
            room (int): how many more places.
        """
        values = self.store.values
        order = torch.arange(self.places, device=groups.device).expand(len(groups), -1)
        if mask is not None:
            live = mask.any(dim=1)
            most = int(live.sum(dim=1).max()) if len(live) else 0
            order = live.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
            mask = mask.gather(2, order[:, None].expand(-1, mask.shape[1], -1))
            mask = None if mask.shape[1] == 1 and bool(mask.all()) else mask
        places = order.shape[1]
        index = groups[:, None] * values.shape[2] + functional.pad(order, (0, room))  # new places may hold anything
        copy = values.flatten(1, 2).index_select(1, index.flatten()).view(len(values), *index.shape, *values.shape[3:])
        return replace(self, store=_Store(copy, places), places=places, mask=mask)
