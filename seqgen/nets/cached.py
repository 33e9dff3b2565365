"""Transformers one token at a time: the keys and values of what was read are kept, not computed again.

The tokens of a hypothesis never change, so neither do their keys and values in any layer: a step computes those of one
new token, and attends with its query to all. `seqgen.nets.transformer_steps` has what a search sees of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seqgen.nets.positions import Positions, Rotation, rotate
from seqgen.nets.products import Matrix, add_product, pack
from seqgen.nets.transformer import KeysValues, Layer, Stack, TokenEmbedding, mix

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
    """A layer for single tokens, its matrices in the order in which products of a few rows read them fastest."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self.attention = own = layer.attention
        self._inputs = pack(torch.cat((own.query.weight, own.key_value.weight)).t())
        self._inputs_bias = torch.cat((own.query.bias, own.key_value.bias))
        self._output, self._inner, self._outer = (
            pack(matrix.weight.t()) for matrix in (own.output, layer.feed_forward.inner, layer.feed_forward.outer)
        )
        if layer.cross is not None:
            self._ask = pack(layer.cross.query.weight.t())
            self._answer = pack(layer.cross.output.weight.t())

    def read(self, x: Tensor, cache: Cache, number: int, turn: Rotation | None, mask: Tensor | None) -> Tensor:
        """Self-attention: `(rows, embed)` to the same; the keys and values of the new tokens go into the cache."""
        own, norm = self.attention, self._layer.attention_norm
        both = add_product(self._inputs_bias, norm(x) if self._layer.pre else x, self._inputs)
        queries, new = both[:, : x.shape[1]].view(len(x), own.num_heads, 1, own.head_size), both[:, x.shape[1] :]
        if turn is not None:
            keys, values = new.chunk(2, dim=1)
            keys = rotate(keys.view(len(x), own.kv_heads, 1, own.head_size), turn).flatten(1)
            queries, new = rotate(queries, turn), torch.cat((keys, values), dim=1)
        cache.write(number, new)
        stored = cache.stored[: cache.longest + 1, number]
        k, v = stored.view(*stored.shape[:2], 2, own.kv_heads, own.head_size).permute(2, 1, 3, 0, 4)
        return self._add(x, mix(queries, KeysValues(k, v, mask)).flatten(1), self._output, own.output.bias, norm)

    def look(self, x: Tensor, seen: KeysValues) -> tuple[Tensor, Tensor]:
        """Cross-attention: `(rows, embed)` to the same, and the queries `(sources, heads, rows / sources, head)`."""
        cross, norm = self._layer.cross, self._layer.cross_norm
        assert cross is not None  # only the layers of a decoder are given a memory
        assert norm is not None
        asked = add_product(cross.query.bias, norm(x) if self._layer.pre else x, self._ask)
        asked = asked.view(len(seen.keys), -1, cross.num_heads, cross.head_size).transpose(1, 2)
        found = mix(asked, seen).transpose(1, 2).reshape(len(x), -1)
        return self._add(x, found, self._answer, cross.output.bias, norm), asked

    def transform(self, x: Tensor) -> Tensor:
        """The feed-forward part: `(rows, embed)` to the same."""
        part, norm = self._layer.feed_forward, self._layer.feed_forward_norm
        inner = part.activate(add_product(part.inner.bias, norm(x) if self._layer.pre else x, self._inner))
        return self._add(x, inner, self._outer, part.outer.bias, norm)

    def _add(self, x: Tensor, part: Tensor, matrix: Matrix, bias: Tensor, norm: Callable[[Tensor], Tensor]) -> Tensor:
        """`x + part @ matrix + bias`, normalised if that comes last."""
        total = add_product(x + bias, part, matrix)
        return total if self._layer.pre else norm(total)


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
        attention = self._layers[0].attention
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
        for number, layer in enumerate(self._layers):
            x = layer.read(x, cache, number, turn, mask)
            if memory:
                x, asked = layer.look(x, memory[number])
            x = layer.transform(x)
        logits = add_product(self._output_bias, self._stack.norm(x), self._output)
        return logits.log_softmax(dim=-1), cache.with_token(), asked
