"""Transformers one token at a time: the keys and values of what was read are kept, not computed again.

The tokens of a hypothesis never change, so neither do their keys and values in any layer: a step computes those of one
new token, and attends with its query to all. `CachedLayers` does that for many rows at once, `TextStep` and
`TranslationStep` are what a search sees of it (`seqgen.decode.step.Step`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seqgen.nets.positions import Positions, rotate
from seqgen.nets.products import Matrix, add_product, pack
from seqgen.nets.transformer import KeysValues, Layer, MultiHeadAttention, Stack, TokenEmbedding, attention_weights, mix

# Room for this many more tokens is made at a time.
ROOM = 16


@dataclass(frozen=True)
class Cache:
    """Keys and values of all layers for the tokens of some rows; a step writes into the room at its end.

    Args:
        stored (Tensor): `(capacity, layers, rows, 2 * kv)`; time first, so that one token's share is contiguous.
        lengths (Tensor): how many tokens each row has, `(rows,)`.
        longest (int): the greatest of these.
        even (bool): whether all are the same.
    """

    stored: Tensor
    lengths: Tensor
    longest: int = 0
    even: bool = True

    def with_room(self) -> Cache:
        """The same with room for one more token."""
        if self.longest < len(self.stored):
            return self
        return replace(self, stored=torch.cat((self.stored, self._room(ROOM, self.stored.shape[2]))))

    def _room(self, time: int, rows: int) -> Tensor:
        """New places; those that a short row hides must hold numbers, for no weight hides what is not one."""
        make = self.stored.new_empty if self.even else self.stored.new_zeros
        return make(time, self.stored.shape[1], rows, self.stored.shape[3])

    def write(self, layer: int, new: Tensor) -> None:
        """Put the keys and values `(rows, 2 * kv)` of each row's next token in their place."""
        if self.even:
            self.stored[self.longest, layer] = new
        else:
            self.stored[self.lengths, layer, torch.arange(len(new), device=new.device)] = new

    def with_token(self) -> Cache:
        """After a token was written in every layer."""
        return replace(self, lengths=self.lengths + 1, longest=self.longest + 1)

    def mask(self) -> Tensor | None:
        """Where the rows have tokens, the one being written included, `(rows, 1, 1, time)`; None: everywhere."""
        if self.even:
            return None
        places = torch.arange(self.longest + 1, device=self.lengths.device)
        return (places <= self.lengths[:, None])[:, None, None]

    def rows(self, index: Tensor) -> Cache:
        """A copy of the rows `index`, with room for one more token."""
        lengths = self.lengths[index]
        longest = self.longest if self.even else int(lengths.max()) if len(lengths) else 0
        # A beam moves its rows after each token: more room would never be used, and large blocks come from the system
        # anew each time, with a page fault for every 4 KB.
        stored = self._room(longest + 1, len(index))
        torch.index_select(self.stored[:longest], 2, index, out=stored[:longest])
        return Cache(stored, lengths, longest, self.even or bool((lengths == longest).all()))

    @staticmethod
    def joined(caches: Sequence[Cache]) -> Cache:
        """All rows of several caches, in order."""
        longest = max(cache.longest for cache in caches)
        lengths = torch.cat([cache.lengths for cache in caches])
        first = caches[0].stored
        stored = first.new_zeros(longest + ROOM, first.shape[1], len(lengths), first.shape[3])
        begin = 0
        for cache in caches:
            end = begin + len(cache.lengths)
            stored[: cache.longest, :, begin:end] = cache.stored[: cache.longest]
            begin = end
        return Cache(stored, lengths, longest, bool((lengths == longest).all()))


