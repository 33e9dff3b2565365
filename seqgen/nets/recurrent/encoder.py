"""Recurrent layers that read whole sequences of any lengths, in one direction or in both."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from seqgen.config import PeepholeKind, RecurrentCell
from seqgen.nets.dropout import Dropout
from seqgen.nets.recurrent.layers import recurrent_layer

Layers = tuple[tuple[Tensor, ...], ...]


class RecurrentEncoder(nn.Module):
    """A stack of layers. Two directions have weights of their own and stand side by side, `h = [forward; backward]`.

    Args:
        cell (RecurrentCell): of all layers.
        input_size (int): of the vectors that are read.
        hidden_size (int): of a layer's outputs, which two directions share.
        num_layers (int): how many.
        bidirectional (bool): whether each layer reads in both directions.
        peephole (PeepholeKind): of the peephole cell.
        dropout (float): the share of each layer's outputs that is dropped in training.
    """

    def __init__(
        self,
        cell: RecurrentCell,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        *,
        bidirectional: bool,
        peephole: PeepholeKind,
        dropout: float,
    ) -> None:
        sizes = [input_size, *[hidden_size] * (num_layers - 1)]
        layer = partial(recurrent_layer, cell, peephole=peephole, bidirectional=bidirectional)
        super().__init__()
        self.num_layers = num_layers
        for i, size in enumerate(sizes):
            self.add_module(str(i), layer(size, hidden_size // (2 if bidirectional else 1)))
        self.dropout = Dropout(dropout)

    def __iter__(self) -> Iterator[nn.Module]:
        """The layers, the lowest first."""
        return (self.get_submodule(str(i)) for i in range(self.num_layers))

    def forward(self, vectors: Tensor, lengths: Tensor) -> tuple[Tensor, Layers]:
        """Read sequences; what pads them changes nothing.

        Args:
            vectors (Tensor): `(batch, time, input)`, padded at the end with anything.
            lengths (Tensor): how many vectors each sequence has, `(batch,)`, at least one.

        Returns:
            tuple[Tensor, Layers]: the last layer's outputs `(batch, time, hidden)`, zeros after the end of a sequence;
            and for each layer its state there, `(h,)` or `(h, c)`, `(batch, hidden)` each.
        """
        packed = pack_padded_sequence(vectors, lengths.cpu(), batch_first=True, enforce_sorted=False)
        ends: list[tuple[Tensor, ...]] = []
        for layer in self:
            packed, end = layer(packed)
            parts = end if isinstance(end, tuple) else (end,)
            dtype = layer.get_parameter("weight_ih_l0").dtype
            ends.append(tuple(part.transpose(0, 1).flatten(1).to(dtype) for part in parts))
            packed = PackedSequence(
                self.dropout(packed.data), packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices
            )
        values, _ = pad_packed_sequence(packed, batch_first=True, total_length=vectors.shape[1])
        return values, tuple(ends)


def padding_mask(lengths: Tensor, time: int, device: torch.device) -> Tensor:
    """True where there is a token, `(batch, time)`, of lengths `(batch,)`."""
    return torch.arange(time, device=device) < lengths.to(device)[:, None]
