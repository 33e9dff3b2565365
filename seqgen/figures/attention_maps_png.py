"""Attention maps as a picture: for each kind of attention a grid, one row of maps per layer, one column per head."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from seqgen.figures.heatmap import GAP, GREY, INK, WHITE, Corner, Heatmap, cell_size
from seqgen.figures.lettering import Lettering
from seqgen.figures.maps import Maps, captions_of, largest_of

if TYPE_CHECKING:
    from PIL import Image

# All lengths are in pixels.
_SIDE = 3000  # what the cells of all maps side by side take at most
_MARGIN, _CELL, _TITLE_FONT, _CAPTION_FONT = 24, 22, 22, 15
_BETWEEN_MAPS, _BETWEEN_KINDS = 20, 40


def attention_maps_png(kinds: Sequence[Maps]) -> bytes:
    """Draw the maps of each kind below those of the one before.

    Within a kind one shade means one weight, from white for zero to dark for the largest of all its maps.

    Args:
        kinds (Sequence[Maps]): at least one.

    Returns:
        bytes: a PNG file.
    """
    from PIL import Image

    grids = [_Grid(maps) for maps in kinds]
    width = max(grid.width for grid in grids) + 2 * _MARGIN
    height = sum(grid.height + _BETWEEN_KINDS for grid in grids) - _BETWEEN_KINDS + 2 * _MARGIN
    picture, top = Image.new("RGB", (width, height), WHITE), _MARGIN
    for grid in grids:
        grid.draw(picture, (_MARGIN, top))
        top += grid.height + _BETWEEN_KINDS
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


class _Grid:
    """All maps of one kind, below their title."""

    def __init__(self, maps: Maps) -> None:
        self._layers = maps.weights.tolist()
        self._largest = largest_of(self._layers)
        layers, heads = len(self._layers), len(self._layers[0])
        cells = max(heads * len(maps.columns), layers * len(maps.rows))
        self._map = Heatmap(maps.rows, maps.columns, cell_size(_SIDE, cells, _CELL))
        self._title = Lettering(_TITLE_FONT, maps.kind).word(maps.kind)
        self._legend = _small(f"{maps.legend} · white: 0, darkest: {self._largest:.2f}")
        self._captions = [[_small(caption) for caption in row] for row in captions_of(self._layers)]

        caption = self._captions[-1][-1]
        self._across = max(self._map.width, caption.width) + _BETWEEN_MAPS
        self._down = self._map.height + GAP + caption.height + _BETWEEN_MAPS
        self._above = self._title.height + self._legend.height + GAP + self._map.above
        end = max(self._across, self._map.reach + GAP)
        self.width = max(self._title.width, self._legend.width, self._map.left + self._across * (heads - 1) + end)
        self.height = self._above + self._down * layers - _BETWEEN_MAPS

    def draw(self, picture: Image.Image, corner: Corner) -> None:
        """Draw it where its upper left corner should be."""
        left, top = corner
        picture.paste(INK, (left, top), self._title)
        picture.paste(GREY, (left, top + self._title.height), self._legend)
        for layer, head, (x, y) in self._corners(left + self._map.left, top + self._above):
            self._map.draw(picture, (x, y), self._layers[layer][head], self._largest)
            picture.paste(GREY, (x, y + self._map.height + GAP), self._captions[layer][head])
            if layer == 0:
                self._map.name_columns(picture, (x, y))
            if head == 0:
                self._map.name_rows(picture, (x, y))

    def _corners(self, left: int, top: int) -> Iterator[tuple[int, int, Corner]]:
        for i, layer in enumerate(self._layers):
            for j in range(len(layer)):
                yield i, j, (left + self._across * j, top + self._down * i)


def _small(text: str) -> Image.Image:
    return Lettering(_CAPTION_FONT, text).word(text)
