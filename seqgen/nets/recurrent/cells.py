"""The recurrent cells, one time step each, as their equations stand in the literature.

Training runs whole sequences at once (`seqgen.nets.recurrent.layers`); these functions are what is computed there,
and what runs one token at a time: generation (`seqgen.nets.stepping.recurrent`) and the decoder of an
encoder-decoder, whose input depends on its own last output (`seqgen.nets.recurrent.seq2seq`). All weights follow
PyTorch's layout, so that both share their parameters.

All of these are infinite-response systems: the state after token t is a function of every token up to t, if a fading
one. The finite-response counterpart, which reads the last N tokens and nothing else, is `seqgen.nets.recurrent.window`.

Shapes: `x` is `(batch, gates * hidden)`, the input's share of every gate, `W x + b`, computed beforehand for it does
not depend on the state; `h` is `(batch, hidden)`; `weight` is the recurrent matrix, transposed:
`(hidden, gates * hidden)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import RecurrentCell
from seqgen.nets.products import Matrix, add_product, copied, product

GATES: dict[RecurrentCell, int] = {"rnn": 1, "lstm": 4, "gru": 3, "peephole": 4, "gru-before": 3}
"""How many blocks of rows the weight matrices of a cell have."""

STATE_PARTS: dict[RecurrentCell, int] = {"rnn": 1, "lstm": 2, "gru": 1, "peephole": 2, "gru-before": 1}
"""How many vectors a cell carries from one step to the next: `h`, and for the LSTMs their memory cell `c`."""


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


def gru_before_step(x: Tensor, h: Tensor, gate_weight: Matrix, candidate_weight: Matrix) -> Tensor:
    """Gated recurrent unit as first published, the reset gate before the product (Chung et al. 2014, eq. 4 to 8).

    `r, z = sigmoid(W x + U h + b)`; `n = tanh(W x + U (r h) + b)`; `h' = (1 - z) h + z n`. Besides the place of r, z is
    what Cho et al. 2014 (eq. 7) and PyTorch call 1 - z: here it opens for what is new. Two products wait for each other
    in each step.

    Returns:
        Tensor: the new state `(batch, hidden)`.
    """
    size = h.shape[1]
    r, z = add_product(x[:, : 2 * size], h, gate_weight).sigmoid().chunk(2, dim=1)
    n = add_product(x[:, 2 * size :], r * h, candidate_weight).tanh()
    return h + z * (n - h)


def peep(c: Tensor, peephole: Matrix) -> Tensor:
    """What a gate reads of the cells `(batch, hidden)`: each unit its own by a weight `(hidden,)`, or all."""
    if isinstance(peephole, Tensor) and peephole.dim() == 1:
        return c * peephole
    return product(c, peephole)


def peephole_step(
    x: Tensor, h: Tensor, c: Tensor, weight: Matrix, v_i: Matrix, v_f: Matrix, v_o: Matrix
) -> tuple[Tensor, Tensor]:
    """The LSTM whose gates read its cell (Gers and Schmidhuber 2000; Gers et al. 2002, eq. 2 to 6).

    `i, f = sigmoid(W x + U h + V c + b)`, `g = tanh(W x + U h + b)`; `c' = f c + i g`;
    `o = sigmoid(W x + U h + V c' + b)`: the output gate reads the new cell; `h' = o tanh(c')`. The matrices V are
    diagonal, given as `(hidden,)`, or full.

    Returns:
        tuple[Tensor, Tensor]: the new `h` and `c`, both `(batch, hidden)`.
    """
    i, f, g, o = add_product(x, h, weight).chunk(4, dim=1)
    new = (f + peep(c, v_f)).sigmoid() * c + (i + peep(c, v_i)).sigmoid() * g.tanh()
    return new.tanh() * (o + peep(new, v_o)).sigmoid(), new


@dataclass(frozen=True)
class CellWeights:
    """One layer's weights, laid out for single steps.

    Args:
        cell (RecurrentCell): whose they are.
        input_weight (Matrix): `(input, gates * hidden)`.
        input_bias (Tensor): `(gates * hidden,)`, all biases that can be added beforehand.
        weights (tuple[Matrix, ...]): what the cell's step takes after its input and its state.
    """

    cell: RecurrentCell
    input_weight: Matrix
    input_bias: Tensor
    weights: tuple[Matrix, ...]

    @classmethod
    def of(cls, cell: RecurrentCell, layer: nn.Module, direction: str = "l0") -> CellWeights:
        """The weights of a layer of `seqgen.nets.recurrent.layers`, as views through which gradients flow.

        Args:
            cell (RecurrentCell): the layer's.
            layer (nn.Module): one or two directions.
            direction (str): `l0`, or `l0_reverse` of the direction that reads backwards.
        """
        named = {name.removesuffix(direction): value for name, value in layer.named_parameters()}
        weight, bias = named["weight_hh_"].t(), named["bias_ih_"]
        hidden = len(weight)
        ready = cls(cell, named["weight_ih_"].t(), bias, (weight,))
        match cell:
            case "rnn" | "lstm":
                return replace(ready, input_bias=bias + named["bias_hh_"])
            case "gru":
                gates, candidate = torch.split(named["bias_hh_"], [2 * hidden, hidden])
                return replace(ready, input_bias=bias + functional.pad(gates, (0, hidden)), weights=(weight, candidate))
            case "gru-before":
                return replace(ready, weights=torch.split(weight, [2 * hidden, hidden], dim=1))
            case "peephole":
                v = named["weight_ch_"]
                return replace(ready, weights=(weight, *(v if v.dim() == 2 else v.transpose(1, 2))))
            case _:
                assert_never(cell)

    def laid_out(self, arrange: Callable[[Matrix], Matrix] = copied) -> CellWeights:
        """Copies that later training does not change, each in the order in which a product reads it.

        Args:
            arrange (Callable[[Matrix], Matrix]): from `seqgen.nets.products`; `copied` suits one row, `pack` several.
        """
        return CellWeights(
            self.cell,
            arrange(self.input_weight),
            self.input_bias.detach().clone(),
            tuple(copied(w) if isinstance(w, Tensor) and w.dim() == 1 else arrange(w) for w in self.weights),
        )

    def blocks(self) -> tuple[Tensor, ...]:
        """What each gate multiplies the state with, `(hidden, hidden)` each; of weights that are not laid out."""
        matrices = self.weights[: 2 if self.cell == "gru-before" else 1]
        return torch.cat([matrix for matrix in matrices if isinstance(matrix, Tensor)], dim=1).chunk(
            GATES[self.cell], 1
        )

    def inputs(self, values: Tensor) -> Tensor:
        """The input's share of every gate, `(batch, gates * hidden)`, from `(batch, input)`."""
        return add_product(self.input_bias, values, self.input_weight)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """One step from `(h,)` or `(h, c)` to the next."""
        match self.cell:
            case "rnn":
                return (rnn_step(x, *state, *self.weights),)
            case "lstm":
                return lstm_step(x, *state, *self.weights)
            case "gru":
                return (gru_step(x, *state, *self.weights),)
            case "peephole":
                return peephole_step(x, *state, *self.weights)
            case "gru-before":
                return (gru_before_step(x, *state, *self.weights),)
            case _:
                assert_never(self.cell)
