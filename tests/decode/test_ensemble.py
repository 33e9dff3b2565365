from __future__ import annotations

import pytest
import torch
from torch import Tensor
from toy_steps import EOS, START, Looking, Toy, beginning

from seqgen.config import SearchConfig
from seqgen.decode.beam import beam_search
from seqgen.decode.ensemble import EnsembleStep
from seqgen.decode.exhaustive import exhaustive_search
from seqgen.decode.greedy import greedy_search
from seqgen.decode.problem import Problem

TOKENS = torch.tensor([START, START])


def begin(step: Toy) -> Tensor:
    return beginning([3, 4], [step.source, 1])


def test_the_probabilities_are_the_mean() -> None:
    steps = [Toy(4), Toy(4, sharpness=1.0), Toy(4, sharpness=8.0)]
    log_probs, states = EnsembleStep(steps, aligned=True)(TOKENS, tuple(map(begin, steps)))
    alone = [step(TOKENS, begin(step)) for step in steps]
    expected = torch.stack([each.exp() for each, _ in alone]).mean(dim=0)
    assert torch.allclose(log_probs.exp(), expected, rtol=1e-12)
    assert log_probs.exp().sum(dim=-1).tolist() == pytest.approx([1.0, 1.0])
    for state, (_, after) in zip(states, alone, strict=True):
        assert torch.equal(state, after)


def test_no_probability_exceeds_one() -> None:
    class Sure(Toy):
        def __call__(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            return torch.zeros(len(tokens), 1), state

    step = Sure(1)
    log_probs, _ = EnsembleStep([step] * 7, aligned=True)(TOKENS, (begin(step),) * 7)  # 7 is where rounding goes up
    assert bool((log_probs <= 0.0).all())


def test_states_move_together() -> None:
    steps = [Toy(4), Toy(4)]
    ensemble = EnsembleStep(steps, aligned=True)
    states = (torch.tensor([[1, 0], [2, 0]]), torch.tensor([[3, 0], [4, 0]]))
    moved = ensemble.reorder(states, torch.tensor([1, 1, 0]))
    assert [part[:, 0].tolist() for part in moved] == [[2, 2, 1], [4, 4, 3]]
    joined = ensemble.join([states, moved])
    assert [part[:, 0].tolist() for part in joined] == [[1, 2, 2, 2, 1], [3, 4, 4, 4, 3]]


def test_attention_is_the_mean_of_those_that_have_any() -> None:
    one, two, blind = Looking(4), Looking(4), Toy(4)
    states = (torch.tensor([[1, 3]]), torch.tensor([[2, 3]]), torch.tensor([[9, 3]]))
    seen = EnsembleStep([one, two, blind], aligned=True).attention(states)
    first, second = one.attention(states[0]), two.attention(states[1])
    assert seen is not None
    assert first is not None
    assert second is not None
    assert torch.allclose(seen, (first + second) / 2)
    assert EnsembleStep([blind], aligned=True).attention(states[2:]) is None
    # Two ways to split the source, if into as many tokens: there is no common token to look at.
    assert EnsembleStep([one, two], aligned=False).attention(states[:2]) is None


def test_an_ensemble_of_one_finds_what_it_finds_alone() -> None:
    step = Looking(4)
    single = Problem(step=step, state=begin(step), start=TOKENS, eos_id=EOS, max_lengths=[6, 6], source_lengths=[3, 1])
    several = Problem(
        step=EnsembleStep([step, step], aligned=True),
        state=(begin(step), begin(step)),
        start=TOKENS,
        eos_id=EOS,
        max_lengths=[6, 6],
        source_lengths=[3, 1],
    )
    config = SearchConfig(n_best=3, coverage_penalty=0.2)
    for search in (beam_search, lambda p, c: [[h] for h in greedy_search(p, c)]):
        for alone, together in zip(search(single, config), search(several, config), strict=True):
            assert [h.token_ids for h in alone] == [h.token_ids for h in together]
            assert [h.score for h in alone] == pytest.approx([h.score for h in together])
    for alone_proof, together_proof in zip(
        exhaustive_search(single, config, [[], []]), exhaustive_search(several, config, [[], []]), strict=True
    ):
        assert together_proof.optimal
        assert [h.token_ids for h in alone_proof.hypotheses] == [h.token_ids for h in together_proof.hypotheses]
