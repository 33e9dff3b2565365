from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from seqgen.config import SamplingConfig
from seqgen.decode.sampling import Sampler, draw, restrict

VOCAB = 5
PLAIN = SamplingConfig()
GREEDY = SamplingConfig(temperature=0.0)


class Ledger:
    """A step that is no network: the state is all tokens so far, and the next distribution hangs on all of them."""

    def __call__(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        history = torch.cat((state, tokens[:, None]), dim=1)
        places = torch.arange(1, history.shape[1] + 1)
        mixed = (history * places).sum(dim=1, keepdim=True) + torch.arange(VOCAB) * 7
        return (mixed % 11 / 3.0).log_softmax(dim=-1), history

    def reorder(self, state: Tensor, index: Tensor) -> Tensor:
        return state[index]

    def join(self, states: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(states))


def log_of(*rows: list[float]) -> Tensor:
    return torch.tensor(rows).log()


def sampler(config: SamplingConfig, seeds: list[int]) -> Sampler[Tensor]:
    first = torch.arange(VOCAB, dtype=torch.float).mul(0.3).log_softmax(dim=-1).repeat(len(seeds), 1)
    return Sampler(Ledger(), first, torch.empty(len(seeds), 0, dtype=torch.long), config, seeds)


def tokens_of(drawing: Sampler[Tensor], length: int) -> Tensor:
    return torch.stack([drawing.advance()[0] for _ in range(length)], dim=1)


# Restricting --------------------------------------------------------------------------------------------------


def test_without_restrictions_the_model_is_drawn_from() -> None:
    probs = restrict(log_of([0.5, 0.25, 0.125, 0.125]), PLAIN)
    assert probs[0].tolist() == pytest.approx([0.5, 0.25, 0.125, 0.125])


def test_temperature_raises_probabilities_to_a_power() -> None:
    # At 1/2 the squares: 0.64 and 0.04, over 0.68; at 2 the roots: 0.894427 and 0.447214, over 1.341641.
    cold = restrict(log_of([0.8, 0.2]), SamplingConfig(temperature=0.5))
    warm = restrict(log_of([0.8, 0.2]), SamplingConfig(temperature=2.0))
    assert cold[0].tolist() == pytest.approx([0.941176, 0.058824], abs=1e-5)
    assert warm[0].tolist() == pytest.approx([0.666667, 0.333333], abs=1e-5)


@pytest.mark.parametrize("temperature", [1e-3, 1e-20, 1e-45, 1e-300])
def test_the_lowest_temperatures_take_the_most_probable_token(temperature: float) -> None:
    probs = restrict(log_of([0.2, 0.5, 0.3], [0.1, 0.1, 0.8]), SamplingConfig(temperature=temperature))
    assert probs.tolist() == [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


def test_top_k_keeps_the_k_most_probable_and_renormalises() -> None:
    probs = restrict(log_of([0.1, 0.4, 0.2, 0.3]), SamplingConfig(top_k=2))
    # 0.4 and 0.3 over 0.7.
    assert probs[0].tolist() == pytest.approx([0.0, 4 / 7, 0.0, 3 / 7])


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_keeps_exactly_k_even_when_all_are_equal(k: int) -> None:
    probs = restrict(torch.zeros(2, 6), SamplingConfig(top_k=k))
    assert (probs > 0).sum(dim=-1).tolist() == [k, k]
    assert probs.max().item() == pytest.approx(1 / k)


@pytest.mark.parametrize("k", [0, 4, 100])
def test_top_k_of_none_or_all_keeps_every_token(k: int) -> None:
    probs = restrict(log_of([0.1, 0.4, 0.2, 0.3]), SamplingConfig(top_k=k))
    assert probs[0].tolist() == pytest.approx([0.1, 0.4, 0.2, 0.3])


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [
        (0.0, [0.0, 1.0, 0.0, 0.0]),
        (0.3, [0.0, 1.0, 0.0, 0.0]),
        (0.5, [0.0, 1.0, 0.0, 0.0]),  # reached exactly: no second token
        (0.51, [1 / 3, 2 / 3, 0.0, 0.0]),  # 0.5 and 0.25 over 0.75
        (0.75, [1 / 3, 2 / 3, 0.0, 0.0]),
        (0.8, [0.25 / 0.875, 0.5 / 0.875, 0.125 / 0.875, 0.0]),
        (1.0, [0.25, 0.5, 0.125, 0.125]),
    ],
)
def test_top_p_keeps_the_fewest_that_reach_it_and_at_least_one(top_p: float, kept: list[float]) -> None:
    probs = restrict(log_of([0.25, 0.5, 0.125, 0.125]), SamplingConfig(top_p=top_p))
    assert sorted(probs[0].tolist()) == pytest.approx(sorted(kept))
    assert probs[0, :2].tolist() == pytest.approx(kept[:2])


def test_top_p_counts_within_what_top_k_left() -> None:
    # Of 0.4, 0.3, 0.2, 0.1 top-k leaves 0.4 and 0.3: 4/7 = 0.571 reaches 0.55 alone, though 0.4 would not.
    probs = restrict(log_of([0.4, 0.3, 0.2, 0.1]), SamplingConfig(top_k=2, top_p=0.55))
    assert probs[0].tolist() == pytest.approx([1.0, 0.0, 0.0, 0.0])


def test_top_p_counts_after_temperature() -> None:
    # 0.8 and 0.2 at temperature 2 are 0.667 and 0.333: 0.7 now needs both.
    probs = restrict(log_of([0.8, 0.2]), SamplingConfig(temperature=2.0, top_p=0.7))
    assert probs[0].tolist() == pytest.approx([2 / 3, 1 / 3], abs=1e-6)


def test_rows_are_restricted_apart() -> None:
    probs = restrict(log_of([0.7, 0.2, 0.1], [0.1, 0.2, 0.7]), SamplingConfig(top_k=1))
    assert probs.tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def test_a_token_without_probability_stays_excluded() -> None:
    probs = restrict(torch.tensor([[0.0, -math.inf, 0.0]]), SamplingConfig(temperature=0.7, top_p=0.99))
    assert probs[0].tolist() == pytest.approx([0.5, 0.0, 0.5])


def test_restricting_leaves_the_log_probabilities_alone() -> None:
    log_probs = log_of([0.25, 0.5, 0.125, 0.125])
    before = log_probs.clone()
    restrict(log_probs, SamplingConfig(temperature=0.5, top_k=3, top_p=0.5))
    assert torch.equal(log_probs, before)


# Drawing ------------------------------------------------------------------------------------------------------


def test_the_drawn_token_is_the_first_beyond_the_number() -> None:
    probs = torch.tensor([[0.25, 0.5, 0.25]]).repeat(5, 1)
    # Cumulated: 0.25, 0.75, 1.
    uniform = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75])
    assert draw(probs, uniform).tolist() == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("number", [0.0, 1.0 - 2.0**-24, 1.0 - 2.0**-53])
