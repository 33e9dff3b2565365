"""A recurrent language model: embedding, a stack of recurrent layers, an output layer.

An infinite-response system: the state after token t is a function of all tokens up to t, and training follows the
gradient back through as many steps as it is given (`seqgen.tasks.language_model` gives it chunks: truncated
back-propagation through time). Read `seqgen.nets.cells` for the equations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqgen.config import RecurrentConfig
from seqgen.nets.cells import GATES, KERNELS, STATE_PARTS, initialise
from seqgen.nets.dropout import Dropout
from seqgen.nets.packed import PackedStep

EMBEDDING_STD = 3.0
INPUT_GAIN = 2.0


class RecurrentNetwork(nn.Module):
    """Predicts the next token from all tokens before it.

    The state is one tensor `(num_layers, parts, batch, hidden)`, where the parts are h, and c for the LSTM: one thing
    to detach, save, slice and gather, whatever the cell.

    Args:
        config (RecurrentConfig): cell and sizes.
        vocab_size (int): how many tokens there are.
    """

    def __init__(self, config: RecurrentConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        sizes = [config.embed_size] + [config.hidden_size] * (config.num_layers - 1)
        self.embedding = nn.Embedding(vocab_size, config.embed_size)
        self.layers = nn.ModuleList(KERNELS[config.cell](size, config.hidden_size) for size in sizes)
        self.output = nn.Linear(config.hidden_size, vocab_size)
        self.dropout = Dropout(config.dropout)
        self.weight_drop = Dropout(config.weight_drop)

    def initialise(self) -> None:
        """Set the weights before training.

        Embeddings and input matrices wide, so that from the first step on different tokens drive the gates to different
        places: PyTorch's own initialisation hardly tells them apart, and learns half as fast here. The output layer
        small, so that the loss begins near log(vocab_size), but not zero: a zero output layer passes no gradient down,
        and the run never quite makes up for the steps that this costs (0.05 nats on tiny Shakespeare).
        """
        nn.init.normal_(self.embedding.weight, std=EMBEDDING_STD)
        bound = self.config.hidden_size**-0.5
        nn.init.uniform_(self.output.weight, -bound, bound)
        nn.init.zeros_(self.output.bias)
        for layer in self.layers:
            initialise(self.config.cell, layer.parameters(), INPUT_GAIN)

    def initial_state(self, batch: int) -> Tensor:
        """The zero state, `(num_layers, parts, batch, hidden)`."""
        config = self.config
        shape = (config.num_layers, STATE_PARTS[config.cell], batch, config.hidden_size)
        return self.output.weight.new_zeros(shape)

    @property
    def context(self) -> None:
        """How many tokens it sees at most: there is no limit."""

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.output.bias.device

    def step(self) -> PackedStep:
        """What writes with these weights, one token at a time."""
        return PackedStep(self)

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the token after each token.

        Args:
            tokens (Tensor): token ids `(batch, time)`.
            state (Tensor): where the sequences stand, from `initial_state` or an earlier call.

        Returns:
            tuple[Tensor, Tensor]: logits `(batch, time, vocab)`, and the state after the last token.
        """
        hidden = self.embedding(tokens.t())  # time first, as the kernels want it
        after = []
        for layer, before in zip(self.layers, state.unbind(), strict=True):
            if self.config.cell == "lstm":
                hidden, (h, c) = self._run(layer, hidden, (before[:1], before[1:]))
                after.append(torch.cat((h, c)))
            else:
                hidden, h = self._run(layer, hidden, before)
                after.append(h)
            hidden = self.dropout(hidden)
        return self.output(hidden).transpose(0, 1), torch.stack(after).to(state.dtype)

    def _run(self, layer: nn.Module, hidden: Tensor, before: Tensor | tuple[Tensor, Tensor]) -> Any:
        """A layer's outputs and state, while training with a part of its recurrent weights only.

        A weight is dropped for a whole chunk, so that the state can learn nothing by heart that hangs on it
        (DropConnect, Wan et al. 2013; on recurrent weights Merity et al. 2018).
        """
        if not self.training or not self.config.weight_drop:
            return layer(hidden, before)
        dropped = {"weight_hh_l0": self.weight_drop(layer.weight_hh_l0)}
        return torch.func.functional_call(layer, dropped, (hidden, before))

    @property
    def operations_per_token(self) -> int:
        """Multiplications and additions of one token's forward pass, the matrix products only."""
        config = self.config
        sizes = [config.embed_size] + [config.hidden_size] * (config.num_layers - 1)
        gates = GATES[config.cell] * config.hidden_size
        products = sum(gates * (size + config.hidden_size) for size in sizes)
        return 2 * (products + config.hidden_size * self.vocab_size)
