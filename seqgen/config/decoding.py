"""How outputs are drawn or searched for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seqgen.config.fields import Config, within

# Each hypothesis costs a row of log-probabilities at every step: of 8,000 tokens, 32 kB.
WIDEST_BEAM = 2**14


@dataclass(frozen=True, kw_only=True)
class SamplingConfig(Config):
    """How a token is drawn. `top_k` 0 and `top_p` 1 keep every token; `temperature` 0 is greedy."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        within(self, "temperature", 0.0, 1e6)
        within(self, "top_k", 0, 2**40)
        within(self, "top_p", 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class SearchConfig(Config):
    """Which output is wanted, whatever method looks for it.

    The score of an output Y of n tokens, its end symbol included, is (Wu et al. 2016, eq. 14)
    `log P(Y) / lp(n) + coverage_penalty * sum_i log min(sum_j a_ij, 1)` with
    `lp(n) = ((5 + n) / 6) ** length_penalty` and the attention `a_ij` that target token j pays to source token i. With
    both penalties 0 it is the sum of log-probabilities.

    `min_length` counts tokens before the end symbol. No output repeats a sequence of `no_repeat_ngram` tokens (0: any
    may). `n_best` outputs are returned. `beam_size` and `max_hypotheses` (0: no limit) concern the beam,
    `max_nodes` and `max_seconds` of one sentence (0: no limit) the exhaustive search.
    """

    length_penalty: float = 0.0
    coverage_penalty: float = 0.0
    min_length: int = 0
    no_repeat_ngram: int = 0
    n_best: int = 1
    beam_size: int = 5
    max_hypotheses: int = 0
    max_nodes: int = 100_000
    max_seconds: float = 10.0

    def __post_init__(self) -> None:
        within(self, "length_penalty", 0.0, 100.0)
        within(self, "coverage_penalty", 0.0, 100.0)
        for name in ("min_length", "no_repeat_ngram", "max_hypotheses", "max_nodes"):
            within(self, name, 0, 2**40)
        within(self, "max_seconds", 0.0, math.inf)
        within(self, "n_best", 1, WIDEST_BEAM)
        within(self, "beam_size", 1, WIDEST_BEAM)
