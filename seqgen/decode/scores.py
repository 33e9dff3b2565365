"""What an output is worth, and what an unfinished one can be worth at most.

The score is that of Wu et al. 2016, eq. 14; `seqgen.config.SearchConfig` writes it out. Totals are summed in fp64 on
the CPU, so that neither long outputs nor an accelerator's rounding decide which output is the best.
"""

from __future__ import annotations

import bisect
import math
from typing import Any

import torch
from torch import Tensor

from seqgen.config import SearchConfig
from seqgen.decode.hypothesis import Hypothesis
from seqgen.decode.problem import Problem
from seqgen.decode.step import AttentiveStep, State
from seqgen.errors import UsageError

# Attention that rounds to zero counts as the smallest normal number: a score of minus infinity could not be compared.
_LEAST = torch.finfo(torch.float32).tiny


def length_divisor(lengths: Tensor, config: SearchConfig) -> Tensor:
    """`lp(n) = ((5 + n) / 6) ** length_penalty` of lengths that count the end symbol; it never falls with `n`."""
    return ((5 + lengths.double()) / 6) ** config.length_penalty


def score(totals: Tensor, lengths: Tensor, config: SearchConfig, covered: Tensor | None = None) -> Tensor:
    """The score of whole outputs.

    Args:
        totals (Tensor): their log-probabilities, `(outputs,)`.
        lengths (Tensor): their tokens, the end symbol included, `(outputs,)`.
        config (SearchConfig): the two penalties.
        covered (Tensor | None): what `coverage` says of them, `(outputs,)`.
    """
    scores = totals / length_divisor(lengths, config)
    return scores if covered is None else scores + config.coverage_penalty * covered


def upper_bound(totals: Tensor, limits: Tensor, config: SearchConfig) -> Tensor:
    """What no output that goes on from a prefix can exceed.

    Every further token adds a log-probability of at most 0, no divisor is larger than that of the greatest length, and
    the coverage term is at most 0.

    Args:
        totals (Tensor): log-probabilities of prefixes, `(prefixes,)`.
        limits (Tensor): the greatest lengths of their outputs, `(prefixes,)`.
        config (SearchConfig): the length penalty.
    """
    return totals / length_divisor(limits, config)


def coverage(attention: Tensor, source_lengths: Tensor) -> Tensor:
    """How much of the source was attended to: `sum_i log min(sum_j a_ij, 1)`, 0 if all of it was.

    Args:
        attention (Tensor): of each target token, the end symbol included, `(outputs, target, source)`.
        source_lengths (Tensor): source tokens that exist, `(outputs,)`.
    """
    attended = attention.double().sum(dim=1).clamp(_LEAST, 1.0)
    beyond = torch.arange(attended.shape[1]) >= source_lengths[:, None]
    return attended.masked_fill_(beyond, 1.0).log().sum(dim=1)


class Observer:
    """Reads the network's attention where the score or the caller needs it.

    Args:
        problem (Problem[State]): the network, and how long the sources are.
        config (SearchConfig): a coverage penalty needs attention.
        wanted (bool): whether hypotheses shall carry it.
    """

    def __init__(self, problem: Problem[State], config: SearchConfig, *, wanted: bool) -> None:
        self._step: AttentiveStep[State] | None = problem.step if isinstance(problem.step, AttentiveStep) else None
        self._source_lengths = torch.tensor(problem.source_lengths, dtype=torch.long)
        self._penalised, self._wanted = config.coverage_penalty > 0.0, wanted

    def read(self, state: Any) -> Tensor | None:
        """What the last tokens attended to, `(rows, source)`, on the CPU; None if nobody asks or there is nothing.

        Raises:
            UsageError: there is a coverage penalty but no attention.
        """
        if not (self._wanted or self._penalised):
            return None
        attention = self._step.attention(state) if self._step is not None else None
        if attention is None and self._penalised:
            raise UsageError("this model has no attention, so that no coverage can be penalised")
        return None if attention is None else attention.cpu()

    def cover(self, attention: Tensor | None, sentences: Tensor) -> Tensor | None:
        """The coverage of outputs `(outputs,)`, if it counts.

        Args:
            attention (Tensor | None): of their tokens, `(outputs, target, source)`.
            sentences (Tensor): whose outputs they are, `(outputs,)`.
        """
        if attention is None or not self._penalised:
            return None
        whole = torch.full_like(sentences, attention.shape[2])
        return coverage(attention, self._source_lengths[sentences] if len(self._source_lengths) else whole)

    def show(self, attention: Tensor | None, sentence: int) -> Tensor | None:
        """The attention of one output, `(target, source)`, without what pads the source, if the caller wants it."""
        if attention is None or not self._wanted:
            return None
        return attention[:, : self._source_lengths[sentence]] if len(self._source_lengths) else attention


class NBest:
    """The best outputs of a sentence so far, best first; of equally good ones those found first.

    Args:
        size (int): how many are kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.hypotheses: list[Hypothesis] = []

    @property
    def threshold(self) -> float:
        """The score that another output must exceed."""
        return self.hypotheses[-1].score if len(self.hypotheses) == self._size else -math.inf

    def add(self, hypothesis: Hypothesis) -> None:
        """Keep an output if it is good enough and not known yet."""
        if hypothesis.score > self.threshold and all(h.token_ids != hypothesis.token_ids for h in self.hypotheses):
            bisect.insort(self.hypotheses, hypothesis, key=lambda other: -other.score)
            del self.hypotheses[self._size :]
