"""One path per sentence: always the most probable token, or one that is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seqgen.config import SamplingConfig, SearchConfig
from seqgen.decode.constraints import Constraints
from seqgen.decode.hypothesis import Hypothesis
from seqgen.decode.problem import Problem
from seqgen.decode.sampling import draw, restrict
from seqgen.decode.scores import Observer, score
from seqgen.decode.step import State, advance

Choose = Callable[[Tensor, Tensor, int], Tensor]
"""Tokens `(rows,)` out of log-probabilities `(rows, vocab)`, for sentences `(rows,)`, after so many tokens."""


@torch.inference_mode()
def greedy_search(problem: Problem[State], config: SearchConfig, *, attention: bool = False) -> list[Hypothesis]:
    """The most probable token at each step, the first of equal ones; the fastest search and the most near-sighted.

    Args:
        problem (Problem[State]): the sentences.
        config (SearchConfig): constraints, and the penalties of the score that is reported.
        attention (bool): whether the hypotheses carry the network's attention.

    Returns:
        list[Hypothesis]: one per sentence.
    """
    return _follow(problem, config, lambda log_probs, sentences, length: log_probs.argmax(dim=-1), attention)


@torch.inference_mode()
def sample_search(
    problem: Problem[State],
    config: SearchConfig,
    sampling: SamplingConfig,
    seeds: Sequence[int],
    *,
    attention: bool = False,
) -> list[Hypothesis]:
    """Outputs drawn from the network, token by token, under the constraints of a search.

    Args:
        problem (Problem[State]): the sentences.
        config (SearchConfig): constraints, and the penalties of the score that is reported.
        sampling (SamplingConfig): how to draw; a temperature of zero is greedy.
        seeds (Sequence[int]): one per sentence.
        attention (bool): whether the hypotheses carry the network's attention.

    Returns:
        list[Hypothesis]: one per sentence, with log-probabilities of the network itself.
    """
    if sampling.temperature == 0.0:
        return greedy_search(problem, config, attention=attention)
    lengths = problem.limits.tolist()
    numbers = torch.zeros(len(problem), max(lengths, default=0))
    for row, (seed, length) in enumerate(zip(seeds, lengths, strict=True)):
        numbers[row, :length] = torch.rand(length, generator=torch.Generator().manual_seed(seed))

    def choose(log_probs: Tensor, sentences: Tensor, length: int) -> Tensor:
        # From the highest down: the one token that a prefix allows may be too improbable for an fp32 probability.
        highest = log_probs.amax(dim=-1, keepdim=True)
        return draw(restrict(log_probs - highest, sampling), numbers[sentences, length])

    return _follow(problem, config, choose, attention)


@dataclass
class _Path:
    token_ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    attention: list[Tensor] = field(default_factory=list)


def _follow(problem: Problem[State], config: SearchConfig, choose: Choose, attention: bool) -> list[Hypothesis]:
    """Go on with all sentences together; one that ends leaves the batch."""
    constraints, observer = Constraints(problem, config), Observer(problem, config, wanted=attention)
    paths = [_Path() for _ in range(len(problem))]
    sentences, tokens, state, length = torch.arange(len(problem)), problem.start, problem.state, 0
    while len(sentences):
        log_probs, state = advance(problem.step, tokens, state)
        going = [paths[sentence] for sentence in sentences.tolist()]
        history = [path.token_ids for path in going] if constraints.read_history else ()
        constraints.apply(log_probs, sentences, torch.full_like(sentences, length), history)
        tokens = choose(log_probs, sentences, length)
        chosen = log_probs.gather(1, tokens[:, None])[:, 0]
        for path, token, log_prob in zip(going, tokens.tolist(), chosen.tolist(), strict=True):
            path.token_ids.append(token)
            path.log_probs.append(log_prob)
        if (attended := observer.read(state)) is not None:
            for path, row in zip(going, attended, strict=True):
                path.attention.append(row)
        length += 1
        rest = (tokens != problem.eos_id).nonzero()[:, 0]
        if len(rest) < len(tokens):
            sentences, tokens, state = sentences[rest.cpu()], tokens[rest], problem.step.reorder(state, rest)
    return [_finish(path, sentence, config, observer) for sentence, path in enumerate(paths)]


def _finish(path: _Path, sentence: int, config: SearchConfig, observer: Observer) -> Hypothesis:
    attention = torch.stack(path.attention) if path.attention else None
    covered = observer.cover(None if attention is None else attention[None], torch.tensor([sentence]))
    total = torch.tensor(path.log_probs, dtype=torch.float64).sum()[None]
    value = score(total, torch.tensor([len(path.log_probs)]), config, covered).item()
    return Hypothesis(tuple(path.token_ids[:-1]), tuple(path.log_probs), value, observer.show(attention, sentence))
