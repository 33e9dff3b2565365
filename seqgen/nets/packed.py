"""One token at a time, without the per-call cost of PyTorch's sequence kernels.

`nn.LSTM` reorders its weights at every call, which costs more than the arithmetic of one step. Here they are laid
out once: recurrent matrices transposed, biases summed, and the first layer's input product, which has only as many
values as there are tokens, looked up in a table. The equations are those of `seqgen.nets.cells`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from seqgen.nets.cells import gru_step, lstm_step, rnn_step
from seqgen.nets.recurrent import RecurrentNetwork

State = tuple[tuple[Tensor, ...], ...]

# The table of the first layer's input products is made when it is at most this large (64 MiB in fp32).
MAX_TABLE = 2**24


@dataclass(frozen=True)
class _Layer:
    input_weight: Tensor  # (input, gates * hidden)
    input_bias: Tensor  # (gates * hidden,)
    weight: Tensor  # (hidden, gates * hidden)
    candidate_bias: Tensor  # (hidden,), the GRU's b'


class PackedStep:
    """The `Step` of a `RecurrentNetwork`; its state is `(h,)` or `(h, c)` for each layer.

    Args:
        network (RecurrentNetwork): its weights are copied, so that later training does not show.
    """

    def __init__(self, network: RecurrentNetwork) -> None:
        self._network = copy.deepcopy(network).eval()
        self._cell = network.config.cell
        with torch.inference_mode():
            self._layers = [self._pack(layer) for layer in self._network.layers]
            self._output_weight = self._network.output.weight.t().contiguous()
            self._output_bias = network.output.bias.clone()
            self._embedding = network.embedding.weight.clone()
            first = self._layers[0]
            self._table = None
            if network.vocab_size * first.input_bias.numel() <= MAX_TABLE:
                self._table = torch.addmm(first.input_bias, self._embedding, first.input_weight)

    def _pack(self, layer: torch.nn.Module) -> _Layer:
        weight_ih, weight_hh, bias_ih, bias_hh = (p.detach() for p in layer.parameters())
        hidden = weight_hh.shape[1]
        candidate_bias = bias_hh[2 * hidden :].clone()
        if self._cell == "gru":
            bias_hh = torch.cat((bias_hh[: 2 * hidden], torch.zeros_like(candidate_bias)))
        return _Layer(weight_ih.t().contiguous(), bias_ih + bias_hh, weight_hh.t().contiguous(), candidate_bias)

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
                x = torch.addmm(layer.input_bias, hidden, layer.input_weight)
            elif self._table is not None:
                x = self._table[tokens]
            else:
                x = torch.addmm(layer.input_bias, self._embedding[tokens], layer.input_weight)
            if self._cell == "lstm":
                after.append(lstm_step(x, before[0], before[1], layer.weight))
            elif self._cell == "gru":
                after.append((gru_step(x, before[0], layer.weight, layer.candidate_bias),))
            else:
                after.append((rnn_step(x, before[0], layer.weight),))
            hidden = after[-1][0]
        assert hidden is not None  # RecurrentConfig allows no stack without layers
        logits = torch.addmm(self._output_bias, hidden, self._output_weight)
        return logits.log_softmax(dim=-1), tuple(after)

    def reorder(self, state: State, index: Tensor) -> State:
        """The state of the sequences `index`, `(new_batch,)`, which may repeat or leave out some."""
        return tuple(tuple(part[index] for part in layer) for layer in state)
