"""A Transformer's layer for tokens without shape, `(tokens, embed)`: fast products for a search, no gradients.

The weights are those of `seqgen.nets.transformer.Layer`, copied into the order in which products read them fastest
(`seqgen.nets.products`). `seqgen.nets.cached` runs such layers on one token of each row,
`seqgen.nets.packed_encoder` on all tokens of some sources.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqgen.nets.positions import Rotation, rotate
from seqgen.nets.products import Matrix, add_product, pack
from seqgen.nets.transformer import KeysValues, Layer, mix


class PackedLayer:
    """The parts of a layer, each with its normalisation and what it is added to.

    Args:
        layer (Layer): in evaluation mode.
    """

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

    def project(self, x: Tensor, turn: Rotation | None) -> tuple[Tensor, Tensor]:
        """Queries `(tokens, embed)`, and keys and values `(tokens, 2 * kv)`, turned to their positions."""
        own = self.attention
        both = add_product(self._inputs_bias, self._entering(x, self._layer.attention_norm), self._inputs)
        queries, new = both[:, : x.shape[1]], both[:, x.shape[1] :]
        if turn is not None:
            queries = rotate(queries.reshape(len(x), -1, own.head_size).transpose(0, 1), turn)
            keys, values = new.chunk(2, dim=1)
            keys = rotate(keys.reshape(len(x), -1, own.head_size).transpose(0, 1), turn)
            queries, new = queries.transpose(0, 1).flatten(1), torch.cat((keys.transpose(0, 1).flatten(1), values), 1)
        return queries, new

    def absorb(self, x: Tensor, found: Tensor) -> Tensor:
        """`x` and what its self-attention found, both `(tokens, embed)`."""
        return self._add(x, found, self._output, self.attention.output.bias, self._layer.attention_norm)

    def look(self, x: Tensor, seen: KeysValues) -> tuple[Tensor, Tensor]:
        """Cross-attention: `(tokens, embed)` to the same; the queries `(sources, heads, tokens / sources, head)`."""
        cross, norm = self._layer.cross, self._layer.cross_norm
        assert cross is not None  # only the layers of a decoder are given a memory
        assert norm is not None
        asked = add_product(cross.query.bias, self._entering(x, norm), self._ask)
        asked = asked.view(len(seen.keys), -1, cross.num_heads, cross.head_size).transpose(1, 2)
        found = mix(asked, seen).transpose(1, 2).reshape(len(x), -1)
        return self._add(x, found, self._answer, cross.output.bias, norm), asked

    def transform(self, x: Tensor) -> Tensor:
        """The feed-forward part: `(tokens, embed)` to the same."""
        part, norm = self._layer.feed_forward, self._layer.feed_forward_norm
        inner = part.activate(add_product(part.inner.bias, self._entering(x, norm), self._inner))
        return self._add(x, inner, self._outer, part.outer.bias, norm)

    def _entering(self, x: Tensor, norm: Callable[[Tensor], Tensor]) -> Tensor:
        return norm(x) if self._layer.pre else x

    def _add(self, x: Tensor, part: Tensor, matrix: Matrix, bias: Tensor, norm: Callable[[Tensor], Tensor]) -> Tensor:
        """`x + part @ matrix + bias`, normalised if that comes last."""
        total = add_product(x, part, matrix, bias)
        return total if self._layer.pre else norm(total)
