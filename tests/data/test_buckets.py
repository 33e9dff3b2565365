from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seqgen.config import Order
from seqgen.data.buckets import batches, even_cuts, pad
from seqgen.data.epochs import Epochs

DATA = Path(os.environ.get("SEQGEN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
MULTI30K = DATA / "multi30k" / "train.de"
ORDERS = get_args(Order)

# The same examples in every run: a test that fails today fails tomorrow.
steady = settings(max_examples=60, deadline=None, database=None, derandomize=True)

lengths = st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300)), min_size=1, max_size=80)


def random_lengths(num_pairs: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lengths like those of a real corpus: skewed, and alike on both sides."""
    generator = np.random.default_rng(0)
    source = 1 + generator.poisson(generator.gamma(4, 4, num_pairs))
    return source, np.maximum(1, source + generator.integers(-3, 4, num_pairs))


def padded(batch: NDArray[np.int64], source: NDArray[np.int64], target: NDArray[np.int64]) -> int:
    """Tokens of a batch with its padding and an end symbol on each side."""
    return len(batch) * int(source[batch].max() + target[batch].max() + 2)


def epoch(epochs: Epochs, number: int = 0) -> list[NDArray[np.int64]]:
    steps = range(number * epochs.steps_per_epoch, (number + 1) * epochs.steps_per_epoch)
    return [epochs.batch(step) for step in steps]


# Batches ------------------------------------------------------------------------------------------------------


@steady
@given(lengths, st.integers(1, 90), st.sampled_from(ORDERS), st.integers(0, 2**63 - 1), st.integers(0, 1000))
def test_every_pair_comes_once_an_epoch_and_no_batch_is_empty(
    pairs: list[tuple[int, int]], batch_size: int, order: Order, seed: int, number: int
) -> None:
    source, target = np.asarray(pairs).T
    epochs = batches(source, target, batch_size, order, seed)
    assert epochs.steps_per_epoch == -(-len(pairs) // batch_size)
    plan = epoch(epochs, number)
    assert min(map(len, plan)) >= 1
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(pairs)))


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_is_a_function_of_seed_and_epoch_alone(order: Order) -> None:
    source, target = random_lengths(500)
    one, other = (batches(source, target, 32, order, seed=1) for _ in range(2))
    steps = [0, 7, 3 * one.steps_per_epoch + 2, one.steps_per_epoch - 1]
    seen = {step: one.batch(step).tolist() for step in reversed(steps)}
    assert all(other.batch(step).tolist() == seen[step] for step in steps)


@pytest.mark.parametrize("order", ORDERS)
def test_each_seed_and_each_epoch_has_other_batches(order: Order) -> None:
    source, target = random_lengths(500)
    plans = [epoch(batches(source, target, 32, order, seed=1), number) for number in range(4)]
    plans += [epoch(batches(source, target, 32, order, seed=seed)) for seed in range(2, 6)]
    sets = [frozenset(batch.tolist()) for plan in plans for batch in plan]
    # The few longest sentences, far from all others, may be the same batch again.
    assert len(set(sets)) > 0.9 * len(sets)
    firsts = [plan[0].tolist() for plan in plans]
    assert all(firsts.count(first) == 1 for first in firsts)


def test_the_first_batches_of_a_seed_do_not_change() -> None:
    # Resuming a run of an older seqgen, or on another machine, needs the same batches.
    source, target = np.asarray([3, 9, 4, 1, 8, 2, 7, 5]), np.asarray([4, 8, 3, 1, 9, 2, 6, 5])
    plans = {order: [b.tolist() for b in epoch(batches(source, target, 3, order, seed=0))] for order in ORDERS}
    assert plans == {"length": [[3, 2, 5, 0], [1, 4], [7, 6]], "random": [[1, 0, 5], [7, 6, 2], [4, 3]]}


def test_batches_of_like_lengths_cost_alike_and_waste_little() -> None:
    source, target = random_lengths(8000)
    by_length, by_chance = (epoch(batches(source, target, 64, order, seed=0)) for order in ("length", "random"))
    costs = np.asarray([padded(batch, source, target) for batch in by_length])
    # All but the batch with the few longest sentences, which are unlike each other.
    assert np.sort(costs)[:-1].std() < 0.05 * costs.mean()
    assert costs.max() < 2 * costs.mean()
    real = (source + target + 2).sum()
    assert 1 - real / costs.sum() < 0.1
    assert 1 - real / sum(padded(batch, source, target) for batch in by_chance) > 0.4


def test_batches_of_short_sentences_hold_more_pairs() -> None:
    source = np.asarray([10] * 400 + [40] * 100)
    plan = epoch(batches(source, source, 50, "length", seed=0))
    # A pair costs about 22 or 82, all of them 17,000: a tenth of that is 77 short or 20 long pairs.
    sizes = {int(np.median(source[batch])): len(batch) for batch in plan}
    assert abs(sizes[10] - 77) <= 2
    assert abs(sizes[40] - 21) <= 2


def test_lengths_that_outweigh_all_others_get_batches_of_their_own() -> None:
    source = np.asarray([1] * 6 + [10_000] * 2)
    plan = epoch(batches(source, source, 2, "length", seed=0))
    assert sorted(map(len, plan)) == [1, 1, 1, 5]


@pytest.mark.parametrize(
    ("cost", "num_parts", "cuts"),
    [
        ([5, 5, 5, 5], 2, [2]),
        # The third part of 33 is 11: the second item reaches from 6 to 15, its middle is 10.5.
        ([6, 9, 7, 11], 3, [2, 3]),
        ([7, 9, 6, 11], 3, [1, 3]),
        ([1, 1, 1, 100, 1, 1, 1, 1], 4, [3, 4, 5]),
        ([100, 1, 1], 3, [1, 2]),
        ([1, 1, 100], 3, [1, 2]),
        ([3, 4], 1, []),
    ],
)
def test_a_list_is_cut_where_its_cost_is_shared_most_evenly(cost: list[int], num_parts: int, cuts: list[int]) -> None:
    assert even_cuts(np.asarray(cost), num_parts).tolist() == cuts


def test_batches_drawn_by_chance_differ_in_size_by_one_at_most() -> None:
    source, target = random_lengths(103)
    sizes = [len(batch) for batch in epoch(batches(source, target, 10, "random", seed=0))]
    # 11 batches: 103 = 4 * 10 + 7 * 9.
    assert sorted(sizes) == [9] * 7 + [10] * 4


def test_pairs_that_met_rarely_meet_again() -> None:
    source, target = random_lengths(8000)
    epochs = batches(source, target, 64, "length", seed=0)
    place = np.empty(8000, dtype=np.int64)
    for i, batch in enumerate(epoch(epochs, 1)):
        place[batch] = i
    again = [np.mean(place[batch][:, None] == place[batch]) for batch in epoch(epochs, 0)]
    assert np.mean(again) < 0.25


@pytest.mark.skipif(not MULTI30K.is_file(), reason="Multi30k is not here")
def test_real_sentences_waste_a_tenth_at_most() -> None:
    sides = (MULTI30K.with_suffix(ending).read_text(encoding="utf-8").split("\n")[:-1] for ending in (".de", ".en"))
    source, target = (np.asarray([len(line.split()) for line in side]) for side in sides)
    plan = epoch(batches(source, target, 128, "length", seed=0))
    assert 1 - (source + target + 2).sum() / sum(padded(batch, source, target) for batch in plan) < 0.1


# Padding ------------------------------------------------------------------------------------------------------


def test_shorter_sequences_are_filled_up() -> None:
    tokens, sizes = pad([np.asarray([7, 8, 9]), np.asarray([5]), np.asarray([], dtype=np.uint16)], 0)
    assert tokens.tolist() == [[7, 8, 9], [5, 0, 0], [0, 0, 0]]
    assert tokens.dtype == np.int64
    assert sizes.tolist() == [3, 1, 0]


def test_sequences_may_get_a_first_and_a_last_token() -> None:
    sequences = [np.asarray([7, 8]), np.asarray([5])]
    assert pad(sequences, 0, last=3)[0].tolist() == [[7, 8, 3], [5, 3, 0]]
    assert pad(sequences, 0, first=2)[0].tolist() == [[2, 7, 8], [2, 5, 0]]
    tokens, sizes = pad(sequences, 0, first=2, last=3)
    assert tokens.tolist() == [[2, 7, 8, 3], [2, 5, 3, 0]]
    assert sizes.tolist() == [4, 3]


@steady
@given(
    st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=6),
    st.none() | st.just(11),
    st.none() | st.just(12),
)
def test_padding_is_what_a_loop_would_make(sequences: list[list[int]], first: int | None, last: int | None) -> None:
    begin, end = ([] if token is None else [token] for token in (first, last))
    rows = [begin + row + end for row in sequences]
    width = max(map(len, rows))
    tokens, sizes = pad([np.asarray(row, dtype=np.int64) for row in sequences], 10, first=first, last=last)
    assert tokens.tolist() == [row + [10] * (width - len(row)) for row in rows]
    assert sizes.tolist() == [len(row) for row in rows]
