"""A network that reads a sequence and says of which class it is (many-to-one), or each of its tokens (many-to-many).

    vectors = embedding(tokens), beside them what a character RNN makes of the letters of each word
    values = layers(vectors), where two directions stand side by side: h = [forward; backward]
    logits = W pool(values), or W values at each token

Two directions have weights of their own (Schuster and Paliwal 1997; Graves and Schmidhuber 2005). A word's vector of
its letters is the last states of both directions of an RNN over them (Ling et al. 2015; Plank et al. 2016).
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from seqgen.config import ClassifierConfig
from seqgen.nets.dropout import Dropout
from seqgen.nets.pooling import Pooling
from seqgen.nets.recurrent.encoder import RecurrentEncoder, padding_mask
from seqgen.nets.recurrent.layers import initialise
from seqgen.nets.transformer.layers import Stack
from seqgen.nets.transformer.positions import Positions

CHARACTER_EMBEDDING = 32
INPUT_GAIN = 1.0


class Spelling(NamedTuple):
    """The letters of a batch's words.

    Args:
        characters (Tensor): of the distinct words, `(words, letters)`, padded at the end with anything.
        lengths (Tensor): letters of each, `(words,)`.
        places (Tensor): which of the words stands where, `(batch, time)`.
    """

    characters: Tensor
    lengths: Tensor
    places: Tensor


class CharacterReader(nn.Module):
    """A vector for each word from its letters: the last states of a GRU in both directions.

    Args:
        size (int): of the vector, which the two directions share.
        characters (int): letters that there are.
    """

    def __init__(self, size: int, characters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, CHARACTER_EMBEDDING)
        self.encoder = RecurrentEncoder(
            "gru", CHARACTER_EMBEDDING, size, 1, bidirectional=True, peephole="diagonal", dropout=0.0
        )

    def forward(self, spelling: Spelling) -> Tensor:
        """Vectors `(batch, time, size)`."""
        _, [[last]] = self.encoder(self.embedding(spelling.characters), spelling.lengths)
        return cast("Tensor", last)[spelling.places]


class AttentionLayers(nn.Module):
    """The layers of a Transformer over vectors of any size, called as `RecurrentEncoder` is.

    Args:
        config (ClassifierConfig): sizes; unidirectional, a token attends to none after it.
        input_size (int): of the vectors.
    """

    def __init__(self, config: ClassifierConfig, input_size: int) -> None:
        super().__init__()
        layers = config.transformer
        self.causal = layers.causal
        self.project = nn.Linear(input_size, layers.embed_size)
        self.positions = Positions(layers.positions, layers.embed_size, layers.head_size, layers.context)
        self.stack = Stack(layers, layers.num_layers)

    def forward(self, vectors: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs `(batch, time, hidden)`, and that at the last token, `(batch, hidden)`."""
        mask = None  # what pads a text stands behind it, where nothing attends to it if causal
        if not self.causal:
            mask = padding_mask(lengths, vectors.shape[1], vectors.device)[:, None, None]
        positions = torch.arange(vectors.shape[1], device=vectors.device)
        turn = self.positions.rotation(positions, vectors.dtype)
        x = self.stack(self.project(vectors), mask, causal=self.causal, turn=turn)
        values: Tensor = self.stack.norm(x)
        return values, values[torch.arange(len(values)), lengths.to(values.device) - 1]


class Classifier(nn.Module):
    """Embedding, layers, pooling where one label is wanted, output layer.

    Args:
        config (ClassifierConfig): cell and sizes.
        vocab_size (int): tokens.
        characters (int): letters, 0 without a character RNN.
        classes (int): labels.
        per_token (bool): whether each token has one.
    """

    def __init__(
        self, config: ClassifierConfig, vocab_size: int, characters: int, classes: int, *, per_token: bool
    ) -> None:
        super().__init__()
        self.config, self.vocab_size, self.per_token = config, vocab_size, per_token
        self.embedding = nn.Embedding(vocab_size, config.embed_size)
        self.letters = CharacterReader(config.char_size, characters) if characters else None
        input_size = config.embed_size + (config.char_size if characters else 0)
        self.layers = (
            AttentionLayers(config, input_size)
            if config.cell == "transformer"
            else RecurrentEncoder(
                config.cell,
                input_size,
                config.hidden_size,
                config.num_layers,
                bidirectional=config.bidirectional,
                peephole=config.peephole,
                dropout=config.dropout,
            )
        )
        self.pool = None if per_token else Pooling(config.pool, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, classes)
        self.embed_dropout, self.dropout = Dropout(config.embed_dropout), Dropout(config.dropout)

    def initialise(self) -> None:
        """Set the weights before training; the loss begins at log(classes)."""
        nn.init.normal_(self.embedding.weight, std=1.0)
        encoders = [self.layers]
        if self.letters is not None:
            nn.init.normal_(self.letters.embedding.weight, std=1.0)
            encoders.append(self.letters.encoder)
        for encoder in encoders:
            if isinstance(encoder, RecurrentEncoder):
                for layer in encoder:
                    initialise(layer, INPUT_GAIN)
            else:
                encoder.stack.initialise()
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.output.bias.device

    def vectors(self, tokens: Tensor, spelling: Spelling | None) -> Tensor:
        """What the layers read, `(batch, time, input)`."""
        vectors: Tensor = self.embedding(tokens)
        if self.letters is not None and spelling is not None:
            vectors = torch.cat((vectors, self.letters(spelling)), dim=2)
        dropped: Tensor = self.embed_dropout(vectors)
        return dropped

    def forward(self, tokens: Tensor, lengths: Tensor, spelling: Spelling | None = None) -> Tensor:
        """Logits of the classes.

        Args:
            tokens (Tensor): token ids `(batch, time)`, padded at the end with anything.
            lengths (Tensor): how many tokens each row has, `(batch,)`, at least one.
            spelling (Spelling | None): the letters of words, where there is a character RNN.

        Returns:
            Tensor: `(batch, classes)`, or with a label for each token `(batch, time, classes)`.
        """
        values, last = self.layers(self.vectors(tokens, spelling), lengths)
        if isinstance(self.layers, RecurrentEncoder):
            last = self.dropout(last[-1][0])
        return self.judge(values, last, lengths)

    def judge(self, values: Tensor, last: Tensor, lengths: Tensor) -> Tensor:
        """Logits, as `forward` gives them, of outputs `(batch, time, hidden)` and the last one, `(batch, hidden)`."""
        if self.pool is not None:
            values, _ = self.pool(values, last, padding_mask(lengths, values.shape[1], values.device))
        return cast("Tensor", self.output(values))
