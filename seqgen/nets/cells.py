"""The recurrent cells, one time step each, as their equations stand in the literature.

Training runs whole sequences through PyTorch's fused kernels (`seqgen.nets.recurrent`); these functions are what
those kernels compute, and what generation runs one token at a time (`seqgen.nets.packed`). All weights follow
PyTorch's layout, so that the two share their parameters.

Shapes: `x` is `(batch, gates * hidden)`, the input's share of every gate, `W x + b`, computed beforehand for it does
not depend on the state; `h` is `(batch, hidden)`; `weight` is the recurrent matrix, transposed:
`(hidden, gates * hidden)`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqgen.config import Cell

GATES: dict[Cell, int] = {"rnn": 1, "lstm": 4, "gru": 3}
"""How many blocks of rows the weight matrices of a cell have."""

STATE_PARTS: dict[Cell, int] = {"rnn": 1, "lstm": 2, "gru": 1}
"""How many vectors a cell carries from one step to the next: `h`, and for the LSTM its memory cell `c`."""


def rnn_step(x: Tensor, h: Tensor, weight: Tensor) -> Tensor:
    """Elman's network (Elman 1990): `h' = tanh(W x + U h + b)`.

    Returns:
        Tensor: the new state `(batch, hidden)`.
    """
    return torch.addmm(x, h, weight).tanh_()


def lstm_step(x: Tensor, h: Tensor, c: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate by Gers et al. 2000).

    `i, f, o = sigmoid(W x + U h + b)`, `g = tanh(W x + U h + b)`, each with its own rows;
    `c' = f c + i g`; `h' = o tanh(c')`. The gates stand in PyTorch's order i, f, g, o.

    Returns:
        tuple[Tensor, Tensor]: the new `h` and `c`, both `(batch, hidden)`.
    """
    i, f, g, o = torch.addmm(x, h, weight).chunk(4, dim=1)
    c = (f.sigmoid_() * c).addcmul_(i.sigmoid_(), g.tanh_())
    return c.tanh().mul_(o.sigmoid_()), c


def gru_step(x: Tensor, h: Tensor, weight: Tensor, candidate_bias: Tensor) -> Tensor:
    """Gated recurrent unit (Cho et al. 2014), the reset gate applied after the product, as in cuDNN.

    `r, z = sigmoid(W x + U h + b)`; `n = tanh(W x + b + r (U h + b'))`; `h' = (1 - z) n + z h`.
    The bias `b'` stands inside the reset gate's reach, so it is not part of `x`: `candidate_bias`, `(hidden,)`.

    Returns:
        Tensor: the new state `(batch, hidden)`.
    """
    size = h.shape[1]
    product = h @ weight
    r, z = (x[:, : 2 * size] + product[:, : 2 * size]).sigmoid_().chunk(2, dim=1)
    n = torch.addcmul(x[:, 2 * size :], r, product[:, 2 * size :].add_(candidate_bias)).tanh_()
    return torch.lerp(n, h, z)
