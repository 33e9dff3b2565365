"""A recurrent encoder-decoder: it reads a source, then writes a target token by token.

    memory, state = encoder(source, its end symbol included)
    for each target token: state = decoder(last token, what was attended to last, state)
                           attended = tanh(W [context; state]), logits = E attended

Sutskever et al. 2014 without attention: all that the decoder knows of the source is the encoder's last state. With
attention it looks back at every encoder output, in the manner of Luong et al. 2015 (eq. 5, input feeding in section
3.3). Training runs the decoder over whole targets with their true tokens as input (teacher forcing); `Seq2SeqStep`
runs it for a search, one step for many hypotheses at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from seqgen.config import Seq2SeqConfig
from seqgen.nets.dropout import Dropout
from seqgen.nets.products import add_product, pack, product
from seqgen.nets.recurrent.attention import Attention
from seqgen.nets.recurrent.cells import CellWeights
from seqgen.nets.recurrent.layers import initialise, recurrent_layer

INPUT_GAIN = 1.0

# The table of the decoder's input products is made when it is at most this large (64 MiB in fp32).
MAX_TABLE = 2**24

Layers = tuple[tuple[Tensor, ...], ...]


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
        """The memory of the sources `index`."""
        return Memory(self.values[index], self.keys[index], self.mask[index])


class Seq2Seq(nn.Module):
    """Encoder, attention, decoder.

    One vector size, `embed_size`, serves tokens and what the decoder attended to, so that the output layer can be the
    target's embedding matrix (Press and Wolf 2017).

    Args:
        config (Seq2SeqConfig): cell, attention and sizes.
        source_vocab_size (int): source tokens.
        vocab_size (int): target tokens.
    """

    def __init__(self, config: Seq2SeqConfig, source_vocab_size: int, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.source_vocab_size, self.vocab_size = source_vocab_size, vocab_size
        embed, hidden = config.embed_size, config.hidden_size
        layer = partial(recurrent_layer, config.cell, peephole=config.peephole)
        directions = 2 if config.bidirectional else 1
        above = [hidden] * (config.num_layers - 1)
        self.source_embedding = nn.Embedding(source_vocab_size, embed)
        one_matrix = config.tied and config.joint
        self.target_embedding = None if one_matrix else nn.Embedding(vocab_size, embed)
        self.encoder = nn.ModuleList(
            layer(size, hidden // directions, bidirectional=config.bidirectional) for size in [embed, *above]
        )
        fed = embed * (2 if config.input_feeding else 1)
        self.decoder = nn.ModuleList(layer(size, hidden) for size in [fed, *above])
        self.attention = None
        if config.attention != "none":
            self.attention = Attention(config.attention, hidden, config.attention_size)
        self.readout = nn.Linear(hidden * (2 if self.attention else 1), embed, bias=False)
        self.output_weight = None if config.tied else nn.Parameter(torch.empty(vocab_size, embed))
        self.output_bias = nn.Parameter(torch.empty(vocab_size))
        self.dropout = Dropout(config.dropout)

    def initialise(self) -> None:
        """Set the weights before training; the loss begins near log(vocab_size)."""
        std = self.config.embed_size**-0.5  # `_embed` scales by its inverse, so that inputs have unit variance
        for matrix in (self.source_embedding, self.target_embedding):
            if matrix is not None:
                nn.init.normal_(matrix.weight, std=std)
        if self.output_weight is not None:
            nn.init.normal_(self.output_weight, std=std)
        nn.init.zeros_(self.output_bias)
        for layer in [*self.encoder, *self.decoder]:
            initialise(layer, INPUT_GAIN)
        if self.config.attention == "general" and self.attention is not None:
            nn.init.eye_(self.attention.key.weight)  # it begins as the dot product; from random scores it learns late

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.output_bias.device

    @property
    def attends(self) -> bool:
        """Whether it can tell what a target token looked at."""
        return self.attention is not None

    def step(self, dtype: torch.dtype | None = None) -> Seq2SeqStep:
        """What translates with these weights, one token at a time; `dtype` is that of the decoder's products."""
        return Seq2SeqStep(self, dtype)

    # Reading --------------------------------------------------------------------------------------------------

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Memory, Layers]:
        """Read sources.

        Args:
            source (Tensor): token ids `(batch, source)`, end symbols included, padded at the end with anything.
            lengths (Tensor): how many tokens each has, `(batch,)`, at least one.

        Returns:
            tuple[Memory, Layers]: what attention looks back at, and the decoder's first state: for each layer `(h,)` or
            `(h, c)`, `(batch, hidden)` each, that of the encoder's layer at its end, two directions side by side.
        """
        embedded = self.dropout(self._embed(self.source_embedding, source))
        packed = pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=False)
        ends: list[tuple[Tensor, ...]] = []
        for layer in self.encoder:
            packed, end = layer(packed)
            parts = end if isinstance(end, tuple) else (end,)
            ends.append(tuple(part.transpose(0, 1).flatten(1).to(self.output_bias.dtype) for part in parts))
            packed = PackedSequence(
                self.dropout(packed.data), packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices
            )
        values, _ = pad_packed_sequence(packed, batch_first=True, total_length=source.shape[1])
        mask = torch.arange(source.shape[1], device=source.device) < lengths.to(source.device)[:, None]
        return Memory(values, self.attention.keys(values) if self.attention else values, mask), tuple(ends)

    def _embed(self, embedding: nn.Embedding, tokens: Tensor) -> Tensor:
        return functional.embedding(tokens, embedding.weight) * math.sqrt(self.config.embed_size)

    # Writing --------------------------------------------------------------------------------------------------

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
        memory, layers = self.encode(source, lengths)
        cells, (weight, feed) = self.cell_weights(), self.input_weights()
        embedded = self.dropout(self._embed(self.target_matrix, target))
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
        """The first decoder layer's input matrix in two: for the token, and for what was attended to last."""
        whole = self.decoder[0].get_parameter("weight_ih_l0").t()
        return whole[: self.config.embed_size], whole[self.config.embed_size :]

    def advance(self, cells: Sequence[CellWeights], x: Tensor, layers: Layers) -> Layers:
        """Move every layer by one step; `x` is the input's share of the first layer's gates."""
        after: list[tuple[Tensor, ...]] = []
        for cell, before in zip(cells, layers, strict=True):
            if after:
                x = cell.inputs(self.dropout(after[-1][0]))
            after.append(cell.step(x, before))
        return tuple(after)

    def attend(self, hidden: Tensor, memory: Memory) -> tuple[Tensor, Tensor | None]:
        """From hidden states `(batch, target, hidden)` to what the output layer sees, `(batch, target, embed)`.

        Returns:
            tuple[Tensor, Tensor | None]: these, and the attention weights `(batch, target, source)`, if there is any.
        """
        seen, weights = self.look(hidden, memory)
        return self.readout(seen).tanh(), weights

    def look(self, hidden: Tensor, memory: Memory) -> tuple[Tensor, Tensor | None]:
        """As `attend`, but without its last layer: hidden states, before them their contexts if there is attention."""
        if self.attention is None:
            return hidden, None
        context, weights = self.attention(hidden, memory.keys, memory.values, memory.mask)
        return torch.cat((context, hidden), dim=-1), weights

    @property
    def target_matrix(self) -> nn.Embedding:
        """The target's embedding, which may be the source's."""
        return self.source_embedding if self.target_embedding is None else self.target_embedding

    @property
    def output_matrix(self) -> Tensor:
        """The output layer's matrix, `(vocab, embed)`, which may be the target's embedding."""
        return self.target_matrix.weight if self.output_weight is None else self.output_weight


