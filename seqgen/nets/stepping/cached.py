"""Transformers one token at a time: the keys and values of what was read are kept, not computed again.

The tokens of a hypothesis never change, so neither do their keys and values in any layer: a step computes those of
one new token, and attends with its query to all. `seqgen.nets.stepping.cache` keeps them;
`seqgen.nets.stepping.transformer` makes steps of it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from seqgen.nets.products import add_product, reordered
from seqgen.nets.stepping.cache import Cache
from seqgen.nets.stepping.reordered_layer import ReorderedLayer
from seqgen.nets.transformer.attention import KeysValues, mix
from seqgen.nets.transformer.layers import Stack, TokenEmbedding, run_parts
from seqgen.nets.transformer.positions import Positions


class CachedLayers:
    """Embedding, layers and output layer for single tokens of many rows.

    Args:
        stack (Stack): the decoder's layers.
        embedding (TokenEmbedding): of its tokens.
        positions (Positions): of its tokens.
        output_matrix (Tensor): of the output layer, `(vocab, embed)`.
        output_bias (Tensor): of the output layer.
        dtype (torch.dtype | None): of the layers' products, None: the weights' own; the output layer stays as it is.
    """

    def __init__(
        self,
        stack: Stack,
        embedding: TokenEmbedding,
        positions: Positions,
        output_matrix: Tensor,
        output_bias: Tensor,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._embedding, self._positions = copy.deepcopy(embedding).eval(), copy.deepcopy(positions)
        self._norm = copy.deepcopy(stack.norm)
        with torch.inference_mode():
            self._layers = [ReorderedLayer(layer, dtype) for layer in stack]
            self._output, self._output_bias = reordered(output_matrix.t()), output_bias.clone()

    def empty(self, rows: int) -> Cache:
        """The cache of rows without tokens."""
        attention = self._layers[0].attention
        size = (2, attention.kv_heads, attention.head_size)
        return Cache.empty(self._output_bias.new_empty(len(self._layers), rows, 1, *size))

    def advance(
        self, tokens: Tensor, cache: Cache, memory: Sequence[KeysValues] = ()
    ) -> tuple[Tensor, Cache, Tensor | None]:
        """Read one token in every row.

        Args:
            tokens (Tensor): `(rows,)`.
            cache (Cache): of the tokens before.
            memory (Sequence[KeysValues]): what the layers of a decoder attend to, for sources whose rows stand
                together, as many for each.

        Returns:
            tuple[Tensor, Cache, Tensor | None]: log-probabilities `(rows, vocab)`; the cache with this token; and the
            last layer's queries to the source, `(sources, heads, rows / sources, head)`, if there is one.
        """
        positions, dtype = cache.lengths[:1] if cache.even else cache.lengths, self._output_bias.dtype
        cache = cache.grown()
        x = self._embedding(tokens, self._positions.added(positions, dtype))
        turn = self._positions.rotation(positions, dtype)
        source_queries: Tensor | None = None
        for number, layer in enumerate(self._layers):

            def attend(y: Tensor, layer: ReorderedLayer = layer, number: int = number) -> Tensor:
                queries, new = layer.project(y, turn)
                queries = queries.view(cache.groups, -1, layer.attention.num_heads, layer.attention.head_size)
                return mix(queries.transpose(1, 2), cache.write(number, new)).transpose(1, 2).reshape(y.shape)

            def attend_source(y: Tensor, layer: ReorderedLayer = layer, number: int = number) -> Tensor:
                nonlocal source_queries
                found, source_queries = layer.attend_source(y, memory[number])
                return found

            x = run_parts(layer.parts(attend, attend_source if memory else None), x, pre=layer.pre)
        logits = add_product(self._output_bias, self._norm(x), self._output)
        # In place: a table of thousands of tokens for hundreds of rows is large, and new memory is slow.
        return torch.log_softmax(logits, dim=-1, out=logits), cache, source_queries