@pytest.mark.parametrize(
    "row", [[0.0, 1.0, 0.0], [0.0, 0.3, 0.0], [0.0, 0.0, 1e-30], [1e-30, 0.0, 0.0], [0.0, 1 / 3, 1e-30]]
)
def test_a_token_of_probability_zero_is_never_drawn(number: float, row: list[float]) -> None:
    probs = torch.tensor([row])
    (token,) = draw(probs, torch.tensor([number], dtype=torch.float64)).tolist()
    assert row[token] > 0.0


def test_frequencies_are_the_probabilities() -> None:
    probs = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.05])
    count = 50_000
    uniform = torch.rand(count, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(draw(probs.expand(count, -1), uniform), minlength=5)
    assert counts[1] == 0
    expected = probs * count
    chi_square = ((counts - expected)[[0, 2, 3, 4]] ** 2 / expected[[0, 2, 3, 4]]).sum().item()
    assert chi_square < 16.3  # the 99.9 % point at 3 degrees of freedom


def test_numbers_are_stretched_over_probabilities_that_do_not_sum_to_one() -> None:
    assert draw(torch.tensor([[0.1, 0.1]]), torch.tensor([0.51])).tolist() == [1]


# Streams ------------------------------------------------------------------------------------------------------


def test_a_sampler_needs_no_network() -> None:
    tokens = tokens_of(sampler(PLAIN, [1, 2, 3]), 40)
    assert tokens.shape == (3, 40)
    assert set(tokens.flatten().tolist()) == set(range(VOCAB))


def test_greedy_takes_the_most_probable_token() -> None:
    step = Ledger()
    drawing = sampler(GREEDY, [1, 2])
    history, expected = torch.empty(1, 0, dtype=torch.long), torch.tensor([VOCAB - 1])
    for _ in range(12):
        tokens, _ = drawing.advance()
        assert tokens.tolist() == expected.repeat(2).tolist()
        log_probs, history = step(expected, history)
        expected = log_probs.argmax(dim=-1)


def test_the_log_probability_is_the_models_own() -> None:
    config = SamplingConfig(temperature=0.5, top_k=2)
    drawing = sampler(config, [5])
    step, history = Ledger(), torch.empty(1, 0, dtype=torch.long)
    log_probs = torch.arange(VOCAB, dtype=torch.float).mul(0.3).log_softmax(dim=-1)[None]
    for _ in range(6):
        token, chosen = drawing.advance()
        assert chosen.item() == pytest.approx(log_probs[0, int(token)].item())
        log_probs, history = step(token, history)


def test_a_stream_does_not_depend_on_how_many_run_beside_it() -> None:
    # Longer than the numbers that are drawn at once, so that generators are asked twice.
    many = tokens_of(sampler(PLAIN, [10, 11, 12, 13]), 300)
    for row, seed in enumerate([10, 11, 12, 13]):
        assert torch.equal(tokens_of(sampler(PLAIN, [seed]), 300)[0], many[row])


def test_the_same_seed_draws_the_same_tokens_and_another_seed_others() -> None:
    same = tokens_of(sampler(PLAIN, [7, 7, 8]), 60)
    assert torch.equal(same[0], same[1])
    assert not torch.equal(same[0], same[2])


def test_sampling_does_not_touch_the_global_generator() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    tokens_of(sampler(PLAIN, [1, 2]), 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_streams_that_are_kept_go_on_as_if_nothing_had_left() -> None:
    whole = tokens_of(sampler(PLAIN, [10, 11, 12, 13]), 600)
    drawing = sampler(PLAIN, [10, 11, 12, 13])
    tokens_of(drawing, 100)
    drawing.keep(torch.tensor([0, 2, 3]))
    assert torch.equal(tokens_of(drawing, 300), whole[[0, 2, 3], 100:400])
    drawing.keep(torch.tensor([2, 0]))
    assert torch.equal(tokens_of(drawing, 200), whole[[3, 0], 400:])


def test_streams_may_leave_before_the_first_token() -> None:
    whole = tokens_of(sampler(PLAIN, [10, 11, 12]), 20)
    drawing = sampler(PLAIN, [10, 11, 12])
    drawing.keep(torch.tensor([2, 1]))
    assert torch.equal(tokens_of(drawing, 20), whole[[2, 1]])


# Banned tokens ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [PLAIN, GREEDY, SamplingConfig(temperature=0.5), SamplingConfig(top_k=2)])
def test_a_banned_token_is_never_drawn_and_the_log_probabilities_stay_the_models(config: SamplingConfig) -> None:
    # Tokens 1 and 4 have most of the probability, and so little is left that exp rounds it to zero.
    first = torch.tensor([[-200.0, -0.5, -201.0, -202.0, -1.0]]).log_softmax(dim=-1).repeat(300, 1)
    state = torch.empty(300, 0, dtype=torch.long)
    drawing = Sampler(Ledger(), first, state, config, list(range(300)), banned=(1, 4))
    tokens, log_probs = drawing.advance()
    assert set(tokens.tolist()) <= {0, 2, 3}
    assert torch.equal(log_probs, first.gather(1, tokens[:, None])[:, 0])
    if config is PLAIN:
        # e^0, e^-1, e^-2 over their sum: 0.665241, 0.244728, 0.090031 of 300.
        assert torch.bincount(tokens, minlength=4)[0].item() == pytest.approx(0.665241 * 300, abs=30)
    assert not set(tokens_of(drawing, 20).flatten().tolist()) & {1, 4}
