"""A Transformer's layer for tokens without shape, `(tokens, embed)`: fast products for a search, no gradients.

The weights are those of `seqgen.nets.transformer.layers.Layer`, copied into the order in which products read them
fastest (`seqgen.nets.products`). `seqgen.nets.stepping.cached` runs such layers on one token of each row,
`seqgen.nets.stepping.encoder` on all tokens of some sources.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.nets.products import ReorderedLinear
from seqgen.nets.transformer.attention import KeysValues, mix
from seqgen.nets.transformer.layers import Layer, Map, Part
from seqgen.nets.transformer.positions import Rotation, rotate


class ReorderedLayer:
    """A layer for `seqgen.nets.transformer.layers.run_parts`.

    Args:
        layer (Layer): its weights are copied.
        dtype (torch.dtype | None): of the products; None: the weights' own.
    """

    def __init__(self, layer: Layer, dtype: torch.dtype | None) -> None:
        linear = partial(ReorderedLinear, dtype=dtype)
        self.pre, self._part, self.attention = layer.pre, layer.feed_forward, layer.attention
        self._attention_norm, self._feed_forward_norm = (
            plain_norm(layer.attention_norm),
            plain_norm(layer.feed_forward_norm),
        )
        self.cross_norm = None
        self._inputs = linear(self.attention.query, self.attention.key_value)
        self._output = linear(self.attention.output)
        self._inner, self._outer = linear(self._part.inner), linear(self._part.outer)
        self._relu = self._part.activation is functional.relu
        if layer.cross is not None and layer.cross_norm is not None:
            self._heads, self._cross_norm = layer.cross.num_heads, plain_norm(layer.cross_norm)
            self._cross_query, self._cross_output = linear(layer.cross.query), linear(layer.cross.output)

    def project(self, y: Tensor, turn: Rotation | None) -> tuple[Tensor, Tensor]:
        """Queries `(tokens, embed)`, and keys and values `(tokens, 2 * kv)`, turned to their positions."""
        both = self._inputs(y)
        queries, new = both[:, : y.shape[1]], both[:, y.shape[1] :]
        if turn is not None:
            size = self.attention.head_size
            queries = rotate(queries.reshape(len(y), -1, size).transpose(0, 1), turn)
            keys, values = new.chunk(2, dim=1)
            keys = rotate(keys.reshape(len(y), -1, size).transpose(0, 1), turn)
            queries, new = queries.transpose(0, 1).flatten(1), torch.cat((keys.transpose(0, 1).flatten(1), values), 1)
        return queries, new

    def attend_source(self, y: Tensor, memory: KeysValues) -> tuple[Tensor, Tensor]:
        """What tokens `(tokens, embed)` find in sources, of the same shape, and their queries.

        Returns:
            tuple[Tensor, Tensor]: these, and queries `(sources, heads, tokens / sources, head)`.
        """
        queries = self._cross_query(y).view(memory.keys.shape[0], -1, self._heads, memory.keys.shape[3]).transpose(1, 2)
        return mix(queries, memory).transpose(1, 2).reshape(y.shape), queries

    def parts(self, attend: Map, attend_source: Map | None = None) -> Iterator[Part]:
        """The layer's parts for tokens `(tokens, embed)`, as `run_parts` takes them.

        Args:
            attend (Map): what self-attention finds, heads side by side.
            attend_source (Map | None): the same of the attention to an encoder.
        """
        yield Part(attend, self._output.added, self._attention_norm)
        if attend_source is not None and self._cross_norm is not None:
            yield Part(attend_source, self._cross_output.added, self._cross_norm)
        yield Part(self._feed, self._outer.added, self._feed_forward_norm)

    def _feed(self, y: Tensor) -> Tensor:
        inner = self._inner(y, relu=self._relu)
        return inner if self._relu else self._part.activate(inner)


def plain_norm(norm: nn.LayerNorm) -> Map:
    """A copy for `(tokens, embed)` without the cost of calling a module, more than the arithmetic of a few rows."""
    weight, bias = norm.weight.detach().clone(), norm.bias.detach().clone()
    return partial(torch.layer_norm, normalized_shape=norm.normalized_shape, weight=weight, bias=bias, eps=norm.eps)
