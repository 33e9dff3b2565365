from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from toy_steps import EOS, Toy, allowed, configs, problems, steady, toy_problem

from seqgen.config import SearchConfig
from seqgen.decode.constraints import Constraints, repeating
from seqgen.decode.problem import Problem

VOCAB = 5


def left(
    problem: Problem[Tensor], config: SearchConfig, history: list[tuple[int, ...]], sentences: list[int]
) -> list[set[int]]:
    """What each row may go on with, after a check that these log-probabilities are as they were."""
    assert isinstance(problem.step, Toy)
    log_probs = torch.randn(len(history), problem.step.vocab_size).log_softmax(dim=-1)
    before = log_probs.clone()
    lengths = torch.tensor([len(tokens) for tokens in history])
    Constraints(problem, config).apply(log_probs, torch.tensor(sentences), lengths, history)
    kept = log_probs > -math.inf
    assert torch.equal(log_probs[kept], before[kept])
    return [set(row.nonzero()[:, 0].tolist()) for row in kept]


def one(config: SearchConfig, history: tuple[int, ...], max_length: int = 10, banned: tuple[int, ...] = ()) -> set[int]:
    return left(toy_problem(Toy(VOCAB), [0], [max_length], banned=banned), config, [history], [0])[0]


def test_without_rules_everything_is_left() -> None:
    assert one(SearchConfig(), ()) == set(range(VOCAB))


def test_only_the_end_symbol_is_left_at_the_greatest_length() -> None:
    assert one(SearchConfig(), (1, 2), max_length=4) == set(range(VOCAB))
    assert one(SearchConfig(), (1, 2, 3), max_length=4) == {EOS}
    assert one(SearchConfig(min_length=3), (), max_length=1) == {EOS}


def test_no_end_symbol_before_the_least_length() -> None:
    assert one(SearchConfig(min_length=2), (1,)) == {1, 2, 3, 4}
    assert one(SearchConfig(min_length=2), (1, 1)) == {0, 1, 2, 3, 4}


def test_banned_tokens_are_not_produced_but_the_end_symbol_always_can_be() -> None:
    assert one(SearchConfig(), (), banned=(1, 3)) == {0, 2, 4}
    assert one(SearchConfig(), (), banned=(0, 1)) == {0, 2, 3, 4}


def test_no_sequence_of_tokens_comes_twice() -> None:
    assert one(SearchConfig(no_repeat_ngram=1), (1, 3)) == {0, 2, 4}
    assert one(SearchConfig(no_repeat_ngram=2), (1, 2, 3, 1)) == {0, 1, 3, 4}
    assert one(SearchConfig(no_repeat_ngram=3), (1, 2, 3, 1, 2)) == {0, 1, 2, 4}


def test_the_end_symbol_is_the_way_out_when_nothing_else_is_left() -> None:
    everything = SearchConfig(no_repeat_ngram=1, min_length=9)
    assert one(everything, (1, 2, 3)) == {4}
    assert one(everything, (1, 2, 3, 4)) == {EOS}
    assert one(SearchConfig(min_length=9), (), banned=(1, 2, 3, 4)) == {EOS}


def test_a_prefix_comes_before_all_other_rules() -> None:
    prefixes = [(2, 2, 4), (), (0,)]
    problem = toy_problem(Toy(VOCAB), [0, 1, 2], [2, 3, 5], prefixes=prefixes, banned=(2,))
    config = SearchConfig(min_length=9, no_repeat_ngram=1)
    assert left(problem, config, [(2,), (1,), ()], [0, 1, 2]) == [{2}, {3, 4}, {0}]
    # After the prefix: its sentence is as long as the prefix needs, and its tokens count as produced.
    assert left(problem, config, [(2, 2, 4)], [0]) == [{EOS}]
    assert problem.limits.tolist() == [4, 3, 5]


def test_right_after_a_prefix_come_some_tokens_only_and_the_end_when_none_of_them_can() -> None:
    may = [True, False, True, False, True]
    problem = toy_problem(
        Toy(VOCAB), [0, 1, 2], [9, 9, 3], prefixes=[(1, 3), (), (1, 3)], after_prefix=may, banned=(4,)
    )
    found = left(problem, SearchConfig(), [(1, 3), (1, 3, 2), (), (1, 3), (1, 3)], [0, 0, 1, 1, 2])
    assert found == [{2}, {0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 3}, {EOS}]
    none = toy_problem(Toy(VOCAB), [0], [9], prefixes=[(1,)], after_prefix=[False] * VOCAB)
    assert left(none, SearchConfig(min_length=4), [(1,), (1, 2)], [0, 0]) == [{EOS}, {1, 2, 3, 4}]


def test_rows_may_have_different_lengths_and_any_order_of_sentences() -> None:
    problem = toy_problem(Toy(VOCAB), [0, 1], [2, 4], prefixes=[(), (3,)])
    found = left(problem, SearchConfig(), [(1,), (), (3, 1, 1), (), (3,)], [0, 1, 1, 0, 1])
    assert found == [{EOS}, {3}, {EOS}, set(range(VOCAB)), set(range(VOCAB))]


def test_a_forced_token_that_is_as_good_as_impossible_keeps_its_log_probability() -> None:
    log_probs = torch.tensor([[-1.0, -2.0, -500.0]])
    problem = toy_problem(Toy(3), [0], [4], prefixes=[(2,)], banned=(2,))
    Constraints(problem, SearchConfig()).apply(log_probs, torch.tensor([0]), torch.tensor([0]))
    assert log_probs.tolist() == [[-math.inf, -math.inf, -500.0]]


@pytest.mark.parametrize("ngram", [0, 2])
def test_the_history_is_read_only_where_it_matters(ngram: int) -> None:
    constraints = Constraints(toy_problem(Toy(3), [0], [4]), SearchConfig(no_repeat_ngram=ngram))
    assert constraints.read_history == (ngram > 0)


@steady
@given(st.lists(st.integers(0, 2), max_size=8), st.integers(1, 4))
def test_repeating_tokens_are_those_that_complete_an_old_sequence(tokens: list[int], size: int) -> None:
    old = [tokens[i : i + size] for i in range(len(tokens) - size + 1)]
    expected = {token for token in range(3) if [*tokens[len(tokens) + 1 - size :], token][-size:] in old}
    assert repeating(tokens, size) == expected


@steady
@given(problems(), configs, st.lists(st.lists(st.integers(1, 3), max_size=3).map(tuple), min_size=1, max_size=4))
def test_all_rules_together_are_those_of_the_oracle(
    problem: Problem[Tensor], config: SearchConfig, history: list[tuple[int, ...]]
) -> None:
    assert isinstance(problem.step, Toy)
    vocab = problem.step.vocab_size
    history = [tuple(min(token, vocab - 1) for token in tokens) for tokens in history]
    sentences = [i % len(problem) for i in range(len(history))]
    limits = problem.limits.tolist()
    history = [tokens[: limits[sentence] - 1] for tokens, sentence in zip(history, sentences, strict=True)]
    expected = [
        allowed(problem, sentence, config, tokens, vocab) for tokens, sentence in zip(history, sentences, strict=True)
    ]
    assert left(problem, config, history, sentences) == expected
