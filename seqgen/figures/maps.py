"""What the pictures of attention maps are drawn of (`seqgen.tasks.attention_maps` makes it)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

Layers = Sequence[Sequence[Sequence[Sequence[float]]]]
"""Weights `(layers, heads, rows, columns)`."""


class _Tensor(Protocol):
    def tolist(self) -> Layers: ...


class Maps(Protocol):
    """The maps of one kind of attention, all with the same tokens as rows and columns."""

    @property
    def kind(self) -> str:
        """The title."""

    @property
    def legend(self) -> str:
        """What rows and columns are."""

    @property
    def rows(self) -> Sequence[str]:
        """The tokens that attend."""

    @property
    def columns(self) -> Sequence[str]:
        """The tokens that they attend to."""

    @property
    def weights(self) -> _Tensor:
        """`(layers, heads, rows, columns)`."""


def largest_of(layers: Layers) -> float:
    """The largest weight of all maps: one shade means one weight in all of them."""
    return max((weight for layer in layers for head in layer for row in head for weight in row), default=0.0)


def captions_of(layers: Layers) -> list[list[str]]:
    """What each map is called; one that is alone needs no name."""
    if len(layers) == len(layers[0]) == 1:
        return [[""]]
    return [[f"layer {i} head {j}" for j in range(1, len(layer) + 1)] for i, layer in enumerate(layers, 1)]
