"""A matrix as a picture: cells from white to dark, and the names of its rows and columns beside it.

`seqgen.figures.attention_png` draws one, `seqgen.figures.attention_maps_png` many that share their names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqgen.figures.labels import cut, visible
from seqgen.figures.lettering import Lettering

if TYPE_CHECKING:
    from PIL import Image

Rows = Sequence[Sequence[float]]
Corner = tuple[int, int]
"""The upper left one, in pixels from that of the picture."""

INK, GREY, WHITE = "#0f172a", "#64748b", "#ffffff"
GAP = 8  # pixels between a matrix and what stands beside it
_LINE, _HALF, _DARK = "#e2e8f0", "#6f9fd8", "#0b2554"
_GRID_FROM = 6  # pixels; a grid would hide smaller cells
_FONT, _SMALLEST_FONT = 20, 9
_LONGEST_TOKEN = 24
_SLANT = 60  # degrees


def cell_size(room: int, count: int, largest: int) -> float:
    """Pixels of a cell where so many share the room: whole ones, unless there are more cells than pixels."""
    share = room / max(count, 1)
    return min(largest, math.floor(share) if share >= 1 else share)


class Heatmap:
    """Draws matrices with the same rows and columns.

    Args:
        rows (Sequence[str]): what is written down the left side.
        columns (Sequence[str]): what is written along the top, slanted.
        cell (float): pixels of a cell; of names that are higher, only every second, third, ... is written.
    """

    def __init__(self, rows: Sequence[str], columns: Sequence[str], cell: float) -> None:
        self._cell = cell
        down, across = _labels(rows), _labels(columns)
        size = min(_FONT, max(_SMALLEST_FONT, round(0.7 * cell)))
        self._lettering = Lettering(size, "".join([*across, *down]))
        self._every = math.ceil(self._lettering.line_height / cell)
        self._down = [self._lettering.word(token) for token in down[:: self._every]]
        self._across = [_slanted(self._lettering.word(token)) for token in across[:: self._every]]
        self.width, self.height = round(len(columns) * cell), round(len(rows) * cell)
        self.left = max((word.width for word in self._down), default=0) + GAP
        self.above = max((word.height for word in self._across), default=0) + GAP
        # The middle of a word's beginning stands above the middle of its column.
        slant = self._lettering.line_height / 2 * math.sin(math.radians(_SLANT))
        self._begins = [round((i * self._every + 0.5) * cell - slant) for i in range(len(self._across))]
        ends = (begin + word.width for begin, word in zip(self._begins, self._across, strict=True))
        self.reach = max(self.width, *ends, 0)  # of what stands above, from the left edge of the cells

    def draw(self, picture: Image.Image, corner: Corner, weights: Rows, largest: float) -> None:
        """Draw the cells: white for zero, dark for the largest."""
        left, top = corner
        if self.width and self.height:
            picture.paste(_shades(weights, largest, (self.width, self.height)), corner)
            self._grid(picture, (left, top, left + self.width, top + self.height))

    def name_columns(self, picture: Image.Image, corner: Corner) -> None:
        """Write above the cells that begin at a corner."""
        for begin, word in zip(self._begins, self._across, strict=True):
            picture.paste(INK, (corner[0] + begin, corner[1] - GAP // 2 - word.height), word)

    def name_rows(self, picture: Image.Image, corner: Corner) -> None:
        """Write to the left of the cells that begin at a corner."""
        for i, word in enumerate(self._down):
            y = corner[1] + (i * self._every + 0.5) * self._cell - word.height / 2
            picture.paste(INK, (corner[0] - GAP - word.width, round(y)), word)

    def _grid(self, picture: Image.Image, area: tuple[int, int, int, int]) -> None:
        from PIL import ImageDraw

        left, top, right, bottom = area
        draw = ImageDraw.Draw(picture)
        if self._cell >= _GRID_FROM:
            for x in range(left, right, round(self._cell)):
                draw.line((x, top, x, bottom), fill=_LINE)
            for y in range(top, bottom, round(self._cell)):
                draw.line((left, y, right, y), fill=_LINE)
        draw.rectangle((left, top, right, bottom), outline=GREY)


def _labels(tokens: Sequence[str]) -> list[str]:
    # Most fonts lack the sign for a space, U+2581, and in others it is a thick bar.
    return [cut(visible(token), _LONGEST_TOKEN).replace("▁", "_") for token in tokens]


def _slanted(word: Image.Image) -> Image.Image:
    from PIL import Image

    return word.rotate(_SLANT, Image.Resampling.BICUBIC, expand=True)


def _shades(rows: Rows, largest: float, size: tuple[int, int]) -> Image.Image:
    from PIL import Image, ImageOps

    scale = 255 / largest if largest > 0 else 0.0
    levels = bytes(min(255, max(0, round(weight * scale))) for row in rows for weight in row)
    shades = Image.frombytes("L", (len(rows[0]), len(rows)), levels)
    grows = size[0] >= shades.width and size[1] >= shades.height
    shades = shades.resize(size, Image.Resampling.NEAREST if grows else Image.Resampling.BOX)
    return ImageOps.colorize(shades, black=WHITE, mid=_HALF, white=_DARK)
