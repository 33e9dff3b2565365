"""Keys and values that hypotheses share, against copies of every row."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqgen.nets.stepping.cache import ROOM, Cache

LAYERS, HEADS, SIZE = 2, 1, 1


def empty(rows: int) -> Cache:
    return Cache.empty(torch.empty(LAYERS, rows, 1, 2, HEADS, SIZE))


def read(cache: Cache, tokens: Tensor) -> Cache:
    """One more token in each row: its key is its number, its value the negative, plus the layer."""
    cache = cache.grown()
    for layer in range(LAYERS):
        cache.write(layer, torch.stack((tokens + layer, -tokens - layer), dim=1).float())
    return cache


def rows_of(cache: Cache, layer: int = 0) -> list[list[int]]:
    """The tokens that each row sees, in the order in which they stand."""
    keys = cache.store.values[layer, :, : cache.places, 0, 0, 0] - layer
    assert torch.equal(cache.store.values[layer, :, : cache.places, 1, 0, 0] + layer, -keys)
    lines = keys[:, None].expand(-1, cache.width, -1).flatten(0, 1)
    seen = torch.ones_like(lines, dtype=torch.bool) if cache.mask is None else cache.mask.flatten(0, 1)
    return [line[kept].long().tolist() for line, kept in zip(lines, seen, strict=True)]


def test_rows_of_one_origin_share_what_they_have_in_common() -> None:
    one = read(read(empty(2), torch.tensor([1, 2])), torch.tensor([3, 4]))
    both = one.rows(torch.tensor([0, 0, 1, 1]))
    assert both.store is one.store
    assert both.groups == both.width == 2
    both = read(both, torch.tensor([5, 6, 7, 8]))
    assert rows_of(both) == [[1, 3, 5], [1, 3, 6], [2, 4, 7], [2, 4, 8]]
    assert both.places == 4
    moved = read(both.rows(torch.tensor([1, 0, 3, 3])), torch.tensor([9, 10, 11, 12]))
    assert moved.store is both.store
    assert rows_of(moved, layer=1) == [[1, 3, 6, 9], [1, 3, 5, 10], [2, 4, 8, 11], [2, 4, 8, 12]]


def test_whoever_comes_second_writes_elsewhere() -> None:
    one = read(empty(2), torch.tensor([1, 2]))
    first, second = read(one, torch.tensor([3, 4])), read(one, torch.tensor([5, 6]))
    third = read(one.rows(torch.tensor([0, 1])), torch.tensor([7, 8]))
    assert [rows_of(cache) for cache in (first, second, third)] == [
        [[1, 3], [2, 4]],
        [[1, 5], [2, 6]],
        [[1, 7], [2, 8]],
    ]


def test_a_group_that_leaves_takes_its_places_with_it() -> None:
    cache = read(empty(3), torch.tensor([1, 2, 3])).rows(torch.tensor([0, 0, 1, 1, 2, 2]))
    cache = read(cache, torch.arange(4, 10))
    left = cache.rows(torch.tensor([0, 0, 5, 4]))
    assert rows_of(left) == [[1, 4], [1, 4], [3, 9], [3, 8]]
    assert left.places == 3  # the first group no longer sees its token 5, the other sees all
    assert rows_of(cache)[2] == [2, 6]


@pytest.mark.parametrize("seed", range(8))
def test_any_moves_equal_copies_of_every_row(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    cache = empty(3)
    expected: list[list[int]] = [[] for _ in range(3)]
    for step in range(40):
        tokens = torch.arange(len(expected)) + 10 * step
        cache = read(cache, tokens)
        expected = [[*row, token] for row, token in zip(expected, tokens.tolist(), strict=True)]
        if step % 3:
            index = torch.randint(len(expected), (6,), generator=draw)
            index = index.sort().values if step % 2 else index
            cache, expected = cache.rows(index), [expected[i] for i in index.tolist()]
        assert rows_of(cache) == rows_of(cache, layer=1) == expected
        assert cache.lengths.tolist() == [step + 1] * len(expected)
    assert cache.places < 40 * 6


def test_caches_of_several_lengths_are_joined_and_go_on() -> None:
    short = read(empty(2), torch.tensor([1, 2]))
    long = read(short, torch.tensor([3, 4])).rows(torch.tensor([0, 0, 1, 1]))
    joined = read(Cache.joined([long, short]), torch.arange(5, 11))
    assert rows_of(joined) == [[1, 3, 5], [1, 3, 6], [2, 4, 7], [2, 4, 8], [1, 9], [2, 10]]
    assert not joined.even
    assert joined.lengths.tolist() == [3, 3, 3, 3, 2, 2]
    kept = read(joined.rows(torch.tensor([5, 1])), torch.tensor([11, 12]))
    assert rows_of(kept) == [[2, 10, 11], [1, 3, 6, 12]]


def test_no_row_is_left() -> None:
    cache = read(empty(2), torch.tensor([1, 2])).rows(torch.tensor([], dtype=torch.long))
    assert rows_of(cache) == []
    assert cache.groups == 0


def test_places_that_no_row_sees_any_more_are_left_behind() -> None:
    """Two rows, of which one is dropped at each step: a path of n tokens, and n tokens that are dead."""
    cache = read(empty(1), torch.tensor([0])).rows(torch.tensor([0, 0]))
    for token in range(1, 200):
        cache = read(cache, torch.tensor([token, -token])).rows(torch.tensor([0, 0]))
    assert rows_of(cache) == [list(range(200))] * 2
    assert cache.places <= 200 + 2 * ROOM
    assert cache.store.values.shape[2] <= 200 + 2 * ROOM
