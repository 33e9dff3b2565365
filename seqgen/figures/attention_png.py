"""Attention as a picture: which source tokens each target token looked at."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from seqgen.figures.heatmap import GAP, GREY, WHITE, Heatmap, Rows, cell_size
from seqgen.figures.lettering import Lettering

if TYPE_CHECKING:
    from PIL import Image

# All lengths are in pixels.
LARGEST_SIDE = 4000
_LABELS = 600  # what labels and margins take at most
_MARGIN, _CELL, _CAPTION_FONT = 24, 44, 16


class _Tensor(Protocol):
    def tolist(self) -> list[list[float]]: ...


def attention_png(
    weights: Sequence[Sequence[float]] | _Tensor, source_tokens: Sequence[str], target_tokens: Sequence[str]
) -> bytes:
    """Draw the weights as cells, from white for zero to dark for the largest.

    Args:
        weights (Sequence[Sequence[float]] | _Tensor): lists or a tensor, `(target, source)`.
        source_tokens (Sequence[str]): along the top.
        target_tokens (Sequence[str]): down the left side.

    Returns:
        bytes: a PNG file, at most `LARGEST_SIDE` pixels a side; matrices with more cells than that are shrunk.

    Raises:
        ValueError: there is not one row per target token and one column per source token.
    """
    rows = weights if isinstance(weights, Sequence) else weights.tolist()
    if len(rows) != len(target_tokens) or any(len(row) != len(source_tokens) for row in rows):
        raise ValueError(f"weights must be ({len(target_tokens)}, {len(source_tokens)})")
    cell = cell_size(LARGEST_SIDE - _LABELS, max(len(source_tokens), len(target_tokens)), _CELL)
    file = io.BytesIO()
    _draw(rows, Heatmap(target_tokens, source_tokens, cell)).save(file, "PNG")
    return file.getvalue()


def _draw(rows: Rows, heatmap: Heatmap) -> Image.Image:
    from PIL import Image

    largest = max((weight for row in rows for weight in row), default=0.0)
    caption = f"rows: target tokens · columns: source tokens · white: 0, darkest: {largest:.2f}"
    words = Lettering(_CAPTION_FONT, caption).word(caption)
    left, top = corner = (_MARGIN + heatmap.left, _MARGIN + heatmap.above)
    below = top + heatmap.height + 2 * GAP
    width = max(left + heatmap.width + GAP, left + heatmap.reach, _MARGIN + words.width) + _MARGIN
    picture = Image.new("RGB", (width, below + words.height + _MARGIN), WHITE)
    heatmap.draw(picture, corner, rows, largest)
    heatmap.name_columns(picture, corner)
    heatmap.name_rows(picture, corner)
    picture.paste(GREY, (_MARGIN, below), words)
    return picture
