"""The peer in training: a GPT as nanoGPT writes it, with `torch.nn` alone.

Pre-norm layers, GELU, learned positions, one matrix for embedding and output (Karpathy, nanoGPT, `model.py`).
"""

from __future__ import annotations

import torch
from plain_torch import State
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import TransformerConfig


class _Block(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        size, self.num_heads = config.embed_size, config.num_heads
        self.first_norm, self.second_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.inputs, self.output = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.inner, self.outer = nn.Linear(size, config.ffn_size), nn.Linear(config.ffn_size, size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.inputs(self.first_norm(x)).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.output(mixed.transpose(1, 2).flatten(2)))
        inner = functional.gelu(self.inner(self.second_norm(x)))
        result: Tensor = x + self.dropout(self.outer(inner))
        return result


class PlainGPT(nn.Module):
    """Embeddings, blocks, a normalisation and the output layer.

    Args:
        config (TransformerConfig): its sizes; kinds are nanoGPT's.
        vocab_size (int): how many tokens there are.
    """

    def __init__(self, config: TransformerConfig, vocab_size: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, config.embed_size)
        self.places = nn.Embedding(config.context, config.embed_size)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.Sequential(*(_Block(config) for _ in range(config.num_layers)))
        self.norm = nn.LayerNorm(config.embed_size)
        self.output = nn.Linear(config.embed_size, vocab_size, bias=False)
        self.output.weight = self.tokens.weight
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens: Tensor, state: State | None) -> tuple[Tensor, None]:
        """Logits; it carries nothing."""
        places = torch.arange(tokens.shape[1])
        x = self.dropout(self.tokens(tokens) + self.places(places))
        return self.output(self.norm(self.blocks(x))), None
