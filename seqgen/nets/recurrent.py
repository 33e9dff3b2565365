"""A recurrent language model: embedding, a stack of recurrent layers, an output layer.

An infinite-response system: the state after token t is a function of all tokens up to t, and training follows the
gradient back through as many steps as it is given (`seqgen.tasks.language_model` gives it chunks: truncated
back-propagation through time). Read `seqgen.nets.cells` for the equations.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqgen.config import Cell, RecurrentConfig
from seqgen.nets.cells import GATES, STATE_PARTS
from seqgen.nets.dropout import Dropout

_KERNELS: dict[Cell, type[nn.RNN] | type[nn.LSTM] | type[nn.GRU]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}

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
        self.layers = nn.ModuleList(_KERNELS[config.cell](size, config.hidden_size) for size in sizes)
        self.output = nn.Linear(config.hidden_size, vocab_size)
        self.dropout = Dropout(config.dropout)

    def initialise(self) -> None:
        """Set the weights before training.

        Recurrent matrices orthogonal, so that neither the state nor its gradient shrinks or grows at first (Saxe et al.
        2014). Embeddings and input matrices wide, so that from the first step on different tokens drive the gates to
        different places: PyTorch's own initialisation hardly tells them apart, and learns half as fast here. Forget
        gates open at bias 1 (Gers et al. 2000; Jozefowicz et al. 2015). The output layer small, so that the loss begins
        near log(vocab_size), but not zero: a zero output layer passes no gradient down, and the run never quite makes
        up for the steps that this costs (0.05 nats on tiny Shakespeare).
        """
        hidden = self.config.hidden_size
        nn.init.normal_(self.embedding.weight, std=EMBEDDING_STD)
        nn.init.uniform_(self.output.weight, -(hidden**-0.5), hidden**-0.5)
        nn.init.zeros_(self.output.bias)
        for layer in self.layers:
            weight_ih, weight_hh, bias_ih, bias_hh = layer.parameters()
            for gate in range(GATES[self.config.cell]):
                rows = slice(gate * hidden, (gate + 1) * hidden)
                nn.init.orthogonal_(weight_hh.data[rows])
            nn.init.xavier_uniform_(weight_ih, gain=INPUT_GAIN)
            nn.init.zeros_(bias_ih)
            nn.init.zeros_(bias_hh)
            if self.config.cell == "lstm":
                bias_ih.data[hidden : 2 * hidden] = 1.0

    def initial_state(self, batch: int) -> Tensor:
        """The zero state, `(num_layers, parts, batch, hidden)`."""
        config = self.config
        shape = (config.num_layers, STATE_PARTS[config.cell], batch, config.hidden_size)
        return self.output.weight.new_zeros(shape)

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
                hidden, (h, c) = layer(hidden, (before[:1], before[1:]))
                after.append(torch.cat((h, c)))
            else:
                hidden, h = layer(hidden, before)
                after.append(h)
            hidden = self.dropout(hidden)
        return self.output(hidden).transpose(0, 1), torch.stack(after).to(state.dtype)

    @property
    def operations_per_token(self) -> int:
        """Multiplications and additions of one token's forward pass, the matrix products only."""
        config = self.config
        sizes = [config.embed_size] + [config.hidden_size] * (config.num_layers - 1)
        gates = GATES[config.cell] * config.hidden_size
        products = sum(gates * (size + config.hidden_size) for size in sizes)
        return 2 * (products + config.hidden_size * self.vocab_size)