class _PackedLayer:
    """A layer's matrices in the order in which products of a few rows read them fastest."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        own = layer.attention
        inputs = torch.cat((own.query.weight, own.key_value.weight))
        self.inputs, self.inputs_bias = pack(inputs.t()), torch.cat((own.query.bias, own.key_value.bias))
        self.output = pack(own.output.weight.t())
        self.inner, self.outer = (pack(m.weight.t()) for m in (layer.feed_forward.inner, layer.feed_forward.outer))
        self.cross_query: Matrix | None = None
        if layer.cross is not None:
            self.cross_query, self.cross_output = (
                pack(layer.cross.query.weight.t()),
                pack(layer.cross.output.weight.t()),
            )


class CachedLayers:
    """Embedding, layers and output layer for single tokens of many rows.

    Args:
        stack (Stack): the decoder's layers, in evaluation mode.
        embedding (TokenEmbedding): of its tokens.
        positions (Positions): of its tokens.
        output_matrix (Tensor): of the output layer, `(vocab, embed)`.
        output_bias (Tensor): of the output layer.
    """

    def __init__(
        self,
        stack: Stack,
        embedding: TokenEmbedding,
        positions: Positions,
        output_matrix: Tensor,
        output_bias: Tensor,
    ) -> None:
        self._stack, self._embedding, self._positions = stack, embedding, positions
        with torch.inference_mode():
            self._layers = [_PackedLayer(layer) for layer in stack]
            self._output, self._output_bias = pack(output_matrix.t()), output_bias.clone()

    def empty(self, rows: int) -> Cache:
        """The cache of rows without tokens."""
        attention = self._layers[0].layer.attention
        size = 2 * attention.kv_heads * attention.head_size
        stored = self._output_bias.new_empty(0, len(self._layers), rows, size)
        return Cache(stored, torch.zeros(rows, dtype=torch.long, device=stored.device))

    def advance(
        self, tokens: Tensor, cache: Cache, memory: Sequence[KeysValues] = ()
    ) -> tuple[Tensor, Cache, Tensor | None]:
        """Read one token in every row.

        Args:
            tokens (Tensor): `(rows,)`.
            cache (Cache): of the tokens before; what is written into it is of no use to another call.
            memory (Sequence[KeysValues]): what the layers of a decoder look at, for sources whose rows stand together,
                as many for each.

        Returns:
            tuple[Tensor, Cache, Tensor | None]: log-probabilities `(rows, vocab)`; the cache with this token; and the
            last layer's queries to the source, `(sources, heads, rows / sources, head)`, if there is one.
        """
        cache = cache.with_room()
        positions = cache.lengths[:1] if cache.even else cache.lengths
        x = self._embedding(tokens, self._positions.added(positions))
        turn, mask = self._positions.rotation(positions[:, None]), cache.mask()
        if turn is not None:
            turn = (turn[0][:, None], turn[1][:, None])
        asked: Tensor | None = None
        for i, packed in enumerate(self._layers):
            layer = packed.layer
            y = layer.attention_norm(x) if layer.pre else x
            mixed = self._attend(i, packed, y, cache, turn, mask)
            x = self._sum(layer, x, mixed, packed.output, layer.attention.output.bias, layer.attention_norm)
            if layer.cross is not None and layer.cross_norm is not None and packed.cross_query is not None:
                y = layer.cross_norm(x) if layer.pre else x
                q = add_product(layer.cross.query.bias, y, packed.cross_query)
                asked = q.view(len(memory[i].keys), -1, *_heads(layer.cross)).transpose(1, 2)
                mixed = mix(asked, memory[i]).transpose(1, 2).reshape(len(x), -1)
                x = self._sum(layer, x, mixed, packed.cross_output, layer.cross.output.bias, layer.cross_norm)
            part = layer.feed_forward
            y = layer.feed_forward_norm(x) if layer.pre else x
            inner = part.activate(add_product(part.inner.bias, y, packed.inner))
            x = self._sum(layer, x, inner, packed.outer, part.outer.bias, layer.feed_forward_norm)
        logits = add_product(self._output_bias, self._stack.norm(x), self._output)
        return logits.log_softmax(dim=-1), cache.with_token(), asked

    def _attend(
        self,
        number: int,
        packed: _PackedLayer,
        y: Tensor,
        cache: Cache,
        turn: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Self-attention of one new token in every row, `(rows, embed)`, without its last matrix."""
        attention = packed.layer.attention
        both = add_product(packed.inputs_bias, y, packed.inputs)
        size = y.shape[1]
        q, new = both[:, :size].view(len(y), *_heads(attention))[:, :, None], both[:, size:]
        if turn is not None:
            k = new[:, : new.shape[1] // 2].reshape(len(y), attention.kv_heads, 1, attention.head_size)
            q, new = rotate(q, turn), torch.cat((rotate(k, turn).flatten(1), new[:, new.shape[1] // 2 :]), dim=1)
        cache.write(number, new)
        stored = cache.stored[: cache.longest + 1, number]
        k, v = stored.view(*stored.shape[:2], 2, attention.kv_heads, attention.head_size).permute(2, 1, 3, 0, 4)
        return mix(q, KeysValues(k, v, mask)).flatten(1)

    @staticmethod
    def _sum(
        layer: Layer, x: Tensor, part: Tensor, matrix: Matrix, bias: Tensor, norm: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """`x + part @ matrix + bias`, normalised if that comes last."""
        total = add_product(x + bias, part, matrix)
        return total if layer.pre else norm(total)


def _heads(attention: MultiHeadAttention) -> tuple[int, int]:
    return attention.num_heads, attention.head_size


@dataclass(frozen=True)
class TextState:
    """Where some texts stand.

    Args:
        cache (Cache): of the tokens that the network still sees.
        tokens (Tensor): these tokens, `(rows, time)`.
    """

    cache: Cache
    tokens: Tensor


class TextStep:
    """The `Step` of a language model. When its context is full it goes on with the latter half of it.

    Args:
        layers (CachedLayers): the network.
        context (int): how many tokens it sees at most.
    """

    def __init__(self, layers: CachedLayers, context: int) -> None:
        self._layers, self._context = layers, context

    @torch.inference_mode()
    def start(self, tokens: Tensor) -> tuple[Tensor, TextState]:
        """Read prompts.

        Args:
            tokens (Tensor): token ids `(batch, time)`, at least one each; only the last `context` count.

        Returns:
            tuple[Tensor, TextState]: log-probabilities `(batch, vocab)` of what follows, and the state there.
        """
        tokens = tokens[:, -self._context :]
        cache = self._layers.empty(len(tokens))
        for column in tokens.t():
            log_probs, cache, _ = self._layers.advance(column, cache)
        return log_probs, TextState(cache, tokens)

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, state: TextState) -> tuple[Tensor, TextState]:
        """Log-probabilities `(rows, vocab)` after the last tokens `(rows,)`, and the new state."""
        seen = torch.cat((state.tokens, tokens[:, None]), dim=1)
        if seen.shape[1] > self._context:
            return self.start(seen[:, -max(1, self._context // 2) :])
        log_probs, cache, _ = self._layers.advance(tokens, state.cache)
        return log_probs, TextState(cache, seen)

    def reorder(self, state: TextState, index: Tensor) -> TextState:
        """The state of the rows `index`."""
        return TextState(state.cache.rows(index), state.tokens[index])

    def join(self, states: Sequence[TextState]) -> TextState:
        """All rows of several states of texts of one length."""
        return TextState(Cache.joined([s.cache for s in states]), torch.cat([s.tokens for s in states]))


@dataclass(frozen=True)
class Sources:
    """What rows look at: some sources, whose rows stand together, as many for each.

    Args:
        numbers (Tensor): which sources, `(sources,)`.
        memory (Sequence[KeysValues]): of these, for each layer.
    """

    numbers: Tensor
    memory: Sequence[KeysValues]


@dataclass(frozen=True)
class TranslationState:
    """Where some hypotheses stand, one row each.

    Args:
        cache (Cache): of their tokens.
        sentence (Tensor): which source each row translates, `(rows,)`.
        memory (Sequence[KeysValues]): of all sources, for each layer; rows do not copy it.
        looked (Sources): what the last step looked at, or the first one will.
        asked (Tensor | None): the last layer's queries of the last step, `(rows, heads, head)`.
    """

    cache: Cache
    sentence: Tensor
    memory: Sequence[KeysValues]
    looked: Sources
    asked: Tensor | None = None


class TranslationStep:
    """The `Step` of a Transformer encoder-decoder.

    Args:
        layers (CachedLayers): the decoder.
        encode (Callable[[Tensor, Tensor], list[KeysValues]]): the encoder.
    """

    def __init__(self, layers: CachedLayers, encode: Callable[[Tensor, Tensor], list[KeysValues]]) -> None:
        self._layers, self._encode = layers, encode

    @torch.inference_mode()
    def start(self, source: Tensor, lengths: Tensor) -> TranslationState:
        """Read sources, `(batch, source)` and `(batch,)` as for the network's `encode`; one row for each."""
        memory = [
            replace(seen, keys=seen.keys.contiguous(), values=seen.values.contiguous())
            for seen in self._encode(source, lengths)
        ]
        rows = torch.arange(len(source), device=source.device)
        return TranslationState(self._layers.empty(len(source)), rows, memory, Sources(rows, memory))

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, state: TranslationState) -> tuple[Tensor, TranslationState]:
        """Log-probabilities `(rows, vocab)` after the last tokens `(rows,)`, and the new state."""
        looked = _sources(state)
        log_probs, cache, asked = self._layers.advance(tokens, state.cache, looked.memory)
        assert asked is not None  # a decoder has cross-attention
        return log_probs, replace(state, cache=cache, looked=looked, asked=asked.transpose(1, 2).flatten(0, 1))

    def reorder(self, state: TranslationState, index: Tensor) -> TranslationState:
        """The state of the rows `index`; the memory stays where it is."""
        return replace(
            state,
            cache=state.cache.rows(index),
            sentence=state.sentence[index],
            asked=None if state.asked is None else state.asked[index],
        )

    def join(self, states: Sequence[TranslationState]) -> TranslationState:
        """All rows of several states of the same sources."""
        asked = [state.asked for state in states if state.asked is not None]
        return replace(
            states[0],
            cache=Cache.joined([state.cache for state in states]),
            sentence=torch.cat([state.sentence for state in states]),
            asked=torch.cat(asked) if asked else None,
        )

    def attention(self, state: TranslationState) -> Tensor | None:
        """What the last token of each row paid to each source token, `(rows, source)`: the last layer's heads' mean."""
        if state.asked is None:
            return None
        seen = _rows_of(state.memory[-1], state.sentence)
        return attention_weights(state.asked[:, :, None], seen)[:, :, 0].mean(dim=1)


def _sources(state: TranslationState) -> Sources:
    """What the rows look at: one copy for neighbours of one sentence, none at all if it is the same as last time."""
    numbers, counts = torch.unique_consecutive(state.sentence, return_counts=True)
    if bool((counts != counts[0]).any()):
        numbers = state.sentence
    if torch.equal(numbers, state.looked.numbers):
        return state.looked
    return Sources(numbers, [_rows_of(seen, numbers) for seen in state.memory])


def _rows_of(seen: KeysValues, index: Tensor) -> KeysValues:
    return KeysValues(seen.keys[index], seen.values[index], None if seen.mask is None else seen.mask[index])
