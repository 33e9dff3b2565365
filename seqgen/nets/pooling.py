"""One vector of a sequence of them: what a network says of a whole text reads this."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqgen.config import Pool


class Pooling(nn.Module):
    """Makes one vector of the outputs at all tokens.

    last: the state at the end, of two directions each at its own end; mean and max: over the tokens; attention: a sum
    weighted by `softmax(v . tanh(W h + b))`, the additive score of a learned query (Yang et al. 2016, eq. 5 to 7).

    Args:
        kind (Pool): which of them.
        size (int): of the vectors.
    """

    def __init__(self, kind: Pool, size: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "attention":
            self.key = nn.Linear(size, size)
            self.score = nn.Linear(size, 1, bias=False)

    def forward(self, values: Tensor, last: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """Pool.

        Args:
            values (Tensor): `(batch, time, size)`.
            last (Tensor): the state at the end, `(batch, size)`.
            mask (Tensor): true where there is a token, `(batch, time)`, at least one in each row.

        Returns:
            tuple[Tensor, Tensor | None]: one vector each, `(batch, size)`, and attention's weights `(batch, time)`.
        """
        if self.kind == "last":
            return last, None
        if self.kind == "max":
            return values.masked_fill(~mask[..., None], -math.inf).amax(dim=1), None
        if self.kind == "mean":
            weights = mask.to(values.dtype) / mask.sum(dim=1, keepdim=True)
        else:
            scores = self.score(self.key(values).tanh())[..., 0].float()
            weights = scores.masked_fill(~mask, -math.inf).softmax(dim=1)
        return torch.bmm(weights.to(values.dtype)[:, None], values)[:, 0], weights
