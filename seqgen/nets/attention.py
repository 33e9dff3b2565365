"""Attention of a decoder to a source: which source tokens matter for the next target token.

Every kind gives each source token a score, turns the scores into weights by a softmax over the source, and returns
the weighted sum of the encoder's outputs, the context (Bahdanau et al. 2015, eq. 5 and 6).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn


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
            together = self.query(queries)[:, :, None] + keys[:, None]
            scores = self.score(together.tanh())[..., 0]
        else:
            scores = torch.bmm(queries, keys.transpose(1, 2))
        weights = scores.masked_fill(~mask[:, None], -math.inf).softmax(dim=-1)
        return torch.bmm(weights.to(memory.dtype), memory), weights
