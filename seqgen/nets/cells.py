"""The recurrent cells, one time step each, as their equations stand in the literature.

Training runs whole sequences through PyTorch's fused kernels (`seqgen.nets.recurrent`); these functions are what
those kernels compute, and what runs one token at a time: generation (`seqgen.nets.packed`) and the decoder of an
encoder-decoder, whose input depends on its own last output (`seqgen.nets.seq2seq`). All weights follow PyTorch's
layout, so that both share their parameters.

Shapes: `x` is `(batch, gates * hidden)`, the input's share of every gate, `W x + b`, computed beforehand for it does
not depend on the state; `h` is `(batch, hidden)`; `weight` is the recurrent matrix, transposed:
`(hidden, gates * hidden)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import assert_never

from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import Cell
from seqgen.nets.products import Matrix, add_product, copied, product

KERNELS: dict[Cell, type[nn.RNN] | type[nn.LSTM] | type[nn.GRU]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
"""What runs a cell over whole sequences; its parameters are weight_ih, weight_hh, bias_ih, bias_hh, in this order."""

GATES: dict[Cell, int] = {"rnn": 1, "lstm": 4, "gru": 3}
"""How many blocks of rows the weight matrices of a cell have."""

STATE_PARTS: dict[Cell, int] = {"rnn": 1, "lstm": 2, "gru": 1}
"""How many vectors a cell carries from one step to the next: `h`, and for the LSTM its memory cell `c`."""


def rnn_step(x: Tensor, h: Tensor, weight: Matrix) -> Tensor:
    """Elman's network (Elman 1990): `h' = tanh(W x + U h + b)`.

    Returns:
        Tensor: the new state `(batch, hidden)`.
    """
    return add_product(x, h, weight).tanh()


def lstm_step(x: Tensor, h: Tensor, c: Tensor, weight: Matrix) -> tuple[Tensor, Tensor]:
    """Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate by Gers et al. 2000).

    `i, f, o = sigmoid(W x + U h + b)`, `g = tanh(W x + U h + b)`, each with its own rows;
    `c' = f c + i g`; `h' = o tanh(c')`. The gates stand in PyTorch's order i, f, g, o.

    Returns:
        tuple[Tensor, Tensor]: the new `h` and `c`, both `(batch, hidden)`.
    """
    i, f, g, o = add_product(x, h, weight).chunk(4, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return c.tanh() * o.sigmoid(), c


def gru_step(x: Tensor, h: Tensor, weight: Matrix, candidate_bias: Tensor) -> Tensor:
    """Gated recurrent unit (Cho et al. 2014), the reset gate applied after the product, as in cuDNN.

    `r, z = sigmoid(W x + U h + b)`; `n = tanh(W x + b + r (U h + b'))`; `h' = (1 - z) n + z h`.
    The bias `b'` stands inside the reset gate's reach, so it is not part of `x`: `candidate_bias`, `(hidden,)`.

    Returns:
        Tensor: the new state `(batch, hidden)`.
    """
    size = h.shape[1]
    u = product(h, weight)
    r, z = (x[:, : 2 * size] + u[:, : 2 * size]).sigmoid().chunk(2, dim=1)
    n = (x[:, 2 * size :] + r * (u[:, 2 * size :] + candidate_bias)).tanh()
    return n + z * (h - n)


@dataclass(frozen=True)
class CellWeights:
    """One layer's weights, laid out for single steps.

    Args:
        cell (Cell): whose they are.
        input_weight (Matrix): `(input, gates * hidden)`.
        input_bias (Tensor): `(gates * hidden,)`, all biases that can be added beforehand.
        weight (Matrix): `(hidden, gates * hidden)`.
        candidate_bias (Tensor): the GRU's b', `(hidden,)`; empty for the others.
    """

    cell: Cell
    input_weight: Matrix
    input_bias: Tensor
    weight: Matrix
    candidate_bias: Tensor

    @classmethod
    def of(cls, cell: Cell, layer: nn.Module) -> CellWeights:
        """The weights of a layer of `KERNELS`, as views through which gradients flow."""
        weight_ih, weight_hh, bias_ih, bias_hh = layer.parameters()
        before = 2 * weight_hh.shape[1] if cell == "gru" else len(bias_hh)
        ready = functional.pad(bias_hh[:before], (0, len(bias_hh) - before))
        return cls(cell, weight_ih.t(), bias_ih + ready, weight_hh.t(), bias_hh[before:])

    def packed(self, arrange: Callable[[Matrix], Matrix] = copied) -> CellWeights:
        """Copies that later training does not change, each in the order in which a product reads it.

        Args:
            arrange (Callable[[Matrix], Matrix]): from `seqgen.nets.products`; `copied` suits one row, `pack` several.
        """
        return CellWeights(
            self.cell,
            arrange(self.input_weight),
            self.input_bias.detach().clone(),
            arrange(self.weight),
            self.candidate_bias.detach().clone(),
        )

    def inputs(self, values: Tensor) -> Tensor:
        """The input's share of every gate, `(batch, gates * hidden)`, from `(batch, input)`."""
        return add_product(self.input_bias, values, self.input_weight)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """One step from `(h,)` or `(h, c)` to the next."""
        match self.cell:
            case "rnn":
                return (rnn_step(x, state[0], self.weight),)
            case "lstm":
                return lstm_step(x, state[0], state[1], self.weight)
            case "gru":
                return (gru_step(x, state[0], self.weight, self.candidate_bias),)
            case _:
                assert_never(self.cell)


def initialise(cell: Cell, parameters: Iterable[nn.Parameter], input_gain: float) -> None:
    """Set the weights of one layer of `KERNELS`, in one direction, before training.

    Recurrent matrices orthogonal, so that neither the state nor its gradient shrinks or grows at first (Saxe et al.
    2014); forget gates open at bias 1 (Gers et al. 2000; Jozefowicz et al. 2015); other biases zero.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = parameters
    hidden = weight_hh.shape[1]
    for gate in range(GATES[cell]):
        nn.init.orthogonal_(weight_hh.data[gate * hidden : (gate + 1) * hidden])
    nn.init.xavier_uniform_(weight_ih, gain=input_gain)
    nn.init.zeros_(bias_ih)
    nn.init.zeros_(bias_hh)
    if cell == "lstm":
        bias_ih.data[hidden : 2 * hidden] = 1.0
