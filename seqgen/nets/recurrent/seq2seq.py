"""A recurrent encoder-decoder: it reads a source, then writes a target token by token.

    memory, state = encoder(source, its end symbol included)

Sutskever et al. 2014, with the attention of Luong et al. 2015 or without; how it writes is in
`seqgen.nets.recurrent.decoder`.
"""

from __future__ import annotations

from torch import Tensor, nn

from seqgen.config import Seq2SeqConfig
from seqgen.nets.recurrent.decoder import INPUT_GAIN, EncoderDecoder, Memory
from seqgen.nets.recurrent.encoder import Layers, RecurrentEncoder, padding_mask
from seqgen.nets.recurrent.layers import initialise


class Seq2Seq(EncoderDecoder):
    """An encoder of tokens with a decoder.

    Args:
        config (Seq2SeqConfig): cell, attention and sizes.
        source_vocab_size (int): source tokens.
        vocab_size (int): target tokens.
    """

    config: Seq2SeqConfig

    def __init__(self, config: Seq2SeqConfig, source_vocab_size: int, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        self.config = config
        self.source_vocab_size = source_vocab_size
        self.source_embedding = nn.Embedding(source_vocab_size, config.embed_size)
        one_matrix = config.tied and config.joint
        self.target_embedding = None if one_matrix else nn.Embedding(vocab_size, config.embed_size)
        self.encoder = RecurrentEncoder(
            config.cell,
            config.embed_size,
            config.hidden_size,
            config.num_layers,
            bidirectional=config.bidirectional,
            peephole=config.peephole,
            dropout=config.dropout,
        )

    def initialise(self) -> None:
        """Set the weights before training; the loss begins near log(vocab_size)."""
        if self.target_embedding is not None:
            nn.init.normal_(self.source_embedding.weight, std=self.config.embed_size**-0.5)
        super().initialise()
        for layer in self.encoder:
            initialise(layer, INPUT_GAIN)

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Memory, Layers]:
        """Read token ids `(batch, source)`, end symbols included; see `EncoderDecoder`.

        The decoder's first state is that of the encoder's layers at the end, two directions side by side.
        """
        values, ends = self.encoder(self.dropout(self.embed(self.source_embedding, source)), lengths)
        return self.memory(values, padding_mask(lengths, source.shape[1], source.device)), ends

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor, wanted: Tensor) -> Tensor:
        """Logits `(positions, vocab)` of target tokens, given those before them; see `encode` and `write`."""
        return self.write(*self.encode(source, lengths), target, wanted)

    @property
    def target_matrix(self) -> nn.Embedding:
        """The target's embedding, which may be the source's."""
        return self.source_embedding if self.target_embedding is None else self.target_embedding
