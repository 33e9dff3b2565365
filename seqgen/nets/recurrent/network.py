"""A recurrent language model: embedding, a stack of recurrent layers, an output layer.

An infinite-response system: the state after token t is a function of all tokens up to t, and training follows the
gradient back through as many steps as it is given (`seqgen.tasks.language.model` gives it chunks: truncated
back-propagation through time). Read `seqgen.nets.recurrent.cells` for the equations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqgen.config import RecurrentCell, RecurrentConfig
from seqgen.nets.dropout import Dropout
from seqgen.nets.recurrent.cells import GATES, STATE_PARTS
from seqgen.nets.recurrent.layers import initialise, recurrent_layer
from seqgen.nets.recurrent.token_layers import TokenLayers, connected, widths

INPUT_GAIN = 2.0


class RecurrentNetwork(TokenLayers):
    """Predicts the next token from all tokens before it.

    The state is one tensor `(num_layers, parts, batch, hidden)`, where the parts are h, and c for the LSTMs: one thing
    to detach, save, slice and gather, whatever the cell.

    Args:
        config (RecurrentConfig): cell and sizes; any cell but `window`.
        vocab_size (int): how many tokens there are.
    """

    def __init__(self, config: RecurrentConfig, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        assert config.cell != "window"  # that is `seqgen.nets.recurrent.window`
        self.cell: RecurrentCell = config.cell
        self.layers = nn.ModuleList(
            recurrent_layer(self.cell, size, config.hidden_size, peephole=config.peephole)
            for size in widths(config)[:-1]
        )
        self.weight_drop = Dropout(config.weight_drop)

    def initialise(self) -> None:
        """Set the weights before training, the recurrent matrices orthogonal."""
        super().initialise()
        for layer in self.layers:
            initialise(layer, INPUT_GAIN, self.config.init_scale)

    def initial_state(self, batch: int) -> Tensor:
        """The zero state, `(num_layers, parts, batch, hidden)`."""
        config = self.config
        shape = (config.num_layers, STATE_PARTS[self.cell], batch, config.hidden_size)
        return self.output.bias.new_zeros(shape)

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the token after each token.

        Args:
            tokens (Tensor): token ids `(batch, time)`.
            state (Tensor): where the sequences stand, from `initial_state` or an earlier call.

        Returns:
            tuple[Tensor, Tensor]: logits `(batch, time, vocab)`, and the state after the last token.
        """
        hidden = self.embed_dropout(self.embed(tokens.t()))  # time first, as the layers want it
        after = []
        for i, (layer, before) in enumerate(zip(self.layers, state.unbind(), strict=True)):
            read = self.norms[i - 1](hidden) if i else hidden
            written, end = self._run(layer, read, before[:, None].unbind() if len(before) > 1 else before)
            after.append(torch.cat(end) if isinstance(end, tuple) else end)
            hidden = connected(self.config.connections, hidden, self.dropout(written))
        return self.logits(hidden).transpose(0, 1), torch.stack(after).to(state.dtype)

    def _run(self, layer: nn.Module, hidden: Tensor, before: Tensor | tuple[Tensor, ...]) -> Any:
        """A layer's outputs and state, while training with a part of its recurrent weights only.

        A weight is dropped for a whole chunk, so that the state cannot rely on any single one
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
        *sizes, top = widths(config)
        gates = GATES[self.cell] * config.hidden_size
        products = sum(gates * (size + config.hidden_size) for size in sizes)
        if config.cell == "peephole" and config.peephole == "full":
            products += len(sizes) * 3 * config.hidden_size**2
        return 2 * (products + (top * config.embed_size if config.tied else 0) + self.output_matrix.numel())
