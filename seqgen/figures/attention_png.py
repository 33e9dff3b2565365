"""Attention as a picture: which source tokens each target token looked at."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from seqgen.figures.labels import cut, visible

if TYPE_CHECKING:
    from PIL import Image

# All lengths are in pixels.
LARGEST_SIDE = 4000
_LABELS = 600  # what labels and margins take at most
_MARGIN, _GAP, _CELL, _GRID_FROM = 24, 8, 44, 6  # a grid would hide smaller cells
_FONT, _SMALLEST_FONT, _CAPTION_FONT = 20, 9, 16
_LONGEST_TOKEN = 24
_SLANT = 60  # degrees
_INK, _GREY, _LINE = "#0f172a", "#64748b", "#e2e8f0"
_WHITE, _HALF, _DARK = "#ffffff", "#6f9fd8", "#0b2554"


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
    file = io.BytesIO()
    _draw(rows, _labels(source_tokens), _labels(target_tokens)).save(file, "PNG")
    return file.getvalue()


def _labels(tokens: Sequence[str]) -> list[str]:
    # Most fonts lack the sign for a space, U+2581, and in others it is a thick bar.
    return [cut(visible(token), _LONGEST_TOKEN).replace("▁", "_") for token in tokens]


def _draw(rows: Sequence[Sequence[float]], source: list[str], target: list[str]) -> Image.Image:
    from PIL import Image

    from seqgen.figures.lettering import Lettering

    cell = _cell_size(len(source), len(target))
    largest = max((weight for row in rows for weight in row), default=0.0)
    caption = f"rows: target tokens · columns: source tokens · white: 0, darkest: {largest:.2f}"
    font_size = min(_FONT, max(_SMALLEST_FONT, round(0.7 * cell)))
    lettering = Lettering(font_size, "".join([*source, *target]))
    every = math.ceil(lettering.line_height / cell)
    across = [_slanted(lettering.word(token)) for token in source[::every]]
    down = [lettering.word(token) for token in target[::every]]
    words = Lettering(_CAPTION_FONT, caption).word(caption)

    left = _MARGIN + max((word.width for word in down), default=0) + _GAP
    top = _MARGIN + max((word.height for word in across), default=0) + _GAP
    right, bottom = left + round(len(source) * cell), top + round(len(target) * cell)
    ends = [left + round(i * every * cell) + word.width for i, word in enumerate(across)]
    width = max(right + _GAP, *ends, _MARGIN + words.width) + _MARGIN
    picture = Image.new("RGB", (width, bottom + 2 * _GAP + words.height + _MARGIN), _WHITE)

    if source and target:
        picture.paste(_shades(rows, largest, (right - left, bottom - top)), (left, top))
        _grid(picture, (left, top, right, bottom), cell)
    for i, word in enumerate(across):
        # The middle of the word's beginning stands above the middle of its column.
        x = left + (i * every + 0.5) * cell - lettering.line_height / 2 * math.sin(math.radians(_SLANT))
        picture.paste(_INK, (round(x), top - _GAP // 2 - word.height), word)
    for i, word in enumerate(down):
        y = top + (i * every + 0.5) * cell - word.height / 2
        picture.paste(_INK, (left - _GAP - word.width, round(y)), word)
    picture.paste(_GREY, (_MARGIN, bottom + 2 * _GAP), words)
    return picture


def _cell_size(*counts: int) -> float:
    """As large as the longer side allows; whole pixels, unless there are more cells than pixels."""
    room = (LARGEST_SIDE - _LABELS) / max(*counts, 1)
    return min(_CELL, math.floor(room) if room >= 1 else room)


def _slanted(word: Image.Image) -> Image.Image:
    from PIL import Image

    return word.rotate(_SLANT, Image.Resampling.BICUBIC, expand=True)


def _shades(rows: Sequence[Sequence[float]], largest: float, size: tuple[int, int]) -> Image.Image:
    from PIL import Image, ImageOps

    scale = 255 / largest if largest > 0 else 0.0
    levels = bytes(min(255, max(0, round(weight * scale))) for row in rows for weight in row)
    shades = Image.frombytes("L", (len(rows[0]), len(rows)), levels)
    grows = size[0] >= shades.width and size[1] >= shades.height
    shades = shades.resize(size, Image.Resampling.NEAREST if grows else Image.Resampling.BOX)
    return ImageOps.colorize(shades, black=_WHITE, mid=_HALF, white=_DARK)


def _grid(picture: Image.Image, area: tuple[int, int, int, int], cell: float) -> None:
    from PIL import ImageDraw

    left, top, right, bottom = area
    draw = ImageDraw.Draw(picture)
    if cell >= _GRID_FROM:
        for x in range(left, right, round(cell)):
            draw.line((x, top, x, bottom), fill=_LINE)
        for y in range(top, bottom, round(cell)):
            draw.line((left, y, right, y), fill=_LINE)
    draw.rectangle((left, top, right, bottom), outline=_GREY)
