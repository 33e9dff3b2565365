"""An encoder for a search: reordered matrices, and no work for what pads the short sources of a batch.

Only attention needs to know which tokens belong together. All else happens to each token alone, so that the tokens of
all sources go through it as one long list, and take the shape `(batch, source)` for attention only.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from seqgen.nets.products import ReorderedLinear
from seqgen.nets.stepping.reordered_layer import ReorderedLayer
from seqgen.nets.transformer.attention import KeysValues, MultiHeadAttention, additive, mix
from seqgen.nets.transformer.layers import Stack, TokenEmbedding, run_parts
from seqgen.nets.transformer.positions import Positions


class FastEncoder:
    """Reads sources as `seqgen.nets.transformer.seq2seq.TransformerSeq2Seq.encode` does.

    Args:
        stack (Stack): the encoder's layers.
        embedding (TokenEmbedding): of its tokens.
        positions (Positions): of its tokens.
        decoder (Stack): whose layers attend to the sources.
        dtype (torch.dtype | None): of the products; None: the weights' own.
    """

    def __init__(
        self,
        stack: Stack,
        embedding: TokenEmbedding,
        positions: Positions,
        decoder: Stack,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._embedding, self._positions = copy.deepcopy(embedding).eval(), copy.deepcopy(positions)
        self._norm = copy.deepcopy(stack.norm)
        with torch.inference_mode():
            self._layers = [ReorderedLayer(layer, dtype) for layer in stack]
            crossing = [layer.cross for layer in decoder if layer.cross is not None]
            self._crossing = [(ReorderedLinear(cross.key_value, dtype=dtype), cross) for cross in crossing]

    def __call__(self, source: Tensor, lengths: Tensor) -> list[KeysValues]:
        """What each layer of the decoder attends to in sources `(batch, source)` of these lengths, `(batch,)`."""
        every = torch.arange(source.shape[1], device=source.device).expand_as(source)
        mask = every < lengths.to(source.device)[:, None]
        dtype = self._embedding.weight.dtype
        tokens, positions = _Tokens(mask, dtype), every[mask]
        x = self._embedding(source[mask], self._positions.added(positions, dtype))
        turn = self._positions.rotation(positions, dtype)
        for layer in self._layers:

            def attend(y: Tensor, layer: ReorderedLayer = layer) -> Tensor:
                queries, new = layer.project(y, turn)
                queries = tokens.spread(queries, layer.attention.num_heads).transpose(1, 2)
                found = mix(queries, tokens.keys_values(new, layer.attention))
                return tokens.gather(found.transpose(1, 2).flatten(2))

            x = run_parts(layer.parts(attend), x, pre=layer.pre)
        x = self._norm(x)
        return [tokens.keys_values(project(x), cross) for project, cross in self._crossing]


class _Tokens:
    """Which positions of a batch hold tokens: from the list of these to the batch and back.

    Args:
        mask (Tensor): true where there is a token, `(batch, source)`.
        dtype (torch.dtype): of the scores that the additive mask is added to.
    """

    def __init__(self, mask: Tensor, dtype: torch.dtype) -> None:
        self._shape, self._index = mask.shape, mask.flatten().nonzero()[:, 0]
        # Without padding there is nothing to hide, and the kernel is faster.
        self._additive_mask = additive(mask[:, None, None], dtype) if len(self._index) < mask.numel() else None

    def spread(self, values: Tensor, *sizes: int) -> Tensor:
        """`(tokens, size)` to `(batch, source, *sizes, rest)`, zeros between."""
        if self._additive_mask is not None:
            batch = values.new_zeros(self._shape.numel(), values.shape[1])
            values = batch.index_copy_(0, self._index, values)
        return values.reshape(*self._shape, *sizes, -1)

    def gather(self, batch: Tensor) -> Tensor:
        """`(batch, source, size)` to `(tokens, size)`."""
        values = batch.flatten(0, 1)
        return values if self._additive_mask is None else values[self._index]

    def keys_values(self, new: Tensor, attention: MultiHeadAttention) -> KeysValues:
        """Keys and values `(tokens, 2 * kv)` as the queries of the batch attend to them."""
        keys, values = self.spread(new, 2, attention.kv_heads).permute(2, 0, 3, 1, 4)
        return KeysValues(keys, values, additive_mask=self._additive_mask)
