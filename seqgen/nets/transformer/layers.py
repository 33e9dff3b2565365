"""The parts of a Transformer (Vaswani et al. 2017).

It needs four things beyond an embedding:

- self-attention: queries, keys and values from the same input, in several heads whose results are concatenated
- positions, for attention itself does not know any (`seqgen.nets.transformer.positions`)
- a nonlinearity: without the feed-forward part, stacked attention only averages averages
- a mask: the scores of what a token may not attend to, the future or padding, are minus infinity before the softmax

`seqgen.nets.transformer.language_model` and `seqgen.nets.transformer.seq2seq` make networks of them,
`seqgen.nets.stepping.cached` runs these one token at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import Activation, TransformerLayersConfig
from seqgen.nets.dropout import Dropout
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


class FeedForward(nn.Module):
    """Two matrices with a nonlinearity between them, for each token alone (section 3.3).

    swiglu multiplies the activated values with as many others, `silu(x V) * (x W)` (Shazeer 2020, eq. 6). none leaves
    the nonlinearity out, to show what it is good for.

    Args:
        config (TransformerLayersConfig): sizes and nonlinearity.
    """

    def __init__(self, config: TransformerLayersConfig) -> None:
        super().__init__()
        self.gated = config.activation == "swiglu"
        self.activation = ACTIVATIONS[config.activation]
        self.inner = nn.Linear(config.embed_size, config.ffn_size * (2 if self.gated else 1))
        self.outer = nn.Linear(config.ffn_size, config.embed_size)
        self.dropout = Dropout(config.dropout)

    def activate(self, inner: Tensor) -> Tensor:
        """From the inner layer's sums to what the outer matrix reads, `(..., ffn)`."""
        if not self.gated:
            return self.activation(inner)
        gate, values = inner.chunk(2, dim=-1)
        return self.activation(gate) * values

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, time, embed)` to the same."""
        result: Tensor = self.outer(self.dropout(self.activate(self.inner(x))))
        return result


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "swiglu": functional.silu,
    "none": nn.Identity(),
}


class LayerParts(Protocol):
    """The products and norms of a layer, however they are computed; `run_layer` says what a layer does with them."""

    @property
    def pre(self) -> bool:
        """Whether what goes into a part is normalised, and not the sum that comes out."""

    @property
    def attention_norm(self) -> Callable[[Tensor], Tensor]:
        """Of self-attention, `(..., embed)`."""

    @property
    def cross_norm(self) -> Callable[[Tensor], Tensor] | None:
        """Of the attention to an encoder, `(..., embed)`, if there is one."""

    @property
    def feed_forward_norm(self) -> Callable[[Tensor], Tensor]:
        """Of the feed-forward part, `(..., embed)`."""

    def add_attention(self, x: Tensor, found: Tensor) -> Tensor:
        """`x` and the output matrix of self-attention times what was found, both `(..., embed)`."""

    def add_cross(self, x: Tensor, found: Tensor) -> Tensor:
        """The same of the attention to an encoder, both `(..., embed)`."""

    def add_feed_forward(self, x: Tensor, y: Tensor) -> Tensor:
        """`x` and what the feed-forward part makes of `y`, both `(..., embed)`."""


def run_layer(
    layer: LayerParts,
    x: Tensor,
    attend: Callable[[Tensor], Tensor],
    attend_source: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """One layer, whatever its tokens' shape: `(..., embed)` to the same.

    post: `x = norm(x + part(x))`, as in the paper; pre: `x = x + part(norm(x))`, which trains without a long warm-up
    (Xiong et al. 2020).

    Args:
        layer (LayerParts): its products and norms.
        x (Tensor): what comes in.
        attend (Callable[[Tensor], Tensor]): what self-attention finds, heads side by side, before its output matrix.
        attend_source (Callable[[Tensor], Tensor] | None): the same of the attention to an encoder, in a decoder.
    """
    x = _add_part(layer.pre, x, attend, layer.add_attention, layer.attention_norm)
    if attend_source is not None and layer.cross_norm is not None:
        x = _add_part(layer.pre, x, attend_source, layer.add_cross, layer.cross_norm)
    return _add_part(layer.pre, x, lambda y: y, layer.add_feed_forward, layer.feed_forward_norm)


def _add_part(
    pre: bool,
    x: Tensor,
    part: Callable[[Tensor], Tensor],
    add: Callable[[Tensor, Tensor], Tensor],
    norm: Callable[[Tensor], Tensor],
) -> Tensor:
    """A part added to its input, normalised on the way in or out."""
    return add(x, part(norm(x))) if pre else norm(add(x, part(x)))


class Layer(nn.Module):
    """Self-attention, in a decoder attention to the encoder, and a feed-forward part, each added to what came in.

    Args:
        config (TransformerLayersConfig): sizes and kinds.
        cross (bool): whether the layer attends to an encoder.
    """

    def __init__(self, config: TransformerLayersConfig, *, cross: bool = False) -> None:
        super().__init__()
        self.pre = config.norm == "pre"
        self.attention = MultiHeadAttention(config)
        self.attention_norm = nn.LayerNorm(config.embed_size)
        self.cross = MultiHeadAttention(config) if cross else None
        self.cross_norm = nn.LayerNorm(config.embed_size) if cross else None
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(config.embed_size)
        self.dropout = Dropout(config.dropout)

    def forward(
        self, x: Tensor, mask: Tensor | None, *, causal: bool, turn: Rotation | None, memory: KeysValues | None = None
    ) -> Tensor:
        """One layer for whole sequences, `(batch, time, embed)` to the same.

        Args:
            x (Tensor): what comes in.
            mask (Tensor | None): true where there is a token, `(batch, 1, 1, time)`.
            causal (bool): whether a token attends to none after it.
            turn (Rotation | None): the turns of rotary positions.
            memory (KeysValues | None): the encoder's.
        """

        def attend(y: Tensor) -> Tensor:
            keys_values = KeysValues(*self.attention.keys_values(y, turn), mask, causal=causal)
            found: Tensor = self.attention(self.attention.queries(y, turn), keys_values)
            return found

        return run_layer(self, x, attend, self.attending(memory))

    def attending(self, memory: KeysValues | None) -> Callable[[Tensor], Tensor] | None:
        """How tokens `(batch, time, embed)` find something in an encoder's memory; None without one."""
        if (cross := self.cross) is None or memory is None:
            return None
        return lambda y: cross(cross.queries(y), memory)

    def add_attention(self, x: Tensor, found: Tensor) -> Tensor:
        """See `LayerParts`."""
        total: Tensor = x + self.dropout(self.attention.output(found))
        return total

    def add_cross(self, x: Tensor, found: Tensor) -> Tensor:
        """See `LayerParts`."""
        assert self.cross is not None
        total: Tensor = x + self.dropout(self.cross.output(found))
        return total

    def add_feed_forward(self, x: Tensor, y: Tensor) -> Tensor:
        """See `LayerParts`."""
        total: Tensor = x + self.dropout(self.feed_forward(y))
        return total


class Stack(nn.Module):
    """Layers on top of each other; pre-norm layers leave the last normalisation to the stack.

    Args:
        config (TransformerLayersConfig): sizes and kinds.
        num_layers (int): how many.
        cross (bool): whether they attend to an encoder.
    """

    def __init__(self, config: TransformerLayersConfig, num_layers: int, *, cross: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config, cross=cross) for _ in range(num_layers))
        self.norm = nn.LayerNorm(config.embed_size) if config.norm == "pre" else nn.Identity()

    def __iter__(self) -> Iterator[Layer]:
        """The layers, the lowest first."""
        return cast("Iterator[Layer]", iter(self.layers))

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        *,
        causal: bool,
        turn: Rotation | None,
        memory: Sequence[KeysValues] = (),
    ) -> Tensor:
        """What the last layer leaves, `(batch, time, embed)`, before the stack's own norm; arguments as of `Layer`.

        Args:
            x (Tensor): `(batch, time, embed)`.
            mask (Tensor | None): true where there is a token, `(batch, 1, 1, time)`.
            causal (bool): whether a token attends to none after it.
            turn (Rotation | None): the turns of rotary positions.
            memory (Sequence[KeysValues]): the encoder's, for each layer; empty without an encoder.
        """
        for i, layer in enumerate(self):
            x = layer(x, mask, causal=causal, turn=turn, memory=memory[i] if memory else None)
        return x

    def initialise(self, gain: float = 1.0) -> None:
        """Set the weights before training: variance-preserving, and smaller where a layer writes into the sum.

        Args:
            gain (float): of what comes out. Before an output layer that shares its matrix with the embedding it has to
                be small: a token's own vector is still part of the sum, and would predict the token itself.
        """
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.init.xavier_uniform_(parameter)
                if name.endswith(("output.weight", "outer.weight")):
                    parameter.data /= math.sqrt(2 * len(self.layers))
            elif "norm" not in name:
                nn.init.zeros_(parameter)
        *_, highest = self
        last = self.norm if isinstance(self.norm, nn.LayerNorm) else highest.feed_forward_norm
        nn.init.constant_(last.weight, gain)


class TokenEmbedding(nn.Module):
    """Vectors of tokens, scaled to unit variance, plus those of their positions (section 3.4).

    Args:
        config (TransformerLayersConfig): sizes.
        vocab_size (int): how many tokens there are.
    """

    def __init__(self, config: TransformerLayersConfig, vocab_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocab_size, config.embed_size))
        self.dropout = Dropout(config.dropout)

    def initialise(self) -> None:
        """Set the weights before training."""
        nn.init.normal_(self.weight, std=self.weight.shape[1] ** -0.5)

    def forward(self, tokens: Tensor, added: Tensor | None) -> Tensor:
        """Vectors `(..., embed)` of tokens; what is added tells their positions."""
        vectors = functional.embedding(tokens, self.weight) * math.sqrt(self.weight.shape[1])
        embedded: Tensor = self.dropout(vectors if added is None else vectors + added)
        return embedded
