"""Curves over the steps of a run, several in one picture, on a linear or a logarithmic scale."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from seqgen.figures.heatmap import GAP, GREY, INK, WHITE
from seqgen.figures.lettering import Lettering

if TYPE_CHECKING:
    from PIL import Image

Points = Sequence[tuple[float, float]]

COLOURS = ("#1d4ed8", "#b91c1c", "#15803d", "#a16207", "#7e22ce", "#0e7490")
# All lengths are in pixels.
_WIDTH, _HEIGHT, _MARGIN, _TITLE_FONT, _FONT, _LINE = 800, 440, 24, 22, 15, 2
_GRID = "#e2e8f0"
_MOST_TICKS = 6


def curves_png(curves: Mapping[str, Points], title: str, *, log: bool = False) -> bytes:
    """Draw curves, each in a colour of its own, and their names below.

    Args:
        curves (Mapping[str, Points]): by name: steps and values, finite, and above 0 on a logarithmic scale.
        title (str): what stands above.
        log (bool): whether equal ratios take equal lengths, rather than equal differences.

    Returns:
        bytes: a PNG file.
    """
    from PIL import Image, ImageDraw

    values = [value for points in curves.values() for _, value in points]
    marks = log_ticks(min(values), max(values)) if log else ticks(min(values), max(values))
    steps = ticks(min(x for p in curves.values() for x, _ in p), max(x for p in curves.values() for x, _ in p))
    heading, small = Lettering(_TITLE_FONT, title), Lettering(_FONT, "".join(curves) + "0123456789.e+-step")
    left = _MARGIN + max(small.word(f"{mark:g}").width for mark in marks) + GAP
    top = _MARGIN + heading.line_height + GAP
    bottom = top + _HEIGHT + GAP + small.line_height
    size = (left + _WIDTH + 2 * _MARGIN, bottom + small.line_height * (1 + len(curves)) + _MARGIN)
    picture = Image.new("RGB", size, WHITE)
    picture.paste(INK, (_MARGIN, _MARGIN), heading.word(title))
    draw = ImageDraw.Draw(picture)
    across, up = _Axis(steps, left, left + _WIDTH, log=False), _Axis(marks, top + _HEIGHT, top, log=log)
    for mark in marks:
        draw.line([(left, up(mark)), (left + _WIDTH, up(mark))], _GRID)
        _put(picture, small.word(f"{mark:g}"), (left - GAP, round(up(mark))), right=True)
    for mark in steps:
        draw.line([(across(mark), top), (across(mark), top + _HEIGHT)], _GRID)
        _put(picture, small.word(f"{mark:g}"), (round(across(mark)), bottom - small.line_height // 2))
    _put(picture, small.word("step"), (left + _WIDTH // 2, bottom + small.line_height // 2))
    for i, (name, points) in enumerate(curves.items()):
        colour, y = COLOURS[i % len(COLOURS)], bottom + small.line_height * (1 + i)
        draw.line([(across(step), up(value)) for step, value in points], colour, _LINE, joint="curve")
        draw.line([(left, y + small.line_height // 2), (left + _MARGIN, y + small.line_height // 2)], colour, 2 * _LINE)
        picture.paste(INK, (left + _MARGIN + GAP, y), small.word(name))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def ticks(lowest: float, highest: float) -> list[float]:
    """Round numbers, the first not above the lowest value and the last not below the highest."""
    rough = ((highest - lowest) or abs(highest) or 1.0) / _MOST_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough)
    first, last = math.floor(lowest / step), math.ceil(highest / step)
    return [round(step * i, 12) for i in range(first, max(last, first + 1) + 1)]


def log_ticks(lowest: float, highest: float) -> list[float]:
    """Powers of ten around two values above 0; not all of them if they are many."""
    first, last = math.floor(math.log10(lowest)), math.ceil(math.log10(highest))
    every = math.ceil(max(last - first, 1) / _MOST_TICKS)
    return [10.0 ** (first + every * i) for i in range(math.ceil(max(last - first, 1) / every) + 1)]


class _Axis:
    """From a value to a pixel.

    Args:
        marks (list[float]): the first and the last are the ends.
        begin (int): the pixel of the first.
        end (int): the pixel of the last.
        log (bool): see `curves_png`.
    """

    def __init__(self, marks: list[float], begin: int, end: int, *, log: bool) -> None:
        self._of = math.log10 if log else float
        self._low, self._high = self._of(marks[0]), self._of(marks[-1])
        self._begin, self._end = begin, end

    def __call__(self, value: float) -> float:
        share = (self._of(value) - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)


def _put(picture: Image.Image, word: Image.Image, place: tuple[int, int], *, right: bool = False) -> None:
    """Write a word with its middle at a place, or ending there."""
    x = place[0] - (word.width if right else word.width // 2)
    picture.paste(GREY, (x, place[1] - word.height // 2), word)
