"""Networks that are none, sentences to search with them, and a list of every output that there is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from seqgen.config import SearchConfig
from seqgen.decode.hypothesis import Hypothesis
from seqgen.decode.problem import Problem

# The same examples in every run: a test that fails today fails tomorrow.
steady = settings(max_examples=60, deadline=None, database=None, derandomize=True)

EOS = 0
START = 99
_PRIME = 2_147_483_647


class Toy:
    """A step whose state is a number that stands for all tokens so far, so that each prefix has its own distribution.

    A state is `(rows, 2)`: that number, and how many source tokens there are.

    Args:
        vocab_size (int): tokens, the end symbol among them.
        sharpness (float): how far apart the logits are; 0 makes all tokens equally probable.
        source (int): how wide the attention is.
    """

    def __init__(self, vocab_size: int, sharpness: float = 3.0, source: int = 3) -> None:
        self.vocab_size, self.sharpness, self.source = vocab_size, sharpness, source
        self.calls = 0
        self.rows = 0

    def __call__(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        self.rows += len(tokens)
        history = (state[:, 0] * 1_000_003 + tokens * 7919 + 12345) % _PRIME
        logits = self.sharpness * _noise(history, self.vocab_size)
        return logits.log_softmax(dim=-1), torch.stack((history, state[:, 1]), dim=1)

    def reorder(self, state: Tensor, index: Tensor) -> Tensor:
        return state[index]

    def join(self, states: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(states))


class Looking(Toy):
    """A toy with attention, that of sources of different lengths."""

    def attention(self, state: Tensor) -> Tensor | None:
        logits = 4.0 * _noise(state[:, 0] + 77, self.source)
        beyond = torch.arange(self.source) >= state[:, 1:]
        return logits.masked_fill(beyond, -math.inf).softmax(dim=-1)


def _noise(history: Tensor, size: int) -> Tensor:
    mixed = (history[:, None] + torch.arange(size) * 40_503) % 65_521
    mixed = (mixed * mixed * 48_271 + mixed * 97) % 65_521
    return mixed.double() / 65_521 * 2.0 - 1.0


def beginning(seeds: Sequence[int], sources: Sequence[int]) -> Tensor:
    return torch.tensor([[seed, length] for seed, length in zip(seeds, sources, strict=True)]).view(-1, 2)


def toy_problem(
    step: Toy,
    seeds: Sequence[int],
    max_lengths: Sequence[int],
    *,
    prefixes: Sequence[tuple[int, ...]] = (),
    after_prefix: Sequence[bool] = (),
    banned: Sequence[int] = (),
) -> Problem[Tensor]:
    """One sentence for each seed; their sources are 1, 2, ... tokens long, at most as many as the attention is wide."""
    sources = [1 + seed % step.source for seed in seeds]
    return Problem(
        step=step,
        state=beginning(seeds, sources),
        start=torch.full((len(seeds),), START),
        eos_id=EOS,
        max_lengths=max_lengths,
        prefixes=prefixes,
        after_prefix=torch.tensor(after_prefix) if after_prefix else None,
        banned=banned,
        source_lengths=sources,
    )


def only(problem: Problem[Tensor], sentences: Sequence[int]) -> Problem[Tensor]:
    """Some of the sentences, in this order."""
    return replace(
        problem,
        state=problem.state[list(sentences)],
        start=problem.start[list(sentences)],
        max_lengths=[problem.max_lengths[i] for i in sentences],
        prefixes=[problem.prefixes[i] for i in sentences] if problem.prefixes else (),
        source_lengths=[problem.source_lengths[i] for i in sentences],
    )


# The oracle ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unfinished:
    tokens: tuple[int, ...]
    log_probs: tuple[float, ...]
    attention: tuple[Tensor, ...]


def allowed(
    problem: Problem[Tensor], sentence: int, config: SearchConfig, tokens: tuple[int, ...], vocab_size: int
) -> set[int]:
    """Which tokens may follow, written down rule by rule."""
    prefix = problem.prefixes[sentence] if problem.prefixes else ()
    if len(tokens) < len(prefix):
        return {prefix[len(tokens)]}
    if len(tokens) + 1 >= max(problem.max_lengths[sentence], len(prefix) + 1):
        return {EOS}
    free = {token for token in range(vocab_size) if token not in problem.banned and token != EOS}
    if size := config.no_repeat_ngram:
        seen = {tokens[i : i + size] for i in range(len(tokens) - size + 1)}
        free = {token for token in free if (*tokens, token)[-size:] not in seen or len(tokens) + 1 < size}
    after = problem.after_prefix is not None and len(tokens) == len(prefix) > 0
    if after:
        free = {token for token in free if problem.after_prefix[token]}  # type: ignore[index]
    return free | {EOS} if (len(tokens) >= config.min_length and not after) or not free else free


def extensions(
    problem: Problem[Tensor], sentence: int, config: SearchConfig, unfinished: Sequence[Unfinished]
) -> Iterator[tuple[Unfinished, list[float], set[int]]]:
    """Each of some prefixes with what it paid attention to, its log-probabilities, and the tokens that may follow."""
    step = problem.step
    assert isinstance(step, Toy)
    states = problem.state[sentence].repeat(len(unfinished), 1)
    for place in range(max((len(each.tokens) for each in unfinished), default=0) + 1):
        last = [(START, *each.tokens)[place] for each in unfinished]
        log_probs, states = step(torch.tensor(last), states)
    looks = step.attention(states) if isinstance(step, Looking) else None
    for i, each in enumerate(unfinished):
        width = problem.source_lengths[sentence]
        attention = each.attention if looks is None else (*each.attention, looks[i, :width])
        now = Unfinished(each.tokens, each.log_probs, attention)
        yield now, log_probs[i].tolist(), allowed(problem, sentence, config, each.tokens, step.vocab_size)


def finished(each: Unfinished, log_prob: float, config: SearchConfig) -> Hypothesis:
    log_probs = (*each.log_probs, log_prob)
    score = math.fsum(log_probs) / ((5 + len(log_probs)) / 6) ** config.length_penalty
    attention = torch.stack(each.attention) if each.attention else None
    if config.coverage_penalty:
        assert attention is not None
        paid = attention.sum(dim=0).tolist()
        score += config.coverage_penalty * sum(math.log(min(total, 1.0)) for total in paid)
    return Hypothesis(each.tokens, log_probs, score, attention)


def every_output(problem: Problem[Tensor], sentence: int, config: SearchConfig) -> list[Hypothesis]:
    """All outputs of a sentence that the rules allow, best first."""
    outputs, unfinished = [], [Unfinished((), (), ())]
    while unfinished:
        longer = []
        for each, log_probs, tokens in extensions(problem, sentence, config, unfinished):
            if EOS in tokens:
                outputs.append(finished(each, log_probs[EOS], config))
            for token in sorted(tokens - {EOS}):
                longer.append(Unfinished((*each.tokens, token), (*each.log_probs, log_probs[token]), each.attention))
        unfinished = longer
    return sorted(outputs, key=lambda output: -output.score)


# Problems of all kinds ----------------------------------------------------------------------------------------


@st.composite
def problems(draw: st.DrawFn, longest: int = 4) -> Problem[Tensor]:
    """One to three sentences; some with prefixes, some with banned tokens."""
    step = Looking(draw(st.integers(2, 4)), draw(st.sampled_from([0.5, 3.0, 8.0])))
    seeds = draw(st.lists(st.integers(0, 10_000), min_size=1, max_size=3))
    lengths = [draw(st.integers(1, longest)) for _ in seeds]
    words = st.integers(1, step.vocab_size - 1)
    prefixes = [tuple(draw(st.lists(words, max_size=2))) for _ in seeds] if draw(st.booleans()) else ()
    banned = draw(st.sampled_from([(), (1,), (step.vocab_size - 1,)]))
    after = draw(st.one_of(st.just([]), st.lists(st.booleans(), min_size=step.vocab_size, max_size=step.vocab_size)))
    return toy_problem(step, seeds, lengths, prefixes=prefixes, after_prefix=after, banned=banned)


configs = st.builds(
    SearchConfig,
    length_penalty=st.sampled_from([0.0, 0.6, 1.0, 3.0]),
    coverage_penalty=st.sampled_from([0.0, 0.0, 0.4]),
    min_length=st.sampled_from([0, 0, 1, 3]),
    no_repeat_ngram=st.sampled_from([0, 0, 1, 2]),
    n_best=st.sampled_from([1, 1, 2, 7, 1000]),
    beam_size=st.sampled_from([1, 2, 3, 5]),
    max_seconds=st.just(0.0),
)
