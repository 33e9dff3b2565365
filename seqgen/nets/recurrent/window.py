"""A language model that reads the last N tokens and nothing else: a finite-response system.

    Y_t = f(X_t, X_{t-1}, ..., X_{t-N+1})

A learned n-gram (Bengio et al. 2003): the vectors of N tokens side by side, a hidden layer over all of them, further
hidden layers above, a softmax. What lies N steps back has no influence at all, where a recurrent cell lets it fade
(`seqgen.nets.recurrent.cells`); in exchange nothing waits for the step before, and a gradient passes no more than a
few layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import RecurrentConfig
from seqgen.nets.recurrent.token_layers import TokenLayers, connected, widths


class WindowNetwork(TokenLayers):
    """Predicts the next token from the last `config.window` tokens.

    The state holds the vectors of the tokens before, `(1, window - 1, batch, embed)`; zeros stand for the time before
    the text.

    Args:
        config (RecurrentConfig): sizes; the cell is `window`.
        vocab_size (int): how many tokens there are.
    """

    def __init__(self, config: RecurrentConfig, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        first, *above = widths(config)[:-1]
        self.first = nn.Conv1d(first, config.hidden_size, config.window)
        self.above = nn.ModuleList(nn.Linear(size, config.hidden_size) for size in above)

    def initialise(self) -> None:
        """Set the weights before training: each hidden layer passes on as much variance as it gets (He et al. 2015)."""
        super().initialise()
        for name, parameter in self.named_parameters():
            if name.startswith(("first", "above")) and name.endswith("weight"):
                nn.init.kaiming_uniform_(parameter, nonlinearity="relu")
            elif name.startswith(("first", "above")):
                nn.init.zeros_(parameter)
        self.first.weight.data /= self.embedding_std

    def initial_state(self, batch: int) -> Tensor:
        """The time before the text, `(1, window - 1, batch, embed)`."""
        return self.output.bias.new_zeros(1, self.config.window - 1, batch, self.config.embed_size)

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the token after each token.

        Args:
            tokens (Tensor): token ids `(batch, time)`.
            state (Tensor): what came before them, from `initial_state` or an earlier call.

        Returns:
            tuple[Tensor, Tensor]: logits `(batch, time, vocab)`, and the state after the last token.
        """
        vectors = self.embed(tokens.t())
        read = torch.cat((state[0].to(vectors.dtype), vectors))
        written = self.first(self.embed_dropout(read).permute(1, 2, 0)).permute(2, 0, 1)
        logits = self.logits(self.rest(vectors, written))
        return logits.transpose(0, 1), read[len(vectors) :][None].to(state.dtype)

    def rest(self, vectors: Tensor, written: Tensor) -> Tensor:
        """What the last layer leaves, from the tokens' vectors and the first layer's sums, `(..., hidden)`."""
        hidden = connected(self.config.connections, vectors, self.dropout(functional.gelu(written)))
        for norm, layer in zip(self.norms, self.above, strict=False):  # the last norm is the output layer's
            written = self.dropout(functional.gelu(layer(norm(hidden))))
            hidden = connected(self.config.connections, hidden, written)
        return hidden

    @property
    def operations_per_token(self) -> int:
        """Multiplications and additions of one token's forward pass, the matrix products only."""
        matrices = {p for name, p in self.named_parameters() if p.dim() > 1 and not name.startswith("embedding")}
        return 2 * sum(matrix.numel() for matrix in {*matrices, self.output_matrix})
