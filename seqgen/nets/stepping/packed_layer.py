"""A Transformer's layer for tokens without shape, `(tokens, embed)`: fast products for a search, no gradients.

The weights are those of `seqgen.nets.transformer.layers.Layer`, copied into the order in which products read them
fastest (`seqgen.nets.products`). `seqgen.nets.stepping.cached` runs such layers on one token of each row,
`seqgen.nets.stepping.packed_encoder` on all tokens of some sources.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.nets.products import PackedLinear
from seqgen.nets.transformer.layers import KeysValues, Layer, mix
from seqgen.nets.transformer.positions import Rotation, rotate

Norm = Callable[[Tensor], Tensor]


class PackedLayer:
    """The parts of a layer, each with its normalisation and what it is added to.

    Args:
        layer (Layer): in evaluation mode.
        dtype (torch.dtype | None): of the products; None: the weights' own.
    """

    def __init__(self, layer: Layer, dtype: torch.dtype | None) -> None:
        linear = partial(PackedLinear, dtype=dtype)
        self._pre, self._part, self.attention = layer.pre, layer.feed_forward, layer.attention
        self._inputs = linear(self.attention.query, self.attention.key_value)
        self._output = linear(self.attention.output)
        self._attention_norm, self._part_norm = packed_norm(layer.attention_norm), packed_norm(layer.feed_forward_norm)
        self._inner, self._outer = linear(self._part.inner), linear(self._part.outer)
        self._relu = self._part.activation is functional.relu
        if layer.cross is not None and layer.cross_norm is not None:
            self._heads, self._cross_norm = layer.cross.num_heads, packed_norm(layer.cross_norm)
            self._ask, self._answer = linear(layer.cross.query), linear(layer.cross.output)

    def project(self, x: Tensor, turn: Rotation | None) -> tuple[Tensor, Tensor]:
        """Queries `(tokens, embed)`, and keys and values `(tokens, 2 * kv)`, turned to their positions."""
        both = self._inputs(self._entering(x, self._attention_norm))
        queries, new = both[:, : x.shape[1]], both[:, x.shape[1] :]
        if turn is not None:
            size = self.attention.head_size
            queries = rotate(queries.reshape(len(x), -1, size).transpose(0, 1), turn)
            keys, values = new.chunk(2, dim=1)
            keys = rotate(keys.reshape(len(x), -1, size).transpose(0, 1), turn)
            queries, new = queries.transpose(0, 1).flatten(1), torch.cat((keys.transpose(0, 1).flatten(1), values), 1)
        return queries, new

    def absorb(self, x: Tensor, found: Tensor) -> Tensor:
        """`x` and what its self-attention found, both `(tokens, embed)`."""
        return self._leaving(self._output.added(x, found), self._attention_norm)

    def look(self, x: Tensor, seen: KeysValues) -> tuple[Tensor, Tensor]:
        """Cross-attention: `(tokens, embed)` to the same; the queries `(sources, heads, tokens / sources, head)`."""
        asked = self._ask(self._entering(x, self._cross_norm))
        asked = asked.view(seen.keys.shape[0], -1, self._heads, seen.keys.shape[3]).transpose(1, 2)
        found = mix(asked, seen).transpose(1, 2).reshape(x.shape)
        return self._leaving(self._answer.added(x, found), self._cross_norm), asked

    def transform(self, x: Tensor) -> Tensor:
        """The feed-forward part: `(tokens, embed)` to the same."""
        inner = self._inner(self._entering(x, self._part_norm), relu=self._relu)
        inner = inner if self._relu else self._part.activate(inner)
        return self._leaving(self._outer.added(x, inner), self._part_norm)

    def _entering(self, x: Tensor, norm: Norm) -> Tensor:
        return norm(x) if self._pre else x

    def _leaving(self, total: Tensor, norm: Norm) -> Tensor:
        return total if self._pre else norm(total)


def packed_norm(norm: nn.LayerNorm) -> Norm:
    """A copy without the cost of calling a module, which for a few rows exceeds that of the arithmetic."""
    weight, bias = norm.weight.detach().clone(), norm.bias.detach().clone()
    return partial(torch.layer_norm, normalized_shape=norm.normalized_shape, weight=weight, bias=bias, eps=norm.eps)
