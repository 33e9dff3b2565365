"""One token at a time, without the per-call cost of PyTorch's sequence kernels.

`nn.LSTM` reorders its weights at every call, which costs more than the arithmetic of one step. Here they are laid
out once: recurrent matrices transposed, biases summed, and the first layer's input product, which has only as many
values as there are tokens, looked up in a table. The equations are those of `seqgen.nets.cells`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seqgen.nets.cells import CellWeights

if TYPE_CHECKING:
    from seqgen.nets.recurrent import RecurrentNetwork

State = tuple[tuple[Tensor, ...], ...]

# The table of the first layer's input products is made when it is at most this large (64 MiB in fp32).
MAX_TABLE = 2**24


class PackedStep:
    """The `Step` of a `RecurrentNetwork`; its state is `(h,)` or `(h, c)` for each layer.

    Args:
        network (RecurrentNetwork): its weights are copied, so that later training does not show.
    """

    def __init__(self, network: RecurrentNetwork) -> None:
        self._network = copy.deepcopy(network).eval()
        with torch.inference_mode():
            self._layers = [CellWeights.of(network.config.cell, layer).packed() for layer in network.layers]
            self._output_weight = self._network.output.weight.t().contiguous()
            self._output_bias = network.output.bias.clone()
            self._embedding = network.embedding.weight.clone()
            first = self._layers[0]
            self._table = None
            if network.vocab_size * first.input_bias.numel() <= MAX_TABLE:
                self._table = first.inputs(self._embedding)

    @torch.inference_mode()
    def start(self, tokens: Tensor) -> tuple[Tensor, State]:
        """Read a prompt.

        Args:
            tokens (Tensor): token ids `(batch, time)`, at least one each.

        Returns:
            tuple[Tensor, State]: log-probabilities `(batch, vocab)` of what follows, and the state there.
        """
        network = self._network
        logits, state = network(tokens, network.initial_state(len(tokens)))
        return logits[:, -1].log_softmax(dim=-1), tuple(layer.unbind() for layer in state.unbind())

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """One step for all sequences of a batch.

        Args:
            tokens (Tensor): the last token of each sequence, `(batch,)`.
            state (State): where each sequence stands.

        Returns:
            tuple[Tensor, State]: log-probabilities `(batch, vocab)` of the next token, and the new state.
        """
        hidden: Tensor | None = None
        after: list[tuple[Tensor, ...]] = []
        for layer, before in zip(self._layers, state, strict=True):
            if hidden is not None:
                x = layer.inputs(hidden)
            elif self._table is not None:
                x = self._table[tokens]
            else:
                x = layer.inputs(self._embedding[tokens])
            after.append(layer.step(x, before))
            hidden = after[-1][0]
        assert hidden is not None  # RecurrentConfig allows no stack without layers
        logits = torch.addmm(self._output_bias, hidden, self._output_weight)
        return logits.log_softmax(dim=-1), tuple(after)

    def reorder(self, state: State, index: Tensor) -> State:
        """The state of the sequences `index`, `(new_batch,)`, which may repeat or leave out some."""
        return tuple(tuple(part[index] for part in layer) for layer in state)

    def join(self, states: Sequence[State]) -> State:
        """The state of all sequences of several states, in order."""
        return tuple(tuple(map(torch.cat, zip(*layers, strict=True))) for layers in zip(*states, strict=True))
