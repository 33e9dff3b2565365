"""A recurrent encoder-decoder, one target token at a time for many hypotheses."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from seqgen.nets.products import add_product, product, reordered
from seqgen.nets.recurrent.decoder import EncoderDecoder, Memory
from seqgen.nets.recurrent.encoder import Layers
from seqgen.nets.stepping.recurrent import MAX_TABLE


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
    """The `Step` of a recurrent encoder-decoder.

    Args:
        network (EncoderDecoder): is copied.
        dtype (torch.dtype | None): of the decoder's products, None: the weights' own; the output layer stays as it is.
    """

    def __init__(self, network: EncoderDecoder, dtype: torch.dtype | None = None) -> None:
        self._network = network = copy.deepcopy(network).eval()
        with torch.inference_mode():
            first, *above = network.cell_weights()
            weight, feed = network.input_weights()
            arrange = partial(reordered, dtype=dtype)
            self._cells = [cell.laid_out(arrange) for cell in (replace(first, input_weight=weight), *above)]
            self._feed = arrange(feed) if network.config.input_feeding else feed
            self._readout, self._output = arrange(network.readout.weight.t()), reordered(network.output_matrix.t())
            self._table = None
            if network.vocab_size * first.input_bias.numel() <= MAX_TABLE:
                self._table = self._inputs(torch.arange(network.vocab_size, device=weight.device))

    def _inputs(self, tokens: Tensor) -> Tensor:
        return self._cells[0].inputs(self._network.embed(self._network.target_matrix, tokens))

    @torch.inference_mode()
    def start(self, source: Tensor, lengths: Tensor) -> DecoderState:
        """Read sources, as for `EncoderDecoder.encode`; one row for each."""
        memory, layers = self._network.encode(source, lengths)
        rows = torch.arange(len(source), device=source.device)
        attended = memory.values.new_zeros(len(source), self._network.config.embed_size)
        weights = None
        if self._network.attention is not None:
            weights = memory.values.new_zeros(memory.mask.shape)
        return DecoderState(layers, attended, weights, rows, memory)

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Log-probabilities `(rows, vocab)` after the last tokens `(rows,)`, and the new state."""
        network = self._network
        x = self._inputs(tokens) if self._table is None else self._table[tokens]
        if network.config.input_feeding:
            x = add_product(x, state.attended, self._feed)
        layers = network.advance(self._cells, x, state.layers)
        read, weights = self._contexts(layers[-1][0], state)
        attended = product(read, self._readout).tanh()
        logits = add_product(network.output_bias, attended, self._output)
        return logits.log_softmax(dim=-1), replace(state, layers=layers, attended=attended, weights=weights)

    def _contexts(self, hidden: Tensor, state: DecoderState) -> tuple[Tensor, Tensor | None]:
        """As `EncoderDecoder.contexts`, for rows; those of one source share its memory if they stand together.

        That is so in a beam: otherwise every row needs a copy of its own, which takes a quarter of the time.
        """
        if self._network.attention is None:
            return hidden, None
        sentences, counts = torch.unique_consecutive(state.sentence, return_counts=True)
        width = len(hidden) // max(len(sentences), 1)
        if bool((counts != width).any()):
            sentences, width = state.sentence, 1
        memory = state.memory.of(sentences)
        read, weights = self._network.contexts(hidden.view(len(sentences), width, hidden.shape[1]), memory)
        return read.flatten(0, 1), None if weights is None else weights.flatten(0, 1)

    def reorder(self, state: DecoderState, index: Tensor) -> DecoderState:
        """The state of the rows `index`, `(new_rows,)`; the memory stays where it is."""
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
