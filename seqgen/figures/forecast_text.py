"""Forecasts in a terminal: a column for each step, dots for what is known, bars for the band."""

from __future__ import annotations

import math

from seqgen.figures.forecasts import Drawn
from seqgen.figures.labels import visible

HEIGHT = 16
MARGIN = 10  # a number and the axis
BAND = 80


def forecast_text(one: Drawn, width: int) -> str:
    """Draw a series and what comes next.

    Args:
        one (Drawn): what is drawn; its beginning is left out where the terminal is too narrow.
        width (int): of the terminal, in characters.
    """
    room = max(20, width - MARGIN - 1)
    ahead = min(len(one.forecast), room - 2)
    past = list(one.past)[-(room - ahead) :]
    low, high = ([end[i] for i in range(ahead)] for end in one.bands[BAND])
    values = [value for value in (*past, *one.forecast[:ahead], *low, *high) if math.isfinite(value)]
    bottom, top = min(values), max(values)
    rows = [[" "] * (len(past) + ahead) for _ in range(HEIGHT)]

    def row(value: float) -> int:
        return round((top - value) / ((top - bottom) or 1.0) * (HEIGHT - 1))

    for i, value in enumerate(past):
        if math.isfinite(value):
            rows[row(value)][i] = "•"
    for i in range(ahead):
        for place in range(row(high[i]), row(low[i]) + 1):
            rows[place][len(past) + i] = "░"
        rows[row(one.forecast[i])][len(past) + i] = "●"
    lines = [visible(f"{one.name}   • known   ● forecast   ░ {BAND} % band")]
    for i, cells in enumerate(rows):
        number = f"{top - (top - bottom) * i / (HEIGHT - 1):.4g}" if i % 5 == 0 else ""
        lines.append(f"{number:>{MARGIN - 2}} {'┤' if number else '│'}{''.join(cells)}".rstrip())
    first, last = one.dates[len(one.past) - len(past)], one.dates[len(one.past) + ahead - 1]
    lines.append(f"{'':{MARGIN - 1}}└{'─' * (len(past) + ahead)}")
    lines.append(f"{'':{MARGIN}}{first}{last:>{max(1, len(past) + ahead - len(first))}}")
    return "\n".join(lines) + "\n"
