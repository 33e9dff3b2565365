from __future__ import annotations

import math
from dataclasses import replace

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

from seqgen.config import SearchConfig
from seqgen.decode.beam import beam_search, best_extensions
from seqgen.decode.greedy import greedy_search
from seqgen.decode.hypothesis import Branch, Hypothesis
from seqgen.decode.problem import Problem

WIDE = 2**12  # wider than any space here


def plain_beam(problem: Problem[Tensor], sentence: int, config: SearchConfig) -> list[Hypothesis]:
    """Beam search over one sentence with lists, that goes on as long as anything lives."""
    live, ended = [Unfinished((), (), ())], list[Hypothesis]()
    while live and not 0 < config.max_hypotheses <= len(ended):
        candidates = []
        for each, log_probs, tokens in extensions(problem, sentence, config, live):
            for token in sorted(tokens):
                candidates.append((sum(each.log_probs) + log_probs[token], token, log_probs[token], each))
        candidates.sort(key=lambda candidate: -candidate[0])
        live = []
        for rank, (_, token, log_prob, each) in enumerate(candidates[: 2 * config.beam_size]):
            if token == EOS:
                if rank < config.beam_size and not 0 < config.max_hypotheses <= len(ended):
                    ended.append(finished(each, log_prob, config))
            elif len(live) < config.beam_size:
                live.append(Unfinished((*each.tokens, token), (*each.log_probs, log_prob), each.attention))
    return sorted(ended, key=lambda output: -output.score)[: config.n_best]


def same(found: list[Hypothesis], expected: list[Hypothesis]) -> None:
    assert [h.score for h in found] == pytest.approx([h.score for h in expected], rel=1e-9)
    assert {h.token_ids for h in found} == {h.token_ids for h in expected}
    for one in found:
        other = next(h for h in expected if h.token_ids == one.token_ids)
        assert one.log_probs == pytest.approx(other.log_probs, rel=1e-12)
        if one.attention is not None:
            assert other.attention is not None
            assert torch.allclose(one.attention, other.attention)


# What it finds ------------------------------------------------------------------------------------------------


@steady
@given(problems(longest=6), configs, st.sampled_from([0, 0, 1, 2, 4]))
def test_it_is_the_plain_beam_search_without_early_stopping(
    problem: Problem[Tensor], config: SearchConfig, enough: int
) -> None:
    config = replace(config, max_hypotheses=enough)
    for sentence, found in enumerate(beam_search(problem, config, attention=True)):
        same(found, plain_beam(problem, sentence, config))
        assert all(h.attention is not None for h in found)


@steady
@given(problems(), configs)
def test_a_beam_as_wide_as_the_space_finds_the_best_of_all(problem: Problem[Tensor], config: SearchConfig) -> None:
    config = replace(config, beam_size=WIDE)
    for sentence, found in enumerate(beam_search(problem, config, attention=True)):
        same(found, every_output(problem, sentence, config)[: config.n_best])


@steady
@given(problems(), configs)
def test_no_beam_finds_more_than_there_is(problem: Problem[Tensor], config: SearchConfig) -> None:
    for sentence, found in enumerate(beam_search(problem, config)):
        scores = {output.token_ids: output.score for output in every_output(problem, sentence, config)}
        assert 1 <= len(found) <= config.n_best
        assert len({h.token_ids for h in found}) == len(found)
        assert [h.score for h in found] == pytest.approx([scores[h.token_ids] for h in found], rel=1e-9)
        assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


@steady
@given(problems(longest=6), configs)
def test_a_beam_of_one_that_stops_at_its_first_output_is_greedy(problem: Problem[Tensor], config: SearchConfig) -> None:
    config = replace(config, beam_size=1, max_hypotheses=1)
    for found, expected in zip(beam_search(problem, config), greedy_search(problem, config), strict=True):
        same(found, [expected])


@steady
@given(problems(longest=6), configs)
def test_a_sentence_does_not_feel_its_neighbours(problem: Problem[Tensor], config: SearchConfig) -> None:
    whole = beam_search(problem, config)
    order = list(range(len(problem)))[::-1]
    assert beam_search(only(problem, order), config) == [whole[i] for i in order]
    for sentence in order:
        assert beam_search(only(problem, [sentence]), config) == [whole[sentence]]


def test_a_vocabulary_of_many_blocks_and_a_rest() -> None:
    problem = toy_problem(Looking(203), [1, 2, 3], [5, 6, 7], banned=(63, 64, 202))
    config = SearchConfig(beam_size=7, n_best=7, length_penalty=0.7, coverage_penalty=0.1)
    for sentence, found in enumerate(beam_search(problem, config, attention=True)):
        same(found, plain_beam(problem, sentence, config))


