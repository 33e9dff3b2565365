"""How outputs are drawn or searched for."""

from __future__ import annotations

from dataclasses import dataclass

from seqgen.config.fields import Config, ranged

# Each hypothesis costs a row of log-probabilities at every step: of 8,000 tokens, 32 kB.
WIDEST_BEAM = 2**14


MANY = 2**40


@dataclass(frozen=True, kw_only=True)
class SamplingConfig(Config):
    """How a token is drawn. `top_k` 0 and `top_p` 1 keep every token; `temperature` 0 is greedy."""

    temperature: float = ranged(1.0, 0, 1e6)
    top_k: int = ranged(0, 0, MANY)
    top_p: float = ranged(1.0, 0, 1)


@dataclass(frozen=True, kw_only=True)
class SearchConfig(Config):
    """Which output is wanted, whatever method searches for it.

    The score of an output Y of n tokens, its end symbol included, is (Wu et al. 2016, eq. 14)
    `log P(Y) / lp(n) + coverage_penalty * sum_i log min(sum_j a_ij, 1)` with
    `lp(n) = ((5 + n) / 6) ** length_penalty` and the attention `a_ij` that target token j pays to source token i. With
    both penalties 0 it is the sum of log-probabilities.

    `min_length` counts tokens before the end symbol. No output repeats a sequence of `no_repeat_ngram` tokens (0: any
    may). `n_best` outputs are returned. `beam_size` and `max_hypotheses` (0: no limit) concern the beam,
    `max_nodes` and `max_seconds` of one sentence (0: no limit) the exhaustive search.
    """

    length_penalty: float = ranged(0.0, 0, 100)
    coverage_penalty: float = ranged(0.0, 0, 100)
    min_length: int = ranged(0, 0, MANY)
    no_repeat_ngram: int = ranged(0, 0, MANY)
    n_best: int = ranged(1, 1, WIDEST_BEAM)
    beam_size: int = ranged(5, 1, WIDEST_BEAM)
    max_hypotheses: int = ranged(0, 0, MANY)
    max_nodes: int = ranged(100_000, 0, MANY)
    max_seconds: float = ranged(10.0, 0)
