"""Sentence pairs in batches: the order in which a translation model reads them, and the padding of one batch.

A batch is as wide as its longest sentence, so sentences of unlike lengths in one batch waste work on padding. The
order `length` puts like with like; the order `random` is the one to compare it with.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqgen.config import Order
from seqgen.data.epochs import Epochs, Indices
from seqgen.data.tokens import TokenIds

Lengths = NDArray[np.int64]

# How many tokens a length may stray before sorting: each epoch then has other batches, hardly wider ones. On Multi30k,
# with 128 pairs a batch, two pairs of one batch meet again in the next epoch one time in eight.
JITTER = 1.0


def batches(
    source_lengths: NDArray[np.integer],
    target_lengths: NDArray[np.integer],
    batch_size: int,
    order: Order,
    seed: int,
) -> Epochs:
    """Which pairs each step trains on; every pair comes once an epoch.

    In the order `length` the pairs are sorted by their lengths, give or take some noise, and the sorted list is cut
    where every batch gets the same share of all tokens: a batch of short sentences holds more pairs than one of long
    sentences, `batch_size` on average. The batches then come in random order. In the order `random` all batches have
    the same number of pairs, give or take one.

    Args:
        source_lengths (NDArray): tokens of each source, `(pairs,)`, at least one pair.
        target_lengths (NDArray): tokens of each target, `(pairs,)`.
        batch_size (int): pairs per batch: on average in the order `length`, at most in the order `random`.
        order (Order): `length` or `random`.
        seed (int): the run's seed.
    """
    steps = -(-len(source_lengths) // batch_size)

    def plan(generator: np.random.Generator) -> list[Indices]:
        if order == "random":
            return np.array_split(generator.permutation(len(source_lengths)), steps)
        pairs = _sorted(source_lengths, target_lengths, generator)
        # An end symbol on each side is part of what a pair costs.
        cost = source_lengths[pairs] + target_lengths[pairs] + 2
        cut = np.split(pairs, even_cuts(cost, steps))
        return [cut[i] for i in generator.permutation(len(cut))]

    return Epochs(steps, seed, plan)


def _sorted(
    source_lengths: NDArray[np.integer], target_lengths: NDArray[np.integer], generator: np.random.Generator
) -> Indices:
    """Pairs by target length, those of one target length by source length, up and down in turn.

    The turns let neighbours be alike on both sides where the target length changes.
    """
    noise = generator.uniform(-JITTER, JITTER, (2, len(source_lengths)))
    target = np.rint(target_lengths + noise[0])
    source = source_lengths + noise[1]
    return np.lexsort((np.where(target % 2 == 0, source, -source), target))


def even_cuts(cost: NDArray[np.integer], num_parts: int) -> NDArray[np.int64]:
    """Where to cut a list into parts of like cost, given what each item costs; no part is empty."""
    end = np.cumsum(cost, dtype=np.int64)
    part = np.arange(1, num_parts)
    # An item lies on the side of the quantile where its greater half lies.
    cuts = np.searchsorted(end - cost / 2, part * (end[-1] / num_parts))
    # Cut number k has at least k items before it, and at least as many after it as there are parts to come.
    return part + np.maximum.accumulate(np.clip(cuts - part, 0, len(cost) - num_parts))


def pad(
    sequences: Sequence[NDArray[np.integer]], pad_id: int, *, first: int | None = None, last: int | None = None
) -> tuple[TokenIds, Lengths]:
    """Sequences side by side in one array.

    Args:
        sequences (Sequence[NDArray]): token ids of any lengths, at least one sequence.
        pad_id (int): what fills the end of the shorter ones.
        first (int | None): a token to put before each.
        last (int | None): a token to put after each.

    Returns:
        tuple[TokenIds, Lengths]: tokens `(batch, time)` and lengths `(batch,)`, the added tokens counted.
    """
    begin, end = int(first is not None), int(last is not None)
    lengths = np.asarray([begin + len(sequence) + end for sequence in sequences], dtype=np.int64)
    tokens = np.full((len(sequences), lengths.max()), pad_id, dtype=np.int64)
    column = np.arange(tokens.shape[1])
    tokens[(column >= begin) & (column < (lengths - end)[:, None])] = np.concatenate(sequences)
    if first is not None:
        tokens[:, 0] = first
    if last is not None:
        tokens[np.arange(len(sequences)), lengths - 1] = last
    return tokens, lengths
