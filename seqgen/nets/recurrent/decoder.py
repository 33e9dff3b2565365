"""The side of a recurrent encoder-decoder that writes, whatever it is that was read: a sentence, or a clip.

    state = decoder(last token, what was attended to last, state)
    attended = tanh(W [context; state]), logits = E attended

With attention it reads every encoder output, in the manner of Luong et al. 2015 (eq. 5, input feeding in section 3.3);
without, all that it knows of the source is the state that the encoder left (Sutskever et al. 2014). Training runs it
over whole targets with their true tokens as input (teacher forcing); `seqgen.nets.stepping.seq2seq` runs it for a
search, one step for many hypotheses at a time. `seqgen.nets.recurrent.seq2seq` and `seqgen.nets.captioner` are encoders
with this decoder.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import EncoderDecoderConfig
from seqgen.nets.dropout import Dropout
from seqgen.nets.recurrent.attention import Attention
from seqgen.nets.recurrent.cells import CellWeights
from seqgen.nets.recurrent.encoder import Layers
from seqgen.nets.recurrent.layers import initialise, recurrent_layer

INPUT_GAIN = 1.0


@dataclass(frozen=True)
class Memory:
    """What the encoder leaves of a batch of sources.

    Args:
        values (Tensor): encoder outputs `(batch, source, hidden)`.
        keys (Tensor): what queries are compared with, `(batch, source, size)`.
        mask (Tensor): true where there is a token, `(batch, source)`.
    """

    values: Tensor
    keys: Tensor
    mask: Tensor

    def of(self, index: Tensor) -> Memory:
        """The memory of the sources `index`, `(new_batch,)`."""
        return Memory(self.values[index], self.keys[index], self.mask[index])


class EncoderDecoder(nn.Module, ABC):
    """Decoder and attention; an encoder is what a class adds to it.

    One vector size, `embed_size`, serves tokens and what the decoder attended to, so that the output layer can be the
    target's embedding matrix (Press and Wolf 2017).

    Args:
        config (EncoderDecoderConfig): cell, attention and sizes.
        vocab_size (int): target tokens.
    """

    config: EncoderDecoderConfig

    def __init__(self, config: EncoderDecoderConfig, vocab_size: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        embed, hidden = config.embed_size, config.hidden_size
        inputs = [embed * (2 if config.input_feeding else 1), *[hidden] * (config.num_layers - 1)]
        self.decoder = nn.ModuleList(
            recurrent_layer(config.cell, size, hidden, peephole=config.peephole) for size in inputs
        )
        self.attention = None
        if config.attention_kind != "none":
            self.attention = Attention(config.attention_kind, hidden, config.attention_size)
        self.readout = nn.Linear(hidden * (2 if self.attention else 1), embed, bias=False)
        self.output_weight = None if config.tied else nn.Parameter(torch.empty(vocab_size, embed))
        self.output_bias = nn.Parameter(torch.empty(vocab_size))
        self.dropout = Dropout(config.dropout)

    def initialise(self) -> None:
        """Set the weights before training; the loss begins near log(vocab_size)."""
        std = self.config.embed_size**-0.5  # `embed` scales by its inverse, so that inputs have unit variance
        nn.init.normal_(self.target_matrix.weight, std=std)
        if self.output_weight is not None:
            nn.init.normal_(self.output_weight, std=std)
        nn.init.zeros_(self.output_bias)
        for layer in self.decoder:
            initialise(layer, INPUT_GAIN)
        if self.config.attention_kind == "general" and self.attention is not None:
            nn.init.eye_(self.attention.key.weight)  # it begins as the dot product; from random scores it learns late

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.output_bias.device

    @property
    def attends(self) -> bool:
        """Whether it can tell what a target token attended to."""
        return self.attention is not None

    # Reading --------------------------------------------------------------------------------------------------

    @abstractmethod
    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Memory, Layers]:
        """Read sources.

        Args:
            source (Tensor): `(batch, source, ...)`, padded at the end with anything.
            lengths (Tensor): how many tokens, or frames, each has, `(batch,)`, at least one.

        Returns:
            tuple[Memory, Layers]: what is attended to, and the decoder's first state: for each layer `(h,)` or
            `(h, c)`, `(batch, hidden)` each.
        """

    def memory(self, values: Tensor, mask: Tensor) -> Memory:
        """What is attended to: outputs `(batch, source, hidden)` where `mask`, `(batch, source)`, is true."""
        return Memory(values, self.attention.keys(values) if self.attention else values, mask)

    def embed(self, embedding: nn.Embedding, tokens: Tensor) -> Tensor:
        """Vectors `(..., embed)` of tokens, with unit variance at the beginning."""
        return functional.embedding(tokens, embedding.weight) * math.sqrt(self.config.embed_size)

    # Writing --------------------------------------------------------------------------------------------------

    def write(self, memory: Memory, layers: Layers, target: Tensor, wanted: Tensor) -> Tensor:
        """Logits of target tokens, given those before them.

        Args:
            memory (Memory): from `encode`.
            layers (Layers): from `encode`.
            target (Tensor): what the decoder is given, `(batch, target)`: the start symbol, then true tokens.
            wanted (Tensor): the positions whose successors are to be predicted, `(batch, target)`, true or false.

        Returns:
            Tensor: logits `(positions, vocab)`, in row-major order of `wanted`.
        """
        cells, (weight, feed) = self.cell_weights(), self.input_weights()
        embedded = self.dropout(self.embed(self.target_matrix, target))
        inputs = embedded @ weight + cells[0].input_bias
        attended = torch.zeros_like(embedded[:, 0])
        outputs = []
        for x in inputs.unbind(1):
            if self.config.input_feeding:
                x = torch.addmm(x, attended, feed)
            layers = self.advance(cells, x, layers)
            if self.config.input_feeding:
                attended = self.attend(layers[-1][0][:, None], memory)[0][:, 0]
                outputs.append(attended)
            else:
                outputs.append(layers[-1][0])
        hidden = torch.stack(outputs, dim=1)
        if not self.config.input_feeding:  # nothing waits for it: all positions at once
            hidden = self.attend(hidden, memory)[0]
        return functional.linear(self.dropout(hidden[wanted]), self.output_matrix, self.output_bias)

    def cell_weights(self) -> list[CellWeights]:
        """The decoder's layers for single steps."""
        return [CellWeights.of(self.config.cell, layer) for layer in self.decoder]

    def input_weights(self) -> tuple[Tensor, Tensor]:
        """The first decoder layer's input matrix `(input, gates)` in two: for the token, and for what is fed back."""
        whole = self.decoder[0].get_parameter("weight_ih_l0").t()
        return whole[: self.config.embed_size], whole[self.config.embed_size :]

    def advance(self, cells: Sequence[CellWeights], x: Tensor, layers: Layers) -> Layers:
        """Move every layer by one step; `x` is the input's share of the first layer's gates, `(rows, gates)`."""
        after: list[tuple[Tensor, ...]] = []
        for cell, before in zip(cells, layers, strict=True):
            if after:
                x = cell.inputs(self.dropout(after[-1][0]))
            after.append(cell.step(x, before))
        return tuple(after)

    def attend(self, hidden: Tensor, memory: Memory) -> tuple[Tensor, Tensor | None]:
        """From hidden states `(batch, target, hidden)` to what the output layer reads, `(batch, target, embed)`.

        Returns:
            tuple[Tensor, Tensor | None]: these, and the attention weights `(batch, target, source)`, if there is any.
        """
        read, weights = self.contexts(hidden, memory)
        return self.readout(read).tanh(), weights

    def contexts(self, hidden: Tensor, memory: Memory) -> tuple[Tensor, Tensor | None]:
        """As `attend`, but without its last layer: hidden states `(batch, target, hidden)`, after their contexts.

        Without attention there are no contexts; with it the result is `(batch, target, 2 * hidden)`.
        """
        if self.attention is None:
            return hidden, None
        context, weights = self.attention(hidden, memory.keys, memory.values, memory.mask)
        return torch.cat((context, hidden), dim=-1), weights

    @property
    @abstractmethod
    def target_matrix(self) -> nn.Embedding:
        """The embedding of target tokens."""

    @property
    def output_matrix(self) -> Tensor:
        """The output layer's matrix, `(vocab, embed)`, which may be the target's embedding."""
        return self.target_matrix.weight if self.output_weight is None else self.output_weight
