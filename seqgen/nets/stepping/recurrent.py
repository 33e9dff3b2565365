"""One token at a time, without the per-call cost of PyTorch's sequence kernels.

`nn.LSTM` reorders its weights at every call, which costs more than the arithmetic of one step. Here they are laid
out once: recurrent matrices transposed, biases summed, and the first layer's input product, which has only as many
values as there are tokens, looked up in a table. The equations are those of `seqgen.nets.recurrent.cells`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from seqgen.nets.recurrent.cells import CellWeights
from seqgen.nets.recurrent.network import RecurrentNetwork
from seqgen.nets.recurrent.token_layers import connected

State = tuple[tuple[Tensor, ...], ...]

# The table of the first layer's input products is made when it is at most this large (64 MiB in fp32).
MAX_TABLE = 2**24


class RecurrentStep:
    """The `Step` of a `RecurrentNetwork`; its state is `(h,)` or `(h, c)` for each layer.

    Args:
        network (RecurrentNetwork): is copied.
    """

    def __init__(self, network: RecurrentNetwork) -> None:
        self._network = network = copy.deepcopy(network).eval()
        with torch.inference_mode():
            self._layers = [CellWeights.of(network.cell, layer).laid_out() for layer in network.layers]
            self._output_weight = self._network.output_matrix.t().contiguous()
            first = self._layers[0]
            self._table = None
            if network.vocab_size * first.input_bias.numel() <= MAX_TABLE:
                self._table = first.inputs(self._network.embed(torch.arange(network.vocab_size, device=network.device)))

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
        network, connections = self._network, self._network.config.connections
        hidden = network.embed(tokens)
        after: list[tuple[Tensor, ...]] = []
        for i, (layer, before) in enumerate(zip(self._layers, state, strict=True)):
            if i:
                x = layer.inputs(network.norms[i - 1](hidden))
            else:
                x = layer.inputs(hidden) if self._table is None else self._table[tokens]
            after.append(layer.step(x, before))
            hidden = connected(connections, hidden, after[-1][0])
        top = network.project(network.norms[-1](hidden))
        logits = torch.addmm(network.output.bias, top, self._output_weight)
        return logits.log_softmax(dim=-1), tuple(after)

    def reorder(self, state: State, index: Tensor) -> State:
        """The state of the sequences `index`, `(new_batch,)`, which may repeat or leave out some."""
        return tuple(tuple(part[index] for part in layer) for layer in state)

    def join(self, states: Sequence[State]) -> State:
        """The state of all sequences of several states, in order."""
        return tuple(tuple(map(torch.cat, zip(*layers, strict=True))) for layers in zip(*states, strict=True))
