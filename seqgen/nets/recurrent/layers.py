"""One recurrent layer over whole sequences, whatever its cell: PyTorch's kernels where there is one, else our own.

What `recurrent_layer` makes is called like `torch.nn.LSTM`: with `(time, batch, input)` or a `PackedSequence`, and the
state before. Parameters are named as PyTorch names them.
"""

from __future__ import annotations

from typing import Any, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from seqgen.config import PeepholeKind, RecurrentCell
from seqgen.nets.recurrent.cells import GATES, STATE_PARTS
from seqgen.nets.recurrent.sweeps import GRUBeforeSweep, PeepholeSweep, Walk

Ends = Tensor | tuple[Tensor, ...]


class SweptLayer(nn.Module):
    """A layer whose cell has no fused kernel, in one direction or two.

    Args:
        cell (RecurrentCell): `peephole` or `gru-before`.
        input_size (int): of a token's vector.
        hidden_size (int): of the state.
        bidirectional (bool): whether a second cell reads the sequences from their ends.
        peephole (PeepholeKind): one weight for each unit that a gate reads, or a matrix.
    """

    def __init__(
        self,
        cell: RecurrentCell,
        input_size: int,
        hidden_size: int,
        *,
        bidirectional: bool = False,
        peephole: PeepholeKind = "diagonal",
    ) -> None:
        super().__init__()
        self.cell: RecurrentCell = cell
        self.hidden_size = hidden_size
        self.suffixes = ("l0", "l0_reverse") if bidirectional else ("l0",)
        rows = GATES[cell] * hidden_size
        for suffix in self.suffixes:
            self.register_parameter(f"weight_ih_{suffix}", nn.Parameter(torch.empty(rows, input_size)))
            self.register_parameter(f"weight_hh_{suffix}", nn.Parameter(torch.empty(rows, hidden_size)))
            self.register_parameter(f"bias_ih_{suffix}", nn.Parameter(torch.empty(rows)))
            if cell == "peephole":
                shape = (hidden_size,) if peephole == "diagonal" else (hidden_size, hidden_size)
                self.register_parameter(f"weight_ch_{suffix}", nn.Parameter(torch.empty(3, *shape)))

    def forward(
        self, values: Tensor | PackedSequence, before: Ends | None = None
    ) -> tuple[Tensor | PackedSequence, Ends]:
        """As `torch.nn.LSTM.forward`; a state is `(directions, batch, hidden)`, for the peephole cell a pair."""
        state = (before,) if isinstance(before, Tensor) else before
        if isinstance(values, PackedSequence):
            to_sorted, to_given = values.sorted_indices, values.unsorted_indices
            if state is not None and to_sorted is not None:
                state = tuple(part[:, to_sorted] for part in state)
            outputs, ends = self._run(values.data, values.batch_sizes.tolist(), state)
            if to_given is not None:
                ends = [end[:, to_given] for end in ends]
            packed = PackedSequence(outputs, values.batch_sizes, to_sorted, to_given)
            return packed, ends[0] if len(ends) == 1 else tuple(ends)
        time, batch = values.shape[:2]
        outputs, ends = self._run(values.flatten(0, 1), [batch] * time, state)
        return outputs.view(time, batch, -1), ends[0] if len(ends) == 1 else tuple(ends)

    def _run(self, values: Tensor, sizes: list[int], before: tuple[Tensor, ...] | None) -> tuple[Tensor, list[Tensor]]:
        """Outputs `(rows, directions * hidden)` of packed rows, and the parts of the state after them."""
        if before is None:
            zeros = self.get_parameter("bias_ih_l0").new_zeros(len(self.suffixes), sizes[0], self.hidden_size)
            before = (zeros,) * STATE_PARTS[self.cell]
        outputs, ends = [], []
        for direction, suffix in enumerate(self.suffixes):
            state = tuple(part[direction] for part in before)
            output, *end = self._sweep(values, state, suffix, Walk(sizes, backwards=direction == 1))
            outputs.append(output)
            ends.append(end)
        return torch.cat(outputs, dim=1), [torch.stack(same) for same in zip(*ends, strict=True)]

    def _sweep(self, values: Tensor, state: tuple[Tensor, ...], suffix: str, walk: Walk) -> Any:
        # By attribute: for a call a weight may be a plain tensor, such as one with some of its elements dropped.
        input_weight, bias, weight = (
            getattr(self, f"{name}_{suffix}") for name in ("weight_ih", "bias_ih", "weight_hh")
        )
        x = functional.linear(values, input_weight, bias)  # the input's share of all gates, of all steps at once
        if self.cell == "peephole":
            return PeepholeSweep.apply(x, *state, weight, getattr(self, f"weight_ch_{suffix}"), walk)  # type: ignore[no-untyped-call]
        return GRUBeforeSweep.apply(x, *state, weight, walk)  # type: ignore[no-untyped-call]


def recurrent_layer(
    cell: RecurrentCell,
    input_size: int,
    hidden_size: int,
    *,
    bidirectional: bool = False,
    peephole: PeepholeKind = "diagonal",
) -> nn.Module:
    """A layer of this cell, its weights not set."""
    match cell:
        case "rnn":
            return nn.RNN(input_size, hidden_size, bidirectional=bidirectional)
        case "lstm":
            return nn.LSTM(input_size, hidden_size, bidirectional=bidirectional)
        case "gru":
            return nn.GRU(input_size, hidden_size, bidirectional=bidirectional)
        case "peephole" | "gru-before":
            return SweptLayer(cell, input_size, hidden_size, bidirectional=bidirectional, peephole=peephole)
        case _:
            assert_never(cell)


def initialise(layer: nn.Module, input_gain: float, init_scale: float = 1.0) -> None:
    """Set the weights of a layer before training.

    Recurrent matrices orthogonal, so that neither the state nor its gradient shrinks or grows at first (Saxe et al.
    2014), times `init_scale`; forget gates open at bias 1 (Gers et al. 2000; Jozefowicz et al. 2015); other biases and
    peepholes zero: the cell begins as an LSTM.
    """
    forgets = isinstance(layer, nn.LSTM) or (isinstance(layer, SweptLayer) and layer.cell == "peephole")
    for name, parameter in layer.named_parameters():
        if name.startswith("weight_hh"):
            hidden = parameter.shape[1]
            for block in torch.split(parameter.data, hidden):
                nn.init.orthogonal_(block, gain=init_scale)
        elif name.startswith("weight_ih"):
            nn.init.xavier_uniform_(parameter, gain=input_gain)
        else:
            nn.init.zeros_(parameter)
            if forgets and name.startswith("bias_ih"):
                parameter.data.view(4, -1)[1] = 1.0  # the gates stand in the order i, f, g, o
