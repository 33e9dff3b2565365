"""Attention of a Transformer (Vaswani et al. 2017, section 3.2): queries attend to keys, and take their values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import TransformerLayersConfig
from seqgen.nets.transformer.positions import Rotation, rotate


@dataclass(frozen=True)
class KeysValues:
    """What queries attend to; without a mask to all of it.

    Args:
        keys (Tensor): `(batch, kv_heads, time, head)`.
        values (Tensor): the same.
        mask (Tensor | None): true where a query may attend, `(batch, 1, queries or 1, time)`.
        additive_mask (Tensor | None): the same as numbers to be added to the scores (`additive`), in place of `mask`.
        causal (bool): whether query i attends to positions up to i only; then there is no mask.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor | None = None
    additive_mask: Tensor | None = None
    causal: bool = False

    def of(self, index: Tensor) -> KeysValues:
        """Those of the sequences `index`, `(new_batch,)`, a copy for each."""
        mask, additive_mask = (None if m is None else m[index] for m in (self.mask, self.additive_mask))
        return KeysValues(self.keys[index], self.values[index], mask, additive_mask, self.causal)


class MultiHeadAttention(nn.Module):
    """`softmax(q k' / sqrt(head)) v` for each head, the heads side by side, and a matrix (section 3.2).

    With fewer heads of keys and values than of queries, several query heads share one (Ainslie et al. 2023).

    Args:
        config (TransformerLayersConfig): heads and sizes.
    """

    def __init__(self, config: TransformerLayersConfig) -> None:
        super().__init__()
        self.num_heads, self.kv_heads, self.head_size = config.num_heads, config.kv_heads, config.head_size
        self.query = nn.Linear(config.embed_size, config.embed_size)
        self.key_value = nn.Linear(config.embed_size, 2 * config.kv_heads * config.head_size)
        self.output = nn.Linear(config.embed_size, config.embed_size)

    def queries(self, x: Tensor, turn: Rotation | None = None) -> Tensor:
        """Queries `(batch, heads, time, head)` of vectors `(batch, time, embed)`, turned to their positions."""
        q: Tensor = self.query(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        return q if turn is None else rotate(q, turn)

    def keys_values(self, x: Tensor, turn: Rotation | None = None) -> tuple[Tensor, Tensor]:
        """Keys, turned to their positions, and values `(batch, kv_heads, time, head)` of `(batch, time, embed)`."""
        k, v = self.key_value(x).unflatten(2, (2, self.kv_heads, -1)).permute(2, 0, 3, 1, 4)
        return (k if turn is None else rotate(k, turn)), v

    def forward(self, queries: Tensor, keys_values: KeysValues) -> Tensor:
        """What each query found, before the matrix: `(batch, heads, time, head)` to `(batch, time, embed)`."""
        return mix(queries, keys_values).transpose(1, 2).flatten(2)


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What a mask of any shape adds to scores of a type: 0 where it is true, else minus infinity.

    `scaled_dot_product_attention` does the same at each call; a search attends to one source many times.
    """
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -math.inf)


def mix(queries: Tensor, keys_values: KeysValues) -> Tensor:
    """The values that each query `(batch, heads, queries, head)` attends to, in one sum, of the same shape.

    On a CPU never in bf16: at the length of a sentence PyTorch's kernel for it takes five times as long as in fp32.
    """
    q, k, v = queries, keys_values.keys, keys_values.values
    if torch.is_autocast_enabled(q.device.type):
        with torch.autocast(q.device.type, enabled=False):
            return mix(q, keys_values)
    if q.device.type == "cpu":
        q, k, v = (part.to(torch.promote_types(part.dtype, torch.float32)) for part in (q, k, v))
    mask = keys_values.mask if keys_values.additive_mask is None else keys_values.additive_mask
    return functional.scaled_dot_product_attention(
        q, k, v, mask, is_causal=keys_values.causal, enable_gqa=k.shape[1] < q.shape[1]
    )


def attention_weights(queries: Tensor, keys_values: KeysValues) -> Tensor:
    """How much each query `(batch, heads, queries, head)` attends to each position, `(batch, heads, queries, time)`.

    Rows sum to one. It is what `scaled_dot_product_attention` computes on its way and does not show.
    """
    keys = keys_values.keys.repeat_interleave(queries.shape[1] // keys_values.keys.shape[1], dim=1)
    scores = queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1])
    mask, additive_mask = keys_values.mask, keys_values.additive_mask
    if keys_values.causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is not None:
        additive_mask = additive(mask, scores.dtype)
    return (scores if additive_mask is None else scores + additive_mask).softmax(dim=-1)
