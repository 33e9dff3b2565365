"""A Transformer language model: each token attends to those before it, up to `context` of them.

A finite-response system: what it predicts is a function of the tokens in its context alone, where a recurrent network
carries a state from the beginning of the text. Read `seqgen.nets.transformer.layers` for the parts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import TransformerConfig
from seqgen.nets.transformer.layers import Stack, TokenEmbedding
from seqgen.nets.transformer.positions import Positions


class TransformerNetwork(nn.Module):
    """Predicts the next token from the tokens of its context.

    Args:
        config (TransformerConfig): kinds and sizes.
        vocab_size (int): how many tokens there are.
    """

    def __init__(self, config: TransformerConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        self.positions = Positions(config.positions, config.embed_size, config.head_size, config.context)
        self.embedding = TokenEmbedding(config, vocab_size)
        self.decoder = Stack(config, config.num_layers)
        self.output_weight = None if config.tied else nn.Parameter(torch.empty(vocab_size, config.embed_size))
        self.output_bias = nn.Parameter(torch.empty(vocab_size))

    def initialise(self) -> None:
        """Set the weights before training; the loss begins near log(vocab_size)."""
        self.positions.initialise()
        self.embedding.initialise()
        self.decoder.initialise(self.config.embed_size**-0.5)
        if self.output_weight is not None:
            nn.init.normal_(self.output_weight, std=self.config.embed_size**-0.5)
        nn.init.zeros_(self.output_bias)

    @property
    def context(self) -> int:
        """How many tokens it reads at most."""
        return self.config.context

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.output_bias.device

    @property
    def output_matrix(self) -> Tensor:
        """The output layer's matrix, `(vocab, embed)`, which may be the embedding."""
        return self.embedding.weight if self.output_weight is None else self.output_weight

    def initial_state(self, batch: int) -> Tensor:
        """Nothing is carried from one piece of text to the next: `(0, 0, batch, 0)`."""
        return self.output_bias.new_zeros(0, 0, batch, 0)

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the token after each token, which in a causal network attends to none after itself.

        Args:
            tokens (Tensor): token ids `(batch, time)`, at most `context` each.
            state (Tensor): from `initial_state`.

        Returns:
            tuple[Tensor, Tensor]: logits `(batch, time, vocab)`, and the state.
        """
        positions, dtype = torch.arange(tokens.shape[1], device=tokens.device), self.output_bias.dtype
        x = self.embedding(tokens, self.positions.added(positions, dtype))
        turn = self.positions.rotation(positions, dtype)
        x = self.decoder(x, causal=self.config.causal, turn=turn)
        return functional.linear(self.decoder.norm(x), self.output_matrix, self.output_bias), state

    @property
    def operations_per_token(self) -> int:
        """Multiplications and additions of one token's forward pass, the products with weights only."""
        matrices = sum(p.numel() for p in self.decoder.parameters() if p.ndim == 2)
        return 2 * (matrices + self.output_matrix.numel())
