from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from toy_steps import (
    EOS,
    Looking,
    Toy,
    Unfinished,
    configs,
    every_output,
    extensions,
    finished,
    only,
    problems,
    steady,
    toy_problem,
)

from seqgen.config import SamplingConfig, SearchConfig
from seqgen.decode.greedy import greedy_search, sample_search
from seqgen.decode.hypothesis import Hypothesis
from seqgen.decode.problem import Problem

PLAIN = SamplingConfig()


def chain(problem: Problem[Tensor], sentence: int, config: SearchConfig) -> Hypothesis:
    """The most probable allowed token, one after the other."""
    each = Unfinished((), (), ())
    while True:
        ((each, log_probs, tokens),) = extensions(problem, sentence, config, [each])
        best = max(sorted(tokens), key=lambda token: log_probs[token])
        if best == EOS:
            return finished(each, log_probs[EOS], config)
        each = Unfinished((*each.tokens, best), (*each.log_probs, log_probs[best]), each.attention)


def same(found: Hypothesis, expected: Hypothesis) -> None:
    assert found.token_ids == expected.token_ids
    assert found.log_probs == pytest.approx(expected.log_probs, rel=1e-12)
    assert found.score == pytest.approx(expected.score, rel=1e-9)
    if found.attention is not None:
        assert expected.attention is not None
        assert torch.allclose(found.attention, expected.attention)


@steady
@given(problems(longest=6), configs)
def test_greedy_takes_the_most_probable_allowed_token(problem: Problem[Tensor], config: SearchConfig) -> None:
    for sentence, found in enumerate(greedy_search(problem, config, attention=True)):
        same(found, chain(problem, sentence, config))
        assert found.attention is not None


@steady
@given(problems(longest=6), configs)
def test_a_sentence_does_not_feel_its_neighbours(problem: Problem[Tensor], config: SearchConfig) -> None:
    whole = greedy_search(problem, config)
    drawn = sample_search(problem, config, PLAIN, range(len(problem)))
    for sentence in range(len(problem)):
        alone = only(problem, [sentence])
        assert greedy_search(alone, config) == [whole[sentence]]
        assert sample_search(alone, config, PLAIN, [sentence]) == [drawn[sentence]]


def test_of_equal_tokens_the_first_is_taken() -> None:
    (found,) = greedy_search(toy_problem(Toy(4, sharpness=0.0), [0], [3], prefixes=[(2,)]), SearchConfig(min_length=2))
    assert found.token_ids == (2, 1)
    assert found.log_probs == pytest.approx([math.log(0.25)] * 3)


def test_sentences_that_ended_leave_the_batch() -> None:
    step = Toy(4)
    greedy_search(toy_problem(step, range(5), [1, 2, 3, 4, 9]), SearchConfig(min_length=9))
    assert (step.calls, step.rows) == (9, 1 + 2 + 3 + 4 + 9)


def test_no_sentences_give_no_outputs() -> None:
    assert greedy_search(toy_problem(Toy(4), [], []), SearchConfig()) == []
    assert sample_search(toy_problem(Toy(4), [], []), SearchConfig(), PLAIN, []) == []


def test_a_prefix_may_end_the_output() -> None:
    (found,) = greedy_search(toy_problem(Toy(4), [0], [9], prefixes=[(2, EOS)]), SearchConfig())
    assert found.token_ids == (2,)
    assert len(found.log_probs) == 2


# Drawn outputs ------------------------------------------------------------------------------------------------


def test_a_cold_draw_is_greedy() -> None:
    problem = toy_problem(Looking(4), range(6), [8] * 6)
    config = SearchConfig(min_length=2, no_repeat_ngram=2)
    cold = sample_search(problem, config, SamplingConfig(temperature=0.0), range(6), attention=True)
    for found, expected in zip(cold, greedy_search(problem, config, attention=True), strict=True):
        same(found, expected)


@steady
@given(problems(longest=6), configs, st.sampled_from([PLAIN, SamplingConfig(temperature=2.0, top_k=2, top_p=0.9)]))
def test_every_draw_is_an_allowed_output(
    problem: Problem[Tensor], config: SearchConfig, sampling: SamplingConfig
) -> None:
    for sentence, found in enumerate(sample_search(problem, config, sampling, range(len(problem)), attention=True)):
        if len(found.token_ids) < 5:
            (expected,) = [o for o in every_output(problem, sentence, config) if o.token_ids == found.token_ids]
            same(found, expected)


def test_draws_are_as_frequent_as_they_are_probable() -> None:
    count = 4000
    problem = toy_problem(Toy(3), [5], [3])
    outputs = every_output(problem, 0, SearchConfig())
    drawn = Counter(
        h.token_ids for h in sample_search(only(problem, [0] * count), SearchConfig(), PLAIN, list(range(count)))
    )
    # The end symbol at the greatest length is certain, whatever log-probability it is reported with.
    for output in outputs:
        certain = output.log_probs[-1] if len(output.token_ids) == 2 else 0.0
        expected = math.exp(output.log_prob - certain)
        assert drawn[output.token_ids] / count == pytest.approx(expected, abs=4 * math.sqrt(expected / count))


def test_a_prefix_of_no_probability_can_be_drawn() -> None:
    problem = toy_problem(Toy(4, sharpness=4000.0), range(8), [4] * 8, prefixes=[(1, 2)] * 8)
    for found in sample_search(problem, SearchConfig(), PLAIN, range(8)):
        assert found.token_ids[:2] == (1, 2)
