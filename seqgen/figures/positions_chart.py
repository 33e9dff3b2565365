"""The matrix of positions as a chart: one row per position, blue below zero, red above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqgen.figures.chart import DPI, GREY
from seqgen.figures.labels import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE, CELL, LEAST = 1024 / DPI, 16 / DPI, 1.5  # inches of a side at most, of a cell at most, of a side at least
COLOURS = ("#1d4ed8", "#ffffff", "#b91c1c")


def draw_positions(figure: Figure, values: Sequence[Sequence[float]], title: str, legend: str) -> None:
    """Draw a matrix, `(positions, values)`.

    Args:
        figure (Figure): empty.
        values (Sequence[Sequence[float]]): at least one row and one column.
        title (str): what stands above.
        legend (str): what rows and columns are.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.ticker import MaxNLocator

    width, height = (max(LEAST, min(SIDE, CELL * count)) for count in (len(values[0]), len(values)))
    figure.set_size_inches(width, height)
    chart = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    largest = max(abs(value) for row in values for value in row) or 1.0
    colours = LinearSegmentedColormap.from_list("signs", list(COLOURS))
    drawn = chart.imshow(values, cmap=colours, vmin=-largest, vmax=largest, aspect="auto")
    chart.xaxis.tick_top()
    for axis in (chart.xaxis, chart.yaxis):
        axis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 4, 8], min_n_ticks=1))
    scale = figure.add_axes((1.0 + 0.15 / width, 0.0, 0.15 / width, 1.0))
    figure.colorbar(drawn, cax=scale)
    figure.text(0.0, 1.0 + 0.65 / height, visible(title), size="x-large")
    figure.text(0.0, 1.0 + 0.4 / height, visible(legend), color=GREY)
