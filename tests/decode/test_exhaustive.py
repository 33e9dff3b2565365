from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from toy_steps import EOS, Looking, Toy, configs, every_output, only, problems, steady, toy_problem

from seqgen.config import SearchConfig
from seqgen.decode.beam import beam_search
from seqgen.decode.exhaustive import Certified, exhaustive_search
from seqgen.decode.frontier import Frontier, Prefix, States
from seqgen.decode.hypothesis import Hypothesis
from seqgen.decode.problem import Problem

FREE = SearchConfig(max_nodes=0, max_seconds=0.0)


def proves(answer: Certified, outputs: list[Hypothesis], config: SearchConfig) -> None:
    """The answer is right, complete and says so."""
    expected = outputs[: config.n_best]
    assert answer.optimal
    assert answer.gap == 0.0
    assert [h.score for h in answer.hypotheses] == pytest.approx([h.score for h in expected], rel=1e-9)
    by_tokens = {output.token_ids: output for output in outputs}
    assert len({h.token_ids for h in answer.hypotheses}) == len(expected)
    for found in answer.hypotheses:
        assert found.score == pytest.approx(by_tokens[found.token_ids].score, rel=1e-9)
        assert found.log_probs == pytest.approx(by_tokens[found.token_ids].log_probs, rel=1e-12)
        if found.attention is not None:
            assert torch.allclose(found.attention, by_tokens[found.token_ids].attention)  # type: ignore[arg-type]


