"""Attention maps for tests, of any shape."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SomeMaps:
    kind: str
    legend: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    weights: Tensor


def some_maps(layers: int, heads: int, rows: int, columns: int, word: str = "▁w") -> SomeMaps:
    weights = torch.rand(layers, heads, rows, columns, generator=torch.Generator().manual_seed(0)).softmax(-1)
    down, across = (tuple(f"{word}{i}" for i in range(count)) for count in (rows, columns))
    return SomeMaps("cross-attention", "rows attend to columns", down, across, weights)
