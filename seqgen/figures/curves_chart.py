"""Curves as a chart: panels side by side, each with axes, grid and legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seqgen.figures.chart import GREY, GRID
from seqgen.figures.curves import Panel, log_axis
from seqgen.figures.labels import cut, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# All lengths are in inches.
PANEL, LEGEND_LINE, TITLE = (7.0, 4.8), 0.22, 0.5
ACROSS = 2  # panels in a row
LONGEST_NAME = 90
# Told apart by those who do not see all colours, too (Okabe and Ito 2008), without the yellow.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
LINES = ("-", "--", ":")


def draw_curves(figure: Figure, panels: Sequence[Panel], title: str, across: str, *, log: bool = True) -> None:
    """Draw panels, two in a row, all with the same axis upwards.

    Args:
        figure (Figure): empty.
        panels (Sequence[Panel]): with at least one curve each.
        title (str): what stands above, and what the values are.
        across (str): what the places are.
        log (bool): whether equal ratios take equal heights, and not equal differences; then all values are positive.
    """
    columns = min(ACROSS, len(panels))
    rows = -(-len(panels) // columns)
    legend = LEGEND_LINE * max(len(panel.curves) for panel in panels)
    figure.set_size_inches(PANEL[0] * columns, TITLE + (PANEL[1] + legend) * rows)
    figure.set_layout_engine("constrained")
    figure.suptitle(visible(title), size="x-large")
    charts = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for panel, chart in zip(panels, charts, strict=False):
        _draw_panel(chart, panel, across)
    for chart in charts[len(panels) :]:
        chart.remove()
    if log:
        axis = log_axis(panels)
        charts[0].set_yscale("log")
        charts[0].set_ylim(10.0**axis.low, 10.0**axis.high)
        charts[0].yaxis.set_major_formatter(lambda value, _: f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e"))


def _draw_panel(chart: Axes, panel: Panel, across: str) -> None:
    from matplotlib.ticker import MaxNLocator

    drawn = []
    for i, curve in enumerate(panel.curves):
        places, values = zip(*curve.points, strict=True)
        line, colour = LINES[i // len(COLOURS) % len(LINES)], COLOURS[i % len(COLOURS)]
        drawn += chart.plot(places, values, line, color=colour, marker="o" if len(values) == 1 else "")
    chart.set_title(cut(visible(panel.title), LONGEST_NAME), size="large")
    chart.set_xlabel(across, color=GREY)
    chart.set_xlim(0, panel.longest)
    chart.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    chart.grid(color=GRID)
    chart.tick_params(labelleft=True)
    # matplotlib leaves out names that begin with an underscore, so they are written into the finished legend.
    names = [cut(visible(curve.name), LONGEST_NAME) for curve in panel.curves]
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0.0, -0.13), "frameon": False, "borderaxespad": 0}
    for text, name in zip(chart.legend(drawn, ["-"] * len(names), **place).get_texts(), names, strict=True):
        text.set_text(name)
