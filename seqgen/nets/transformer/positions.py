"""Where a token stands: without it, attention reads a bag of tokens.

- sinusoidal: a fixed vector for each position, added to the embedding (Vaswani et al. 2017, section 3.5)
- learned: a trained vector for each position, added to the embedding
- rotary: queries and keys are turned by an angle that grows with the position, so that their product depends on the
  distance alone (Su et al. 2021, eq. 34)
- none: attention under a causal mask can still count what is there; an encoder cannot
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqgen import config

BASE = 10_000.0

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines, `(..., time, head / 2)` each."""


def _angles(positions: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """`position / 10000 ** (2i / size)` for i below size / 2, `(..., size / 2)`."""
    rates = BASE ** (-torch.arange(0, size, 2, dtype=dtype, device=positions.device) / size)
    return positions[..., None] * rates


def sinusoids(positions: Tensor, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The vectors of some positions, `(..., size)` for an even size: sines in even places, cosines in odd ones."""
    angles = _angles(positions, size, dtype)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)


def rotation(positions: Tensor, size: int, dtype: torch.dtype = torch.float32) -> Rotation:
    """How vectors of an even size at some positions are to be turned."""
    angles = _angles(positions, size, dtype)
    return angles.cos(), angles.sin()


def rotate(vectors: Tensor, turn: Rotation) -> Tensor:
    """Turn each pair of neighbouring values by its angle.

    Args:
        vectors (Tensor): `(..., time, head)`.
        turn (Rotation): from `rotation`, of a shape that fits.
    """
    cos, sin = (part.to(vectors.dtype) for part in turn)
    even, odd = vectors[..., 0::2], vectors[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


class Positions(nn.Module):
    """What a network knows of the places of its tokens.

    Args:
        kind (config.Positions): see above.
        embed_size (int): of the embedding, even.
        head_size (int): of a head's queries and keys, even.
        context (int): how many learned vectors there are; what stands further along shares the last.
    """

    def __init__(self, kind: config.Positions, embed_size: int, head_size: int, context: int) -> None:
        super().__init__()
        self.kind, self.embed_size, self.head_size = kind, embed_size, head_size
        self.table = nn.Parameter(torch.empty(context, embed_size)) if kind == "learned" else None

    def initialise(self) -> None:
        """Set the learned vectors before training, as long as those of tokens."""
        if self.table is not None:
            nn.init.normal_(self.table)

    def added(self, positions: Tensor, dtype: torch.dtype = torch.float32) -> Tensor | None:
        """What is added to the embeddings of tokens at some positions, `(..., embed)`, if anything is."""
        if self.table is not None:
            return self.table[positions.clamp(max=len(self.table) - 1)]
        return sinusoids(positions, self.embed_size, dtype) if self.kind == "sinusoidal" else None

    def rotation(self, positions: Tensor, dtype: torch.dtype = torch.float32) -> Rotation | None:
        """How queries and keys at some positions are turned, if they are."""
        return rotation(positions, self.head_size, dtype) if self.kind == "rotary" else None
