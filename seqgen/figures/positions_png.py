"""The matrix of positions as a picture: one row per position, blue below zero, red above."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqgen.figures.heatmap import GAP, GREY, INK, WHITE, cell_size
from seqgen.figures.lettering import Lettering

if TYPE_CHECKING:
    from PIL import Image

# All lengths are in pixels.
_SIDE, _CELL, _MARGIN, _TITLE_FONT, _FONT = 1024, 16, 24, 22, 15
_MOST_TICKS = 8
_BLUE, _RED = "#1d4ed8", "#b91c1c"
_ZERO = 127  # its level of grey before it is coloured, so that there are as many below as above


def position_matrix_png(values: Sequence[Sequence[float]], title: str, legend: str) -> bytes:
    """Draw a matrix, `(positions, values)`.

    Args:
        values (Sequence[Sequence[float]]): at least one row and one column.
        title (str): what stands above.
        legend (str): what rows and columns are.

    Returns:
        bytes: a PNG file.
    """
    from PIL import Image

    largest = max(abs(value) for row in values for value in row)
    heading = Lettering(_TITLE_FONT, title).word(title)
    legend = f"{legend} · blue: {-largest:.2f}, white: 0, red: {largest:.2f}"
    small = Lettering(_FONT, legend + "0123456789")
    words, cells = small.word(legend), _cells(values, largest)
    left = _MARGIN + small.word(str(len(values))).width + GAP
    top = _MARGIN + heading.height + words.height + GAP + small.line_height + GAP
    width = max(left + cells.width, _MARGIN + words.width) + _MARGIN
    picture = Image.new("RGB", (width, top + cells.height + _MARGIN), WHITE)
    picture.paste(INK, (_MARGIN, _MARGIN), heading)
    picture.paste(GREY, (_MARGIN, _MARGIN + heading.height), words)
    picture.paste(cells, (left, top))
    for row in _ticks(len(values)):
        y = top + round((row + 0.5) * cells.height / len(values)) - small.line_height // 2
        number = small.word(str(row))
        picture.paste(GREY, (left - GAP - number.width, y), number)
    for column in _ticks(len(values[0])):
        x = left + round((column + 0.5) * cells.width / len(values[0]))
        number = small.word(str(column))
        picture.paste(GREY, (x - number.width // 2, top - GAP // 2 - number.height), number)
    return _png(picture)


def _cells(values: Sequence[Sequence[float]], largest: float) -> Image.Image:
    from PIL import Image, ImageOps

    scale = _ZERO / (largest or 1.0)
    shape = (len(values[0]), len(values))
    shades = Image.frombytes("L", shape, bytes(round(_ZERO + scale * value) for row in values for value in row))
    size = tuple(max(1, round(count * cell_size(_SIDE, count, _CELL))) for count in shape)
    grows = size[0] >= shape[0] and size[1] >= shape[1]
    shades = shades.resize((size[0], size[1]), Image.Resampling.NEAREST if grows else Image.Resampling.BOX)
    return ImageOps.colorize(shades, black=_BLUE, mid=WHITE, white=_RED, midpoint=_ZERO, whitepoint=2 * _ZERO)


def _ticks(count: int) -> range:
    """Where numbers stand: at most so many, a power of two apart."""
    return range(0, count, 2 ** max(0, math.ceil(math.log2(count / _MOST_TICKS))))


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
