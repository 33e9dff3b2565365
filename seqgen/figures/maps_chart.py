"""Attention maps as a chart: for each kind of attention a grid, one row of maps per layer, one column per head."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING

from seqgen.figures.chart import DPI, GREY, GRID, INK
from seqgen.figures.labels import cells, cut, visible
from seqgen.figures.maps import Layers, Maps, captions_of, largest_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

# All lengths are in inches, and fonts in points.
MOST = 30.0  # what the cells of all maps side by side take at most
CELL, CELL_OF_ONE = 0.22, 0.44
FONT, SMALLEST_FONT, POINT = 14.0, 6.5, 1 / 72
LETTER = 0.65  # the width of a letter, in parts of its font's size
BETWEEN, TITLE, GAP = 0.2, 0.7, 0.1
GRID_FROM = 6 / DPI  # a grid would hide smaller cells
LONGEST_TOKEN, SLANT = 24, 60
COLOURS = ("#ffffff", "#6f9fd8", "#0b2554")


def draw_maps(figure: Figure, kinds: Sequence[Maps]) -> None:
    """Draw the maps of each kind below those of the one before.

    Within a kind one shade means one weight, from white for zero to dark for the largest of all its maps.

    Args:
        figure (Figure): empty.
        kinds (Sequence[Maps]): at least one.
    """
    grids = [_Grid(maps) for maps in kinds]
    figure.set_size_inches(max(grid.width for grid in grids), sum(grid.height for grid in grids))
    top = sum(grid.height for grid in grids)
    for grid in grids:
        grid.draw(figure, top)
        top -= grid.height


class _Grid:
    """All maps of one kind, below their title."""

    def __init__(self, maps: Maps) -> None:
        self._maps = maps
        self._layers: Layers = maps.weights.tolist()
        self._down, self._across = (
            [cut(visible(token), LONGEST_TOKEN) for token in tokens] for tokens in (maps.rows, maps.columns)
        )
        layers, heads = len(self._layers), len(self._layers[0])
        side = max(heads * len(self._across), layers * len(self._down), 1)
        self._cell = min(CELL_OF_ONE if layers == heads == 1 else CELL, MOST / side)
        self._font = min(FONT, max(SMALLEST_FONT, 0.7 * self._cell / POINT))
        # Of names that are higher than a cell, only every second, third, ... is written.
        self._every = math.ceil(1.2 * self._font * POINT / self._cell)
        self._size = max(1, len(self._across)) * self._cell, max(1, len(self._down)) * self._cell
        self._left = self._length(self._down) + GAP
        self._above = TITLE + self._length(self._across) * math.sin(math.radians(SLANT)) + GAP
        caption = 2 * FONT * POINT if layers * heads > 1 else 0.0
        self._apart = self._size[0] + BETWEEN, self._size[1] + caption + BETWEEN
        self.width = self._left + heads * self._apart[0] + self._length(self._across)
        self.height = self._above + layers * self._apart[1] + BETWEEN

    def _length(self, tokens: Sequence[str]) -> float:
        """About what the longest of some names takes."""
        return max(map(cells, tokens), default=0) * LETTER * self._font * POINT

    def draw(self, figure: Figure, top: float) -> None:
        """Draw it where its upper edge should be, counted from the bottom of the figure."""
        width, height = figure.get_size_inches()
        largest = largest_of(self._layers)
        legend = f"{self._maps.legend} · white: 0, darkest: {largest:.2f}"
        figure.text(0.0, top / height, visible(self._maps.kind), size=FONT, va="top")
        figure.text(0.0, (top - 0.3) / height, visible(legend), size=0.7 * FONT, va="top", color=GREY)
        captions = captions_of(self._layers)
        for layer, head, x, y in self._places(top):
            chart = figure.add_axes((x / width, y / height, self._size[0] / width, self._size[1] / height))
            if self._down and self._across:
                self._draw_map(chart, self._layers[layer][head], largest)
            self._name(chart, first_layer=layer == 0, first_head=head == 0)
            chart.set_xlabel(captions[layer][head], size=0.7 * FONT, color=GREY)

    def _places(self, top: float) -> Iterator[tuple[int, int, float, float]]:
        """Layer, head, and where the lower left corner of their map is."""
        for layer, head in product(range(len(self._layers)), range(len(self._layers[0]))):
            x = self._left + head * self._apart[0]
            yield layer, head, x, top - self._above - layer * self._apart[1] - self._size[1]

    def _draw_map(self, chart: Axes, weights: Sequence[Sequence[float]], largest: float) -> None:
        chart.imshow(weights, cmap=_shades(), vmin=0.0, vmax=largest or 1.0, aspect="auto")
        if self._cell >= GRID_FROM:
            chart.set_xticks([i - 0.5 for i in range(1, len(self._across))], minor=True)
            chart.set_yticks([i - 0.5 for i in range(1, len(self._down))], minor=True)
            chart.grid(which="minor", color=GRID, linewidth=0.5)
        chart.tick_params(which="both", length=0)

    def _name(self, chart: Axes, *, first_layer: bool, first_head: bool) -> None:
        """Write the columns' names above the maps of the first layer, and the rows' beside those of the first head."""
        across, down = (range(0, len(names), self._every) for names in (self._across, self._down))
        chart.tick_params(labeltop=first_layer, labelbottom=False, labelleft=first_head, labelcolor=INK)
        chart.set_xticks(across, [self._across[i] for i in across], size=self._font, rotation=SLANT, ha="left")
        for label in chart.get_xticklabels():
            label.set_rotation_mode("anchor")
        chart.set_yticks(down, [self._down[i] for i in down], size=self._font)


def _shades() -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", list(COLOURS))
