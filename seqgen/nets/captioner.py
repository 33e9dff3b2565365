"""A network that reads the frames of a clip and writes a sentence: an encoder of frames, and the decoder of seq2seq.

    vectors = CNN(each frame), or features of a frozen network
    mean:      memory = W mean(vectors), state = tanh(V memory)
    sequence:  outputs, state = recurrent layers(vectors), memory = outputs + W vectors
    for each token: state = decoder(last token, what was attended to last, state), logits = E attended

With `mean` the decoder is given the average in every step (Venugopalan et al. 2015, "Translating videos to natural
language using deep recurrent neural networks"): there is one thing to attend to, which gets all of the attention. With
`sequence` it begins where the recurrent encoder ended (Venugopalan et al. 2015, "Sequence to sequence: video to
text"), and may attend to each frame (Yao et al. 2015); a skip connection lets it see frames as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqgen.config import CaptionerConfig
from seqgen.nets.images.frames import FrameNetwork
from seqgen.nets.recurrent.decoder import INPUT_GAIN, EncoderDecoder, Memory
from seqgen.nets.recurrent.encoder import Layers, RecurrentEncoder, padding_mask
from seqgen.nets.recurrent.layers import initialise


class Captioner(EncoderDecoder):
    """Frames, encoder, decoder.

    Args:
        config (CaptionerConfig): encoder, cell, attention and sizes.
        vocab_size (int): tokens of captions.
        side (int): height and width of a frame.
        feature_size (int): of the features of a frozen network, which are read in place of frames; 0: frames are read.
    """

    config: CaptionerConfig

    def __init__(self, config: CaptionerConfig, vocab_size: int, side: int, feature_size: int = 0) -> None:
        super().__init__(config, vocab_size)
        self.config = config
        self.embedding = nn.Embedding(vocab_size, config.embed_size)
        self.frames = None if feature_size else FrameNetwork(config.cnn_size, side)
        size = self.frames.feature_size if self.frames is not None else feature_size
        self.norm = nn.LayerNorm(size)
        self.encoder = self.start = None
        self.project = nn.Linear(size, config.hidden_size)
        if config.encoder == "sequence":
            self.encoder = RecurrentEncoder(
                config.cell,
                size,
                config.hidden_size,
                config.num_layers,
                bidirectional=config.bidirectional,
                peephole=config.peephole,
                dropout=config.dropout,
            )
        else:
            self.start = nn.Linear(config.hidden_size, config.num_layers * config.hidden_size)
        self.words = nn.Linear(config.hidden_size, vocab_size) if config.bag_of_words else None

    def initialise(self) -> None:
        """Set the weights before training; the loss begins near log(vocab_size)."""
        super().initialise()
        if self.frames is not None:
            self.frames.initialise()
        for layer in self.encoder or ():
            initialise(layer, INPUT_GAIN)
        if self.words is not None:
            nn.init.zeros_(self.words.weight)
            nn.init.zeros_(self.words.bias)

    @property
    def attends(self) -> bool:
        """Whether it can tell which frames a token attended to: an average is not of any one of them."""
        return self.encoder is not None and super().attends

    @property
    def target_matrix(self) -> nn.Embedding:
        """The embedding of tokens."""
        return self.embedding

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Memory, Layers]:
        """Read clips.

        Args:
            source (Tensor): frames as bytes, `(batch, frames, 3, height, width)`, or features of a frozen network,
                `(batch, frames, feature_size)`; padded at the end with anything.
            lengths (Tensor): how many frames each clip has, `(batch,)`, at least one.

        Returns:
            tuple[Memory, Layers]: what is attended to, `(batch, frames, hidden)`, or the average `(batch, 1, hidden)`;
            and the decoder's first state, see `EncoderDecoder`.
        """
        mask = padding_mask(lengths, source.shape[1], source.device)
        vectors = self.dropout(self.norm(self._vectors(source, mask)))
        if self.encoder is not None:
            values, ends = self.encoder(vectors, lengths)
            return self.memory(values + self.project(vectors), mask), ends
        assert self.start is not None
        mean = self.project(_mean(vectors, mask)[:, None])
        states = self.start(mean[:, 0]).tanh().view(len(mean), self.config.num_layers, -1).unbind(dim=1)
        memories = (torch.zeros_like(states[0]),) if self.config.cell in ("lstm", "peephole") else ()
        return self.memory(mean, mask[:, :1]), tuple((state, *memories) for state in states)

    def _vectors(self, source: Tensor, mask: Tensor) -> Tensor:
        """A vector for each frame, `(batch, frames, size)`; what pads a clip takes no work."""
        if self.frames is None:
            return source.masked_fill(~mask[..., None], 0.0)
        found: Tensor = self.frames(source[mask])
        return found.new_zeros(*mask.shape, found.shape[1]).masked_scatter(mask[..., None], found)

    def mean_vectors(self, source: Tensor, lengths: Tensor) -> Tensor:
        """What clips are like before the encoder, `(batch, size)`: the mean over their frames; see `encode`."""
        mask = padding_mask(lengths, source.shape[1], source.device)
        return _mean(self.norm(self._vectors(source, mask)), mask)

    def bag_of_words(self, memory: Memory) -> Tensor:
        """Logits `(batch, vocab)` of the tokens that captions may have, in no order, from the mean of what was read."""
        assert self.words is not None
        logits: Tensor = self.words(self.dropout(_mean(memory.values, memory.mask)))
        return logits

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor | None]:
        """Read clips and write captions.

        Args:
            source (Tensor): as for `encode`.
            lengths (Tensor): as for `encode`.
            target (Tensor): as for `write`.
            wanted (Tensor): as for `write`.

        Returns:
            tuple[Tensor, Tensor | None]: logits `(positions, vocab)` of tokens, see `write`; and those of
            `bag_of_words`, None without it.
        """
        memory, layers = self.encode(source, lengths)
        words = None if self.words is None else self.bag_of_words(memory)
        return self.write(memory, layers, target, wanted), words


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean `(batch, size)` of values `(batch, frames, size)` where `mask` `(batch, frames)` is true."""
    weights = mask.to(values.dtype) / mask.sum(dim=1, keepdim=True)
    return torch.bmm(weights[:, None], values)[:, 0]
