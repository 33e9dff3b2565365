"""Attention of a decoder to a source: which source tokens matter for the next target token.

Every kind gives each source token a score, turns the scores into weights by a softmax over the source, and returns
the weighted sum of the encoder's outputs, the context (Bahdanau et al. 2015, eq. 5 and 6).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

# Additive scores are sums over (batch, target, source, size) values, 2 GB of them for 128 pairs of 128 tokens. Where
# they are more than this (64 MiB in fp32), some target positions are computed at a time.
MAX_BLOCK = 2**24


class Attention(nn.Module):
    """Scores of a query q, the decoder's hidden state, against each encoder output m.

    - dot: `q . m` (Luong et al. 2015, eq. 8)
    - general, or multiplicative: `q . W m` (the same)
    - additive: `v . tanh(W q + U m + b)` (Bahdanau et al. 2015, appendix A.1.2)

    Args:
        kind (Literal["dot", "general", "additive"]): which of them.
        hidden_size (int): of q and m alike.
        attention_size (int): rows of W and U of the additive kind.
    """

    def __init__(self, kind: Literal["dot", "general", "additive"], hidden_size: int, attention_size: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "general":
            self.key = nn.Linear(hidden_size, hidden_size, bias=False)
        elif kind == "additive":
            self.key = nn.Linear(hidden_size, attention_size)
            self.query = nn.Linear(hidden_size, attention_size, bias=False)
            self.score = nn.Linear(attention_size, 1, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """What queries are compared with, `(batch, source, size)`, computed once for each source."""
        return memory if self.kind == "dot" else self.key(memory)

    def forward(self, queries: Tensor, keys: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            queries (Tensor): `(batch, target, hidden)`.
            keys (Tensor): from `keys`, `(batch, source, size)`.
            memory (Tensor): encoder outputs `(batch, source, hidden)`.
            mask (Tensor): true where there is a source token, `(batch, source)`.

        Returns:
            tuple[Tensor, Tensor]: contexts `(batch, target, hidden)`, and weights `(batch, target, source)`.
        """
        if self.kind == "additive":
            scores = self._additive_scores(self.query(queries), keys)
        else:
            scores = torch.bmm(queries, keys.transpose(1, 2))
        weights = scores.masked_fill(~mask[:, None], -math.inf).softmax(dim=-1)
        return torch.bmm(weights.to(memory.dtype), memory), weights

    def _additive_scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """`(batch, target, source)`, in blocks where there is much of it; the backward pass computes these again."""
        positions = max(1, MAX_BLOCK // keys.numel())
        if queries.shape[1] <= positions:
            return self._compare(queries, keys)
        blocks = (
            checkpoint(self._compare, block, keys, use_reentrant=False, preserve_rng_state=False)
            for block in torch.split(queries, positions, dim=1)
        )
        return torch.cat(list(blocks), dim=1)

    def _compare(self, queries: Tensor, keys: Tensor) -> Tensor:
        scores: Tensor = self.score((queries[:, :, None] + keys[:, None]).tanh())
        return scores[..., 0]
