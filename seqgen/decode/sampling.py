"""Drawing tokens from a model: temperature, top-k, top-p, and the greedy limit.

Each sequence draws its numbers from a generator of its own, so that sequence 3 is the same whether 4 or 64 are
drawn beside it (up to rounding in the last bit of a probability, which larger matrix products may change).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Generic

import torch
from torch import Tensor

from seqgen.config import SamplingConfig
from seqgen.decode.step import State, Step, advance, checked

_NUMBERS_AT_ONCE = 256
_AS_IT_IS = SamplingConfig()


def restrict(log_probs: Tensor, config: SamplingConfig) -> Tensor:
    """The distribution that is drawn from.

    Temperature first: `p_i^(1/temperature)`, renormalised. Then only the `top_k` most probable tokens, then of
    these the fewest whose probabilities reach `top_p` together (Holtzman et al. 2020), renormalised.

    Args:
        log_probs (Tensor): log-probabilities `(batch, vocab)`.
        config (SamplingConfig): a temperature above zero.

    Returns:
        Tensor: probabilities `(batch, vocab)`, zero where a token is excluded.
    """
    if config == _AS_IT_IS:
        return log_probs.exp()
    # From the highest down and not below what fp32 divides by, so that no temperature makes them all infinite.
    below = log_probs - log_probs.amax(dim=-1, keepdim=True)
    probs = torch.softmax(below / max(config.temperature, 1e-30), dim=-1)
    if 0 < config.top_k < probs.shape[-1]:
        highest, order = probs.topk(config.top_k, dim=-1)
        probs = torch.zeros_like(probs).scatter_(-1, order, highest)
    if config.top_p < 1.0:
        ordered, order = probs.sort(dim=-1, descending=True)
        before = ordered.cumsum(dim=-1) - ordered
        excluded = before >= config.top_p * ordered.sum(dim=-1, keepdim=True)
        excluded[:, 0] = False
        ordered[excluded] = 0.0
        probs = torch.zeros_like(probs).scatter_(-1, order, ordered)
    return probs / probs.sum(dim=-1, keepdim=True)


def draw(probs: Tensor, uniform: Tensor) -> Tensor:
    """Invert the cumulative distribution: the first token whose cumulated probability exceeds the number.

    Args:
        probs (Tensor): probabilities `(batch, vocab)`; they need not sum to one exactly.
        uniform (Tensor): numbers in [0, 1), `(batch,)`, on the CPU.

    Returns:
        Tensor: token ids `(batch,)`, never one of probability zero.
    """
    cumulated = probs.cpu().cumsum(dim=-1, dtype=torch.float64)  # not every accelerator has fp64
    target = uniform[:, None] * cumulated[:, -1:]
    return torch.searchsorted(cumulated, target, right=True)[:, 0].to(probs.device)


class Sampler(Generic[State]):
    """Continues a batch of sequences token by token.

    Args:
        step (Step[State]): the network.
        log_probs (Tensor): log-probabilities `(batch, vocab)` of the first token to draw.
        state (State): the network's state there.
        config (SamplingConfig): how to draw; a temperature of zero takes the most probable token.
        seeds (Sequence[int]): one per sequence.
        banned (Sequence[int]): tokens that are never drawn; their probability goes to the others.
    """

    def __init__(
        self,
        step: Step[State],
        log_probs: Tensor,
        state: State,
        config: SamplingConfig,
        seeds: Sequence[int],
        banned: Sequence[int] = (),
    ) -> None:
        self._step, self._log_probs, self._state, self._config = step, checked(log_probs), state, config
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._uniform = torch.empty(0, len(seeds))
        self._drawn = 0
        self._tokens: Tensor | None = None
        self._banned = torch.tensor(banned, dtype=torch.long, device=log_probs.device) if banned else None

    @torch.inference_mode()
    def advance(self) -> tuple[Tensor, Tensor]:
        """Draw one token for each sequence.

        Returns:
            tuple[Tensor, Tensor]: token ids and their log-probabilities under the model itself, without
            temperature or truncation, both `(batch,)`.
        """
        if self._tokens is not None:
            self._log_probs, self._state = advance(self._step, self._tokens, self._state)
        allowed = self._allowed()
        if self._config.temperature == 0.0:
            self._tokens = allowed.argmax(dim=-1)
        else:
            self._tokens = draw(restrict(allowed, self._config), self._numbers())
        return self._tokens, self._log_probs.gather(-1, self._tokens[:, None])[:, 0]

    def _allowed(self) -> Tensor:
        if self._banned is None:
            return self._log_probs
        rest = self._log_probs.index_fill(-1, self._banned, -math.inf)
        return rest - rest.amax(dim=-1, keepdim=True)  # or what is left could round to nothing

    def keep(self, index: Tensor) -> None:
        """Go on with the sequences `index`, `(new_batch,)`, only."""
        self._generators = [self._generators[i] for i in index.tolist()]
        self._uniform = self._uniform[:, index.cpu()]
        self._log_probs = self._log_probs[index]
        self._state = self._step.reorder(self._state, index)
        if self._tokens is not None:
            self._tokens = self._tokens[index]

    def _numbers(self) -> Tensor:
        if self._drawn == len(self._uniform):
            rows = [torch.rand(_NUMBERS_AT_ONCE, generator=g) for g in self._generators]
            self._uniform, self._drawn = torch.stack(rows, dim=1), 0
        self._drawn += 1
        return self._uniform[self._drawn - 1]
