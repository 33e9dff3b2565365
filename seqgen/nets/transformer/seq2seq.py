"""A Transformer encoder-decoder: the source is read at once, the target written token by token.

Every target token attends to the targets before it and to the whole source (Vaswani et al. 2017, figure 1). Training
runs all positions of a target together; `seqgen.nets.stepping.cached` runs one at a time for a search.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import TransformerSeq2SeqConfig
from seqgen.nets.transformer.attention import KeysValues
from seqgen.nets.transformer.layers import Stack, TokenEmbedding
from seqgen.nets.transformer.positions import Positions, Rotation


class TransformerSeq2Seq(nn.Module):
    """Encoder and decoder.

    Args:
        config (TransformerSeq2SeqConfig): kinds and sizes.
        source_vocab_size (int): source tokens.
        vocab_size (int): target tokens.
    """

    def __init__(self, config: TransformerSeq2SeqConfig, source_vocab_size: int, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.source_vocab_size, self.vocab_size = source_vocab_size, vocab_size
        self.positions = Positions(config.positions, config.embed_size, config.head_size, config.context)
        self.source_embedding = TokenEmbedding(config, source_vocab_size)
        shared = config.tied and config.joint
        self.target_embedding = None if shared else TokenEmbedding(config, vocab_size)
        self.encoder = Stack(config, config.num_layers)
        self.decoder = Stack(config, config.decoder_layers or config.num_layers, cross=True)
        self.output_weight = None if config.tied else nn.Parameter(torch.empty(vocab_size, config.embed_size))
        self.output_bias = nn.Parameter(torch.empty(vocab_size))

    def initialise(self) -> None:
        """Set the weights before training; the loss begins near log(vocab_size)."""
        self.positions.initialise()
        self.source_embedding.initialise()
        if self.target_embedding is not None:
            self.target_embedding.initialise()
        self.encoder.initialise()
        self.decoder.initialise(self.config.embed_size**-0.5)
        if self.output_weight is not None:
            nn.init.normal_(self.output_weight, std=self.config.embed_size**-0.5)
        nn.init.zeros_(self.output_bias)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.output_bias.device

    @property
    def attends(self) -> bool:
        """Whether it can tell what a target token attended to: always."""
        return True

    @property
    def target_matrix(self) -> TokenEmbedding:
        """The target's embedding, which may be the source's."""
        return self.source_embedding if self.target_embedding is None else self.target_embedding

    @property
    def output_matrix(self) -> Tensor:
        """The output layer's matrix, `(vocab, embed)`, which may be the target's embedding."""
        return self.target_matrix.weight if self.output_weight is None else self.output_weight

    def encode(self, source: Tensor, lengths: Tensor) -> list[KeysValues]:
        """Read sources.

        Args:
            source (Tensor): token ids `(batch, source)`, end symbols included, padded at the end with anything.
            lengths (Tensor): how many tokens each has, `(batch,)`, at least one.

        Returns:
            list[KeysValues]: what each layer of the decoder attends to.
        """
        positions = torch.arange(source.shape[1], device=source.device)
        mask = None  # without padding there is nothing to hide, and the kernel is faster
        if int(lengths.min()) < source.shape[1]:
            mask = (positions < lengths.to(source.device)[:, None])[:, None, None]
        added, turn = self._positions_of(positions)
        x = self.source_embedding(source, added)
        x = self.encoder.norm(self.encoder(x, mask, causal=False, turn=turn))
        crossing = [layer.cross for layer in self.decoder if layer.cross is not None]
        return [KeysValues(*cross.keys_values(x), mask) for cross in crossing]

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor, wanted: Tensor) -> Tensor:
        """Logits of target tokens, given those before them.

        Args:
            source (Tensor): as for `encode`.
            lengths (Tensor): as for `encode`.
            target (Tensor): what the decoder is given, `(batch, target)`: the start symbol, then true tokens.
            wanted (Tensor): the positions whose successors are to be predicted, `(batch, target)`, true or false.

        Returns:
            Tensor: logits `(positions, vocab)`, in row-major order of `wanted`.
        """
        mask = None
        if not self.config.causal:  # what pads a target stands behind all that is wanted of it
            mask = (wanted.flip(1).cumsum(dim=1).flip(1) > 0)[:, None, None]
        return self.logits(self.decode(target, self.encode(source, lengths), mask)[wanted])

    def decode(self, target: Tensor, memory: Sequence[KeysValues], mask: Tensor | None = None) -> Tensor:
        """What the last layer leaves of targets, `(batch, target, embed)`.

        Args:
            target (Tensor): as for `forward`.
            memory (Sequence[KeysValues]): from `encode`.
            mask (Tensor | None): true where there is a target token, `(batch, 1, 1, target)`; a causal decoder needs
                none, for what pads a target stands behind it.
        """
        added, turn = self._positions_of(torch.arange(target.shape[1], device=target.device))
        x = self.target_matrix(target, added)
        decoded: Tensor = self.decoder(x, mask, causal=self.config.causal, turn=turn, memory=memory)
        return decoded

    def logits(self, hidden: Tensor) -> Tensor:
        """What the output layer makes of what the last layer leaves, `(..., vocab)`."""
        return functional.linear(self.decoder.norm(hidden), self.output_matrix, self.output_bias)

    def _positions_of(self, positions: Tensor) -> tuple[Tensor | None, Rotation | None]:
        """What is added to the embeddings of tokens at some positions, and how queries and keys are turned."""
        dtype = self.output_bias.dtype
        return self.positions.added(positions, dtype), self.positions.rotation(positions, dtype)
