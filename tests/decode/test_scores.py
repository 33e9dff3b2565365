from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_steps import Looking, Toy, beginning, steady, toy_problem

from seqgen.config import SearchConfig
from seqgen.decode.hypothesis import Hypothesis
from seqgen.decode.scores import NBest, Observer, coverage, length_divisor, score, upper_bound
from seqgen.errors import UsageError


def of(total: float, length: int, config: SearchConfig, covered: float | None = None) -> float:
    cover = None if covered is None else torch.tensor([covered], dtype=torch.float64)
    return score(torch.tensor([total], dtype=torch.float64), torch.tensor([length]), config, cover).item()


def test_without_penalties_the_score_is_the_log_probability() -> None:
    assert of(-3.25, 7, SearchConfig()) == -3.25


def test_length_penalty_by_hand() -> None:
    # lp(7) = (5 + 7) / 6 = 2 to the power of the penalty.
    assert of(-3.0, 7, SearchConfig(length_penalty=1.0)) == -1.5
    assert of(-3.0, 7, SearchConfig(length_penalty=2.0)) == -0.75
    assert of(-3.0, 1, SearchConfig(length_penalty=2.0)) == -3.0


def test_coverage_by_hand() -> None:
    # Two target tokens over three source tokens: 0.5 + 0.25, 0.5 + 0.75 which counts as 1, and 0.25 of nothing.
    attention = torch.tensor([[[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]]])
    assert coverage(attention, torch.tensor([2])).item() == pytest.approx(math.log(0.75))
    config = SearchConfig(length_penalty=1.0, coverage_penalty=0.2)
    assert of(-3.0, 7, config, math.log(0.75)) == pytest.approx(-1.5 + 0.2 * math.log(0.75))


def test_what_was_never_looked_at_costs_much_but_not_everything() -> None:
    attention = torch.tensor([[[1.0, 0.0]]])
    assert coverage(attention, torch.tensor([2])).item() == pytest.approx(math.log(2.0**-126))
    assert coverage(attention, torch.tensor([1])).item() == 0.0


@steady
@given(
    st.floats(0.0, 5.0),
    st.lists(st.floats(-9.0, 0.0), min_size=1, max_size=8),
    st.integers(0, 7),
    st.integers(0, 5),
)
def test_no_output_exceeds_the_bound_of_its_beginning(
    penalty: float, log_probs: list[float], begin: int, room: int
) -> None:
    config = SearchConfig(length_penalty=penalty)
    total, prefix = 0.0, 0.0
    for i, log_prob in enumerate(log_probs):
        prefix = total if i <= begin else prefix
        total += log_prob
    limit = torch.tensor([len(log_probs) + room])
    bound = upper_bound(torch.tensor([prefix], dtype=torch.float64), limit, config).item()
    assert of(total, len(log_probs), config) <= bound


def test_no_divisor_is_too_large() -> None:
    divisors = length_divisor(torch.tensor([1, 60_000]), SearchConfig(length_penalty=100.0))
    assert divisors.tolist() == [1.0, math.inf]
    assert of(-5.0, 60_000, SearchConfig(length_penalty=100.0)) == 0.0


# Attention ----------------------------------------------------------------------------------------------------


def test_a_coverage_penalty_needs_attention() -> None:
    observer = Observer(toy_problem(Toy(3), [0], [4]), SearchConfig(coverage_penalty=0.1), wanted=False)
    with pytest.raises(UsageError, match="no attention"):
        observer.read(beginning([0], [1]))


def test_attention_that_nobody_needs_is_not_read() -> None:
    step = Looking(3)
    state = beginning([0, 1], [1, 3])
    quiet = Observer(toy_problem(step, [0, 1], [4, 4]), SearchConfig(), wanted=False)
    assert quiet.read(state) is None
    asked = Observer(toy_problem(step, [0, 1], [4, 4]), SearchConfig(), wanted=True)
    assert torch.equal(asked.read(state), step.attention(state))  # type: ignore[arg-type]
    assert Observer(toy_problem(Toy(3), [0], [4]), SearchConfig(), wanted=True).read(beginning([0], [1])) is None


def test_attention_is_shown_without_padding_and_only_if_asked_for() -> None:
    problem = toy_problem(Looking(3), [0, 1], [4, 4])
    attention = torch.rand(5, 3)
    shown = Observer(problem, SearchConfig(), wanted=True).show(attention, 1)
    assert shown is not None
    assert torch.equal(shown, attention[:, :2])
    assert Observer(problem, SearchConfig(coverage_penalty=0.1), wanted=False).show(attention, 1) is None


# The best -----------------------------------------------------------------------------------------------------


def test_the_best_are_kept_in_order_and_the_first_of_equals_stays() -> None:
    best = NBest(2)
    assert best.threshold == -math.inf
    for token, value in enumerate([-3.0, -1.0, -3.0, -2.0, -1.0, -2.0]):
        best.add(Hypothesis((token,), (value,), value))
    assert [h.token_ids for h in best.hypotheses] == [(1,), (4,)]
    assert best.threshold == -1.0


def test_the_same_output_is_not_kept_twice() -> None:
    best = NBest(3)
    for value in (-2.0, -1.0, -2.0):
        best.add(Hypothesis((7,), (value,), value))
    assert [h.score for h in best.hypotheses] == [-2.0]
