"""The parts of a Transformer (Vaswani et al. 2017).

It needs four things beyond an embedding:

- self-attention: queries, keys and values from the same input, in several heads whose results are concatenated
  (`seqgen.nets.transformer.attention`)
- positions, for attention itself does not know any (`seqgen.nets.transformer.positions`)
- a nonlinearity: without the feed-forward part, stacked attention only averages averages
- a mask: the scores of what a token may not attend to, the future or padding, are minus infinity before the softmax

`seqgen.nets.transformer.language_model` and `seqgen.nets.transformer.seq2seq` make networks of them,
`seqgen.nets.stepping.cached` runs these one token at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import Activation, TransformerLayersConfig
from seqgen.nets.dropout import Dropout
from seqgen.nets.transformer.attention import KeysValues, MultiHeadAttention
from seqgen.nets.transformer.positions import Rotation


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

    def find(self, x: Tensor) -> Tensor:
        """What the outer matrix is multiplied with: `(..., embed)` to `(..., ffn)`."""
        found: Tensor = self.dropout(self.activate(self.inner(x)))
        return found

    def forward(self, x: Tensor) -> Tensor:
        """`(..., embed)` to the same."""
        result: Tensor = self.outer(self.find(x))
        return result


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "swiglu": functional.silu,
    "none": nn.Identity(),
}


Map = Callable[[Tensor], Tensor]
"""From tokens' vectors `(..., embed)` to as many."""


class Part(NamedTuple):
    """A part of a layer.

    Args:
        find (Map): what the part finds for its input, before its last matrix.
        add (Callable[[Tensor, Tensor], Tensor]): that, times the last matrix, added to what came into the layer.
        norm (Map): of the part's input or of the sum.
    """

    find: Map
    add: Callable[[Tensor, Tensor], Tensor]
    norm: Map


def run_parts(parts: Iterable[Part], x: Tensor, *, pre: bool) -> Tensor:
    """One layer, whatever computes its products and whatever its tokens' shape: `(..., embed)` to the same.

    post: `x = norm(x + part(x))`, as in the paper; pre: `x = x + part(norm(x))`, which trains without a long warm-up
    (Xiong et al. 2020).
    """
    for find, add, norm in parts:
        x = add(x, find(norm(x))) if pre else norm(add(x, find(x)))
    return x


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

        return run_parts(self.parts(attend, memory), x, pre=self.pre)

    def parts(self, attend: Map, memory: KeysValues | None) -> Iterator[Part]:
        """The layer's parts for tokens `(batch, time, embed)`, as `run_parts` takes them.

        Args:
            attend (Map): what self-attention finds, heads side by side.
            memory (KeysValues | None): what the attention to an encoder attends to.
        """
        yield Part(attend, self._adding(self.attention.output), self.attention_norm)
        if (cross := self.cross) is not None and self.cross_norm is not None and memory is not None:
            yield Part(lambda y: cross(cross.queries(y), memory), self._adding(cross.output), self.cross_norm)
        yield Part(self.feed_forward.find, self._adding(self.feed_forward.outer), self.feed_forward_norm)

    def _adding(self, output: nn.Linear) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, found: x + self.dropout(output(found))


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
