"""What every decoder asks of every step: probabilities that are numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from toy_steps import EOS, START, Looking, beginning, toy_problem

from seqgen.config import SamplingConfig, SearchConfig
from seqgen.decode.beam import beam_search
from seqgen.decode.ensemble import EnsembleStep
from seqgen.decode.exhaustive import exhaustive_search
from seqgen.decode.greedy import greedy_search, sample_search
from seqgen.decode.problem import Problem
from seqgen.decode.sampling import Sampler
from seqgen.decode.step import checked
from seqgen.errors import NonFiniteError

SEARCH = SearchConfig(beam_size=2, max_seconds=0.0)
SEARCHES: dict[str, Callable[[Problem[Tensor]], object]] = {
    "greedy": lambda problem: greedy_search(problem, SEARCH),
    "sample": lambda problem: sample_search(problem, SEARCH, SamplingConfig(), [1, 2]),
    "sample, cold": lambda problem: sample_search(problem, SEARCH, SamplingConfig(temperature=0.0), [1, 2]),
    "beam": lambda problem: beam_search(problem, SEARCH),
    "exhaustive": lambda problem: exhaustive_search(problem, SEARCH, [[], []]),
}


class Failing(Looking):
    """From a call on, one row has the same value for every token."""

    def __init__(self, call: int, value: float) -> None:
        super().__init__(4)
        self.call, self.value = call, value

    def __call__(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        log_probs, state = super().__call__(tokens, state)
        if self.calls >= self.call:
            log_probs[-1] = self.value
        return log_probs, state


@pytest.mark.parametrize("value", [math.nan, -math.inf, math.inf])
@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("search", SEARCHES)
def test_no_search_chooses_among_what_are_no_probabilities(search: str, call: int, value: float) -> None:
    # With a prefix no sentence ends at once.
    problem = toy_problem(Failing(call, value), [1, 2], [4, 4], prefixes=[(1,), (1,)])
    with pytest.raises(NonFiniteError, match="not numbers"):
        SEARCHES[search](problem)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_no_token_is_drawn_from_what_are_no_probabilities(value: float, temperature: float) -> None:
    step, sampling = Failing(1, value), SamplingConfig(temperature=temperature)
    state = beginning([1, 2], [3, 3])
    sampler = Sampler(step, torch.zeros(2, 4).log_softmax(dim=-1), state, sampling, [1, 2])
    sampler.advance()
    with pytest.raises(NonFiniteError):
        sampler.advance()
    with pytest.raises(NonFiniteError):  # the prompt's own
        Sampler(step, torch.full((2, 4), value), state, sampling, [1, 2])


def test_one_network_without_probabilities_spoils_an_ensemble() -> None:
    steps = (Failing(99, 0.0), Failing(1, math.nan))
    start = torch.full((1,), START)
    problem: Problem[tuple[Tensor, ...]] = Problem(
        step=EnsembleStep(steps, aligned=True),
        state=(beginning([1], [3]),) * 2,
        start=start,
        eos_id=EOS,
        max_lengths=[4],
    )
    with pytest.raises(NonFiniteError):
        greedy_search(problem, SEARCH)


def test_impossible_tokens_beside_possible_ones_pass() -> None:
    log_probs = torch.tensor([[-math.inf, 0.0], [math.log(0.5)] * 2])
    assert checked(log_probs) is log_probs
    assert checked(torch.empty(0, 3)).shape == (0, 3)