def test_nothing_found_is_no_optimum() -> None:
    class Endless(Looking):
        """The end symbol is impossible."""

        def __call__(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            log_probs, state = super().__call__(tokens, state)
            log_probs[:, EOS] = -math.inf
            return log_probs, state

    (answer,) = exhaustive_search(toy_problem(Endless(3), [1], [3]), FREE, [[]])
    assert answer.hypotheses == []
    assert not answer.optimal
    assert answer.gap == math.inf


# What it finds ------------------------------------------------------------------------------------------------


@steady
@given(problems(longest=5), configs, st.booleans())
def test_it_finds_the_best_of_all_outputs(problem: Problem[Tensor], config: SearchConfig, begun: bool) -> None:
    incumbents = beam_search(problem, config, attention=True) if begun else [[] for _ in range(len(problem))]
    for sentence, answer in enumerate(exhaustive_search(problem, config, incumbents, attention=True)):
        proves(answer, every_output(problem, sentence, config), config)
        assert all(h.attention is not None for h in answer.hypotheses)


@pytest.mark.parametrize("config", [FREE, replace(FREE, length_penalty=1.0, n_best=20), replace(FREE, min_length=4)])
def test_a_larger_space(config: SearchConfig) -> None:
    problem = toy_problem(Looking(6), [1, 2], [6, 6])
    for sentence, answer in enumerate(exhaustive_search(problem, config, beam_search(problem, config))):
        proves(answer, every_output(problem, sentence, config), config)


@steady
@given(problems(longest=5), configs, st.sampled_from([1, 2, 7]), st.sampled_from([0, 3, 20]))
def test_any_batch_and_any_memory_give_the_same_proof(
    problem: Problem[Tensor], config: SearchConfig, batch_rows: int, max_rows: int
) -> None:
    nothing: list[list[Hypothesis]] = [[] for _ in range(len(problem))]
    answers = exhaustive_search(problem, config, nothing, batch_rows=batch_rows, max_rows=max_rows)
    for sentence, answer in enumerate(answers):
        proves(answer, every_output(problem, sentence, config), config)


@steady
@given(problems(longest=5), configs)
def test_a_sentence_does_not_feel_its_neighbours(problem: Problem[Tensor], config: SearchConfig) -> None:
    incumbents = beam_search(problem, config)
    whole = exhaustive_search(problem, config, incumbents)
    order = list(range(len(problem)))[::-1]
    turned = exhaustive_search(only(problem, order), config, [incumbents[i] for i in order])
    for sentence, found in zip(order, turned, strict=True):
        (alone,) = exhaustive_search(only(problem, [sentence]), config, [incumbents[sentence]])
        assert alone.hypotheses == whole[sentence].hypotheses == found.hypotheses


def test_single_precision_finds_the_same() -> None:
    class Single(Toy):
        def __call__(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            log_probs, state = super().__call__(tokens, state)
            return log_probs.float(), state

    problem = toy_problem(Single(6), range(5), [6] * 5)
    config = replace(FREE, n_best=4, length_penalty=0.6)
    for sentence, answer in enumerate(exhaustive_search(problem, config, beam_search(problem, config))):
        proves(answer, every_output(problem, sentence, config), config)


def test_equally_good_outputs_are_not_all_visited() -> None:
    # All outputs of one length are equally probable, and the shortest is the best: its one node proves it.
    step = Toy(5, sharpness=0.0)
    (answer,) = exhaustive_search(toy_problem(step, [0], [9]), FREE, [[]])
    assert (answer.hypotheses[0].token_ids, answer.optimal, answer.nodes) == ((), True, 1)


def test_no_sentences_give_no_answers() -> None:
    assert exhaustive_search(toy_problem(Toy(4), [], []), FREE, []) == []


def test_a_single_token_is_the_end_symbol() -> None:
    (answer,) = exhaustive_search(toy_problem(Toy(4), [3], [1]), replace(FREE, n_best=5), [[]])
    assert [h.token_ids for h in answer.hypotheses] == [()]
    assert answer.optimal
    assert answer.bound == -math.inf


def test_a_certain_incumbent_needs_no_node() -> None:
    certain = Hypothesis((1,), (0.0, 0.0), 0.0)
    (answer,) = exhaustive_search(toy_problem(Toy(4), [0], [5]), FREE, [[certain]])
    assert (answer.hypotheses, answer.optimal, answer.nodes) == ([certain], True, 0)


@pytest.mark.parametrize("begun", [False, True])
def test_best_first_visits_only_what_is_more_probable_than_the_best(begun: bool) -> None:
    problem = toy_problem(Toy(5), range(6), [6] * 6)
    incumbents = beam_search(problem, FREE) if begun else [[] for _ in range(6)]
    for sentence, answer in enumerate(exhaustive_search(problem, FREE, incumbents, batch_rows=1)):
        totals = {
            o.token_ids[:n]: sum(o.log_probs[:n]) for o in every_output(problem, sentence, FREE) for n in range(6)
        }
        assert answer.nodes == sum(total > answer.hypotheses[0].score for total in totals.values())


def test_better_incumbents_save_nodes() -> None:
    problem = toy_problem(Toy(6, sharpness=4.0), range(4), [7] * 4)
    config = replace(FREE, length_penalty=0.5)
    proved = exhaustive_search(problem, config, beam_search(problem, config))
    blind = exhaustive_search(problem, config, [[]] * 4)
    known = exhaustive_search(problem, config, [answer.hypotheses for answer in proved])
    for a, b, c in zip(blind, proved, known, strict=True):
        assert a.nodes >= b.nodes >= c.nodes > 0
        assert a.hypotheses[0].score == pytest.approx(c.hypotheses[0].score)


# Budgets ------------------------------------------------------------------------------------------------------


@steady
@given(problems(longest=5), configs, st.integers(1, 12), st.integers(1, 5))
def test_a_spent_budget_leaves_a_gap_that_holds(
    problem: Problem[Tensor], config: SearchConfig, nodes: int, batch_rows: int
) -> None:
    config = replace(config, max_nodes=nodes)
    incumbents = beam_search(problem, replace(config, beam_size=1))
    answers = exhaustive_search(problem, config, incumbents, batch_rows=batch_rows)
    for sentence, answer in enumerate(answers):
        outputs = every_output(problem, sentence, config)
        assert answer.nodes <= nodes
        if answer.optimal:
            proves(answer, outputs, config)
            continue
        listed = {h.token_ids for h in answer.hypotheses}
        assert all(output.score <= answer.bound + 1e-9 for output in outputs if output.token_ids not in listed)
        for found, true in zip(answer.hypotheses, outputs, strict=False):
            assert true.score <= found.score + answer.gap + 1e-9
        assert len(answer.hypotheses) < config.n_best or answer.gap > 0.0


def test_without_any_output_the_gap_is_infinite() -> None:
    config = replace(FREE, max_nodes=1, min_length=3)
    (answer,) = exhaustive_search(toy_problem(Toy(4), [0], [5]), config, [[]])
    assert answer.hypotheses == []
    assert not answer.optimal
    assert answer.gap == math.inf
    assert answer.bound < 0.0


def test_time_ends_a_search_and_each_sentence_has_its_own() -> None:
    class Clock:
        now = 0.0

    class Slow(Toy):
        def __call__(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            Clock.now += 0.25 * len(tokens)
            return super().__call__(tokens, state)

    problem = toy_problem(Slow(5, sharpness=0.3), range(3), [9, 9, 2])
    config = replace(FREE, max_seconds=5.0, length_penalty=3.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seqgen.decode.exhaustive.time.monotonic", lambda: Clock.now)
        first, second, short = exhaustive_search(problem, config, [[]] * 3, batch_rows=3)
    # Each prefix costs a quarter of a second of its own sentence, whatever is expanded beside it.
    assert 20 <= first.nodes <= 22
    assert 20 <= second.nodes <= 22
    assert not first.optimal
    assert short.optimal
    assert first.gap > 0.0


def test_more_sentences_than_rows_all_get_their_turn() -> None:
    problem = toy_problem(Toy(4), range(9), [5] * 9)
    for sentence, answer in enumerate(exhaustive_search(problem, FREE, [[]] * 9, batch_rows=2)):
        proves(answer, every_output(problem, sentence, FREE), FREE)


# Memory -------------------------------------------------------------------------------------------------------


class Counted(Toy):
    """Knows the largest number of rows of all states that exist at once, give or take those on their way."""

    def __init__(self, vocab_size: int, sharpness: float) -> None:
        super().__init__(vocab_size, sharpness)
        self.largest = 0

    def join(self, states: list[Tensor]) -> Tensor:  # type: ignore[override]
        joined = super().join(states)
        self.largest = max(self.largest, len(joined))
        return joined


def test_little_memory_is_enough_for_the_same_proof() -> None:
    # A length penalty makes the space large: almost every prefix might still win.
    config = replace(FREE, length_penalty=2.0, n_best=20)
    answers, largest = [], []
    for max_rows in (10**9, 40):
        step = Counted(5, 1.0)
        problem = toy_problem(step, [3], [8])
        (answer,) = exhaustive_search(problem, config, [[]], batch_rows=8, max_rows=max_rows)
        answers.append(answer)
        largest.append(step.largest)
    assert answers[0].optimal
    assert answers[1].optimal
    assert answers[0].hypotheses == answers[1].hypotheses
    assert answers[0].nodes > 1000
    assert largest[1] < 100 < 500 < largest[0]


def opened(sentence: int, total: float, length: int, log_probs: list[float]) -> Prefix:
    ranked = sorted(log_probs)
    return Prefix(sentence, None, 1, 0.0, total, length, tokens=list(range(len(ranked))), log_probs=ranked)


def test_a_frontier_gives_the_best_child_or_the_longest() -> None:
    frontier = Frontier(5)
    frontier.push(opened(0, -1.0, 0, [-1.0, -2.0, -9.0]), -8.0)
    frontier.push(opened(0, -2.5, 1, [-1.0, -0.25]), -8.0)
    frontier.push(opened(0, -7.5, 2, [-1.0]), -8.0)
    assert frontier.best_total == -2.0
    assert frontier.pop(-8.0).total == -2.0
    assert frontier.pop(-8.0, longest=True).total == -2.75
    assert frontier.pop(-8.0).total == -3.0
    frontier.push(opened(0, -2.5, 3, [-0.75]), -3.4)
    frontier.prune(-3.4)
    assert frontier.pop(-3.4).total == -3.25
    assert not frontier
    assert frontier.best_total == -math.inf


def test_states_keep_what_is_used_and_let_go_of_the_rest() -> None:
    states = States(Toy(3), torch.device("cpu"))
    alive: list[tuple[Prefix, int]] = []
    for round_ in range(40):
        fresh = [opened(0, 0.0, 0, [-1.0]) for _ in range(5)]
        states.add(torch.arange(round_ * 5, round_ * 5 + 5)[:, None].repeat(1, 2), fresh)
        alive += [(prefix, round_ * 5 + i) for i, prefix in enumerate(fresh)]
        for place in (round_ % 3, -2, -3):
            alive.pop(place)[0].give_up()
        states.tidy()
        assert len(alive) <= states.rows <= 3 * len(alive) + 10
        ordered = sorted(alive, key=lambda pair: pair[0].chunk)
        gathered = states.gather([prefix for prefix, _ in ordered])
        assert gathered[:, 0].tolist() == [number for _, number in ordered]
    for prefix, _ in alive:
        prefix.give_up()
    states.add(torch.zeros(50, 2, dtype=torch.long), [opened(0, 0.0, 0, []) for _ in range(50)])
    states.tidy()
    assert states.rows == 0


def test_a_state_that_is_mostly_unused_shrinks() -> None:
    states = States(Toy(3), torch.device("cpu"))
    prefixes = [opened(0, 0.0, 0, [-1.0]) for _ in range(100)]
    states.add(torch.arange(100)[:, None].repeat(1, 2), prefixes)
    for prefix in prefixes[:60]:
        prefix.give_up()
    states.tidy()
    assert states.rows == 40
    assert states.gather(prefixes[60:])[:, 0].tolist() == list(range(60, 100))


def test_the_first_of_equal_children_is_visited_first() -> None:
    step = Toy(4, sharpness=0.0)
    config = replace(FREE, min_length=2, n_best=3)
    (answer,) = exhaustive_search(toy_problem(step, [0], [3]), config, [[]], batch_rows=1)
    assert answer.hypotheses[0].token_ids == (1, 1)
    assert EOS not in answer.hypotheses[0].token_ids
