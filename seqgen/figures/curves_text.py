"""Curves on a logarithmic scale in a terminal, each drawn with a letter of its own."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence

from seqgen.figures.curves import Curve, LogAxis, Panel, log_axis, place_ticks
from seqgen.figures.labels import visible

_HEIGHT = 16
_MARGIN = 7  # a power of ten, a space and the axis
_LETTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits
_MOST_PLACES, _PLACE = 8, 5  # numbers below the axis, and what each takes at least


def curves_text(panels: Sequence[Panel], across: str, width: int) -> str:
    """Draw panels below each other, all with the same axis upwards.

    Args:
        panels (Sequence[Panel]): with at least one curve each.
        across (str): what the places are.
        width (int): of the terminal, in characters.
    """
    axis = log_axis(panels)
    charts = (_panel(panel, axis, across, max(20, width - _MARGIN - 1)) for panel in panels)
    return "\n".join("".join(f"{line.rstrip()}\n" for line in chart) for chart in charts)


def _panel(panel: Panel, axis: LogAxis, across: str, width: int) -> Iterator[str]:
    letters = [_LETTERS[i % len(_LETTERS)] for i in range(len(panel.curves))]
    yield visible(panel.title)
    yield from (f"  {letter}  {visible(curve.name)}" for letter, curve in zip(letters, panel.curves, strict=True))
    rows = [[" "] * width for _ in range(_HEIGHT)]
    for letter, curve in zip(letters, panel.curves, strict=True):
        for row, column in _cells(curve, axis, panel.longest, width):
            rows[row][column] = letter
    named = {round((1 - axis.place(10.0**power)) * (_HEIGHT - 1)): f"1e{power}" for power in axis.ticks(_HEIGHT // 2)}
    for i, line in enumerate(rows):
        yield f"{named.get(i, ''):>{_MARGIN - 2}} {'┤' if i in named else '│'}{''.join(line)}"
    yield from _below(panel.longest, width, across)


def _cells(curve: Curve, axis: LogAxis, longest: int, width: int) -> Iterator[tuple[int, int]]:
    """Row and column of each place; of several places in one column the first."""
    columns: dict[int, float] = {}
    for place, value in curve.points:
        columns.setdefault(round(place / longest * (width - 1)), value)
    for column, value in columns.items():
        row = round((1 - axis.place(value)) * (_HEIGHT - 1))
        if 0 <= row < _HEIGHT:
            yield row, column


def _below(longest: int, width: int, across: str) -> Iterator[str]:
    line, numbers = ["─"] * width, [" "] * (width + 1)
    for place in place_ticks(longest, min(_MOST_PLACES, width // _PLACE)):
        column = round(place / longest * (width - 1))
        line[column] = "┬"
        word = str(place)
        begin = min(max(0, column - len(word) // 2), width + 1 - len(word))
        numbers[begin : begin + len(word)] = word
    margin = " " * (_MARGIN - 1)
    yield f"{margin}└{''.join(line)}"
    yield f"{margin} {''.join(numbers)}"
    yield f"{margin} {across}"
