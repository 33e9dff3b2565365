"""Forecasts as a chart: what is known, what comes next, and the bands around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqgen.figures.chart import GREY, GRID, INK
from seqgen.figures.curves_chart import COLOURS
from seqgen.figures.forecasts import Drawn
from seqgen.figures.labels import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 9.0, 3.6  # of one series, in inches
DATES = 7
MOST_PATHS = 100


def draw_forecasts(figure: Figure, forecasts: Sequence[Drawn]) -> None:
    """Draw series below each other.

    Args:
        figure (Figure): empty.
        forecasts (Sequence[Drawn]): at least one.
    """
    figure.set_size_inches(WIDTH, HEIGHT * len(forecasts))
    figure.set_layout_engine("constrained")
    for one, chart in zip(forecasts, figure.subplots(len(forecasts), 1, squeeze=False).flat, strict=True):
        _draw(chart, one)


def _draw(chart: Axes, one: Drawn) -> None:
    known = len(one.past)
    ahead = range(known, known + len(one.forecast))
    chart.plot(range(known), one.past, color=INK, linewidth=1.2, label="known")
    for percent, (low, high) in sorted(one.bands.items(), reverse=True):
        shade = 0.15 if percent >= 90 else 0.25
        chart.fill_between(ahead, low, high, color=COLOURS[0], alpha=shade, linewidth=0, label=f"{percent} % band")
    for path in one.paths[:MOST_PATHS]:
        chart.plot(ahead, path, color=COLOURS[1], linewidth=0.6, alpha=0.5)
    chart.plot(ahead, one.forecast, color=COLOURS[0], linewidth=1.6, label="forecast")
    apart = max(1, len(one.dates) // DATES)
    ticks = range(0, len(one.dates), apart)
    chart.set_xticks(ticks, [visible(one.dates[i]) for i in ticks], size="small")
    chart.set_title(visible(one.name), loc="left")
    chart.grid(color=GRID)
    chart.tick_params(color=GREY)
    chart.legend(loc="upper left", fontsize="small", frameon=False)