@dataclass(frozen=True)
class DecoderState:
    """Where some hypotheses stand, one row each.

    Args:
        layers (Layers): `(h,)` or `(h, c)` for each layer, `(rows, hidden)`.
        attended (Tensor): what was attended to last, `(rows, embed)`.
        weights (Tensor | None): attention weights of the last token, `(rows, source)`.
        sentence (Tensor): which source each row translates, `(rows,)`.
        memory (Memory): of all sources; rows do not copy it.
    """

    layers: Layers
    attended: Tensor
    weights: Tensor | None
    sentence: Tensor
    memory: Memory


class Seq2SeqStep:
    """The `Step` of a `Seq2Seq`.

    Args:
        network (Seq2Seq): in evaluation mode. The matrices of the decoder are copied, the rest is shared.
        dtype (torch.dtype | None): of the decoder's products, None: the weights' own; the output layer stays as it is.
    """

    def __init__(self, network: Seq2Seq, dtype: torch.dtype | None = None) -> None:
        self._network = network
        with torch.inference_mode():
            first, *above = network.cell_weights()
            weight, feed = network.input_weights()
            arrange = partial(pack, dtype=dtype)
            self._cells = [cell.packed(arrange) for cell in (replace(first, input_weight=weight), *above)]
            self._feed = arrange(feed) if network.config.input_feeding else feed
            self._readout, self._output = arrange(network.readout.weight.t()), pack(network.output_matrix.t())
            self._table = None
            if network.vocab_size * first.input_bias.numel() <= MAX_TABLE:
                self._table = self._inputs(torch.arange(network.vocab_size, device=weight.device))

    def _inputs(self, tokens: Tensor) -> Tensor:
        return self._cells[0].inputs(self._network._embed(self._network.target_matrix, tokens))

    @torch.inference_mode()
    def start(self, source: Tensor, lengths: Tensor) -> DecoderState:
        """Read sources, `(batch, source)` and `(batch,)` as for `Seq2Seq.encode`; one row for each."""
        memory, layers = self._network.encode(source, lengths)
        rows = torch.arange(len(source), device=source.device)
        attended = memory.values.new_zeros(len(source), self._network.config.embed_size)
        weights = None
        if self._network.attention is not None:
            weights = memory.values.new_zeros(source.shape)
        return DecoderState(layers, attended, weights, rows, memory)

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Log-probabilities `(rows, vocab)` after the last tokens `(rows,)`, and the new state."""
        network = self._network
        x = self._inputs(tokens) if self._table is None else self._table[tokens]
        if network.config.input_feeding:
            x = add_product(x, state.attended, self._feed)
        layers = network.advance(self._cells, x, state.layers)
        seen, weights = self._look(layers[-1][0], state)
        attended = product(seen, self._readout).tanh()
        logits = add_product(network.output_bias, attended, self._output)
        return logits.log_softmax(dim=-1), replace(state, layers=layers, attended=attended, weights=weights)

    def _look(self, hidden: Tensor, state: DecoderState) -> tuple[Tensor, Tensor | None]:
        """As `Seq2Seq.look`, for rows; those of a sentence look at one copy of its memory if they stand together.

        That is so in a beam: otherwise every row needs a copy of its own, which takes a quarter of the time.
        """
        if self._network.attention is None:
            return hidden, None
        sentences, counts = torch.unique_consecutive(state.sentence, return_counts=True)
        width = len(hidden) // max(len(sentences), 1)
        if bool((counts != width).any()):
            sentences, width = state.sentence, 1
        memory = state.memory.of(sentences)
        seen, weights = self._network.look(hidden.view(len(sentences), width, hidden.shape[1]), memory)
        return seen.flatten(0, 1), None if weights is None else weights.flatten(0, 1)

    def reorder(self, state: DecoderState, index: Tensor) -> DecoderState:
        """The state of the rows `index`; the memory stays where it is."""
        return replace(
            state,
            layers=tuple(tuple(part[index] for part in layer) for layer in state.layers),
            attended=state.attended[index],
            weights=None if state.weights is None else state.weights[index],
            sentence=state.sentence[index],
        )

    def join(self, states: Sequence[DecoderState]) -> DecoderState:
        """All rows of several states of the same sources."""
        layers = zip(*(state.layers for state in states), strict=True)
        weights = [state.weights for state in states if state.weights is not None]
        return replace(
            states[0],
            layers=tuple(tuple(map(torch.cat, zip(*parts, strict=True))) for parts in layers),
            attended=torch.cat([state.attended for state in states]),
            weights=torch.cat(weights) if weights else None,
            sentence=torch.cat([state.sentence for state in states]),
        )

    def attention(self, state: DecoderState) -> Tensor | None:
        """What the last token of each row paid to each source token, `(rows, source)`, if there is attention."""
        return state.weights