def test_no_sentences_give_no_outputs() -> None:
    assert beam_search(toy_problem(Toy(4), [], []), SearchConfig()) == []


def test_a_single_token_is_the_end_symbol() -> None:
    ((found,),) = beam_search(toy_problem(Toy(4), [3], [1]), SearchConfig(n_best=5))
    assert found.token_ids == ()
    assert len(found.log_probs) == 1


def test_attention_is_left_out_unless_asked_for() -> None:
    problem = toy_problem(Looking(4), [1, 2], [5, 5])
    for found in beam_search(problem, SearchConfig(coverage_penalty=0.3)):
        assert found[0].attention is None
    for sentence, found in enumerate(beam_search(problem, SearchConfig(), attention=True)):
        assert found[0].attention is not None
        assert found[0].attention.shape == (len(found[0].token_ids) + 1, problem.source_lengths[sentence])


# When it stops ------------------------------------------------------------------------------------------------


class Table:
    """A step with given probabilities after each history, the start left out; elsewhere all tokens are equal."""

    def __init__(self, **probs: list[float]) -> None:
        self.probs = {tuple(int(c) for c in name[1:]): row for name, row in probs.items()}
        self.calls = 0

    def __call__(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        history = torch.cat((state, tokens[:, None]), dim=1)
        width = len(next(iter(self.probs.values())))
        rows = [self.probs.get(tuple(row[1:]), [1 / width] * width) for row in history.tolist()]
        return torch.tensor(rows, dtype=torch.float64).log(), history

    def reorder(self, state: Tensor, index: Tensor) -> Tensor:
        return state[index]

    def join(self, states: list[Tensor]) -> Tensor:
        return torch.cat(states)

    def problem(self, max_length: int) -> Problem[Tensor]:
        empty = torch.empty(1, 0, dtype=torch.long)
        return Problem(step=self, state=empty, start=torch.tensor([9]), eos_id=EOS, max_lengths=[max_length])  # type: ignore[arg-type]


def test_it_stops_when_nothing_live_can_win() -> None:
    # Ended: 0.6. The live ones, 0.3 and 0.1, can only become less probable.
    step = Table(_=[0.6, 0.3, 0.1])
    ((found,),) = beam_search(step.problem(50), SearchConfig(beam_size=2))
    assert (found.token_ids, step.calls) == ((), 1)


def test_what_can_only_be_as_good_does_not_keep_it_going() -> None:
    step = Table(_=[0.5, 0.5, 0.0], _1=[1.0, 0.0, 0.0])
    ((found,),) = beam_search(step.problem(50), SearchConfig(beam_size=2))
    assert (found.token_ids, step.calls) == ((), 1)


def test_with_a_length_penalty_a_worse_beginning_may_still_win() -> None:
    # The end at once: log 0.5 = -0.693. Later: (log 0.45 + log 0.99 + log 0.99) / (8 / 6) = -0.614.
    step = Table(_=[0.5, 0.45, 0.05], _1=[0.005, 0.99, 0.005], _11=[0.99, 0.005, 0.005])
    ((short,),) = beam_search(step.problem(9), SearchConfig(beam_size=2))
    assert (short.token_ids, step.calls) == ((), 1)
    ((long,),) = beam_search(step.problem(9), SearchConfig(beam_size=2, length_penalty=1.0))
    assert long.token_ids == (1, 1)
    assert long.score == pytest.approx(math.log(0.45 * 0.99 * 0.99) * 6 / 8)


def test_n_best_goes_on_until_all_places_are_safe() -> None:
    step = Table(_=[0.6, 0.3, 0.1], _1=[0.9, 0.05, 0.05])
    (found,) = beam_search(step.problem(50), SearchConfig(beam_size=2, n_best=2))
    assert [h.token_ids for h in found] == [(), (1,)]
    assert step.calls == 2


def test_an_end_below_the_best_k_does_not_count() -> None:
    # With K = 1 the end, 0.3, is second: only token 1 goes on.
    step = Table(_=[0.3, 0.4, 0.3], _1=[0.4, 0.3, 0.3])
    ((found,),) = beam_search(step.problem(9), SearchConfig(beam_size=1))
    assert found.token_ids == (1,)


@pytest.mark.parametrize("enough", [1, 2, 3, 5])
def test_it_stops_at_enough_hypotheses(enough: int) -> None:
    config = SearchConfig(beam_size=4, n_best=50, max_hypotheses=enough)
    for found in beam_search(toy_problem(Toy(4), range(8), [9] * 8), config):
        assert len(found) == enough


def test_fewer_outputs_than_asked_for_are_all_there_are() -> None:
    # The end at once, or after one of three tokens.
    (found,) = beam_search(toy_problem(Toy(4), [0], [2]), SearchConfig(beam_size=9, n_best=50))
    assert len(found) == 4


def test_sentences_that_are_done_leave_the_batch() -> None:
    step = Toy(4)
    beam_search(toy_problem(step, range(4), [1, 2, 3, 4]), SearchConfig(beam_size=3, min_length=9))
    assert (step.calls, step.rows) == (4, 4 + 3 * 3 + 2 * 3 + 3)


def test_a_prefix_is_followed_by_one_hypothesis_alone() -> None:
    step = Toy(4)
    ((found,),) = beam_search(toy_problem(step, [0], [6], prefixes=[(2, 3, 1)]), SearchConfig(min_length=4))
    assert found.token_ids[:3] == (2, 3, 1)
    assert step.rows <= 4 + 3 + 5


# Trees --------------------------------------------------------------------------------------------------------


@steady
@given(problems(longest=6), configs, st.sampled_from([0, 0, 2]))
def test_trees_hold_every_candidate_and_what_became_of_it(
    problem: Problem[Tensor], config: SearchConfig, enough: int
) -> None:
    config = replace(config, max_hypotheses=enough)
    trees: list[list[Branch]] = []
    found = beam_search(problem, config, trees=trees)
    assert len(trees) == len(problem)
    for tree, hypotheses in zip(trees, found, strict=True):
        ended = set()
        for place, branch in enumerate(tree):
            parent = tree[branch.parent] if branch.parent >= 0 else None
            assert branch.parent < place
            assert parent is None or parent.fate == "kept"
            above = parent.total if parent else 0.0
            assert branch.total == pytest.approx(above + branch.log_prob, rel=1e-12)
            assert branch.fate != "ended" or branch.token_id == EOS
            if branch.fate == "ended":
                ended.add(path(tree, place))
        assert {(*h.token_ids, EOS) for h in hypotheses} <= ended
        assert enough == 0 or len(ended) <= enough


def path(tree: list[Branch], place: int) -> tuple[int, ...]:
    branch = tree[place]
    return (*(path(tree, branch.parent) if branch.parent >= 0 else ()), branch.token_id)


def test_drawing_trees_changes_nothing() -> None:
    problem = toy_problem(Looking(4), range(5), [6] * 5)
    config = SearchConfig(n_best=3, length_penalty=1.0)
    assert beam_search(problem, config, trees=[]) == beam_search(problem, config)


# Candidates ---------------------------------------------------------------------------------------------------


@steady
@given(
    st.integers(0, 2**31),
    st.integers(1, 3),
    st.integers(1, 4),
    st.sampled_from([1, 5, 63, 64, 65, 200]),
    st.integers(1, 20),
)
def test_the_best_extensions_are_those_of_a_full_sort(
    seed: int, sentences: int, width: int, vocab: int, count: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_probs = -torch.rand(sentences * width, vocab, generator=generator)
    log_probs[torch.rand(log_probs.shape, generator=generator) < 0.2] = -math.inf
    totals = -torch.rand(sentences, width, generator=generator, dtype=torch.float64)
    best, places = best_extensions(log_probs, totals, count)
    table = (totals[:, :, None] + log_probs.double().view(sentences, width, vocab)).flatten(1)
    expected = table.sort(dim=1, descending=True).values[:, :count]
    real = expected.shape[1]
    assert torch.equal(best[:, :real], expected)
    assert bool((best[:, real:] == -math.inf).all())
    assert int(places.min()) >= 0
    assert int(places.max()) < width * vocab
    possible = best > -math.inf
    assert torch.equal(table.gather(1, places)[possible], best[possible])


def test_of_equal_extensions_the_first_parent_and_the_lowest_token_come_first() -> None:
    totals = torch.tensor([[-1.0, -1.0]], dtype=torch.float64)
    best, places = best_extensions(torch.full((2, 3), -1.0), totals, 6)
    assert best.tolist() == [[-2.0] * 6]
    assert places.tolist() == [[0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize(("sentences", "width", "vocab", "count"), [(1, 1, 200, 4), (3, 5, 1000, 10), (2, 2, 65, 130)])
@pytest.mark.parametrize("levels", [1, 2, 30])
def test_of_equal_extensions_the_first_count_in_any_vocabulary(
    sentences: int, width: int, vocab: int, count: int, levels: int
) -> None:
    generator = torch.Generator().manual_seed(vocab)
    log_probs = -torch.randint(levels, (sentences * width, vocab), generator=generator).float()
    totals = -torch.randint(2, (sentences, width), generator=generator).double()
    best, places = best_extensions(log_probs, totals, count)
    table = (totals[:, :, None] + log_probs.double().view(sentences, width, vocab)).flatten(1)
    expected, first = table.sort(dim=1, descending=True, stable=True)
    assert torch.equal(best, expected[:, :count])
    assert torch.equal(places, first[:, :count])
