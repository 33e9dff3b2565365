"""Curves as a picture: panels side by side, each with axes, grid and legend."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqgen.figures.curves import Axis, Panel, linear_axis, log_axis, place_ticks
from seqgen.figures.heatmap import GAP, GREY, INK, WHITE, Corner
from seqgen.figures.labels import visible
from seqgen.figures.lettering import Lettering

if TYPE_CHECKING:
    from PIL import Image

# All lengths are in pixels.
_WIDTH, _HEIGHT = 640, 400  # of the part with the curves
_MARGIN, _BETWEEN, _TITLE_FONT, _FONT = 24, 40, 22, 15
_SWATCH, _THICK = 28, 3
_FINER = 3  # curves are drawn so many times as large, then shrunk: that smooths their steps
_MOST_TICKS = 8
_ACROSS = 2  # panels in a row
_GRID = "#e2e8f0"
# Told apart by those who do not see all colours, too (Okabe and Ito 2008), without the yellow.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")


def curves_png(panels: Sequence[Panel], title: str, across: str, *, log: bool = True) -> bytes:
    """Draw panels, two in a row, all with the same axis upwards.

    Args:
        panels (Sequence[Panel]): with at least one curve each.
        title (str): what stands above, and what the values are.
        across (str): what the places are.
        log (bool): whether equal ratios take equal heights, and not equal differences; then all values are positive.

    Returns:
        bytes: a PNG file.
    """
    from PIL import Image

    axis = log_axis(panels) if log else linear_axis(panels)
    heading = Lettering(_TITLE_FONT, title).word(title)
    drawn = [_panel(panel, axis, across) for panel in panels]
    wide, high = (max(side) for side in zip(*(panel.size for panel in drawn), strict=True))
    columns = min(_ACROSS, len(drawn))
    rows = -(-len(drawn) // columns)
    top = _MARGIN + heading.height + 2 * GAP
    size = (
        max(columns * (wide + _BETWEEN) - _BETWEEN, heading.width) + 2 * _MARGIN,
        top + rows * (high + _BETWEEN) - _BETWEEN + _MARGIN,
    )
    picture = Image.new("RGB", size, WHITE)
    picture.paste(INK, (_MARGIN, _MARGIN), heading)
    for i, panel in enumerate(drawn):
        row, column = divmod(i, columns)
        picture.paste(panel, (_MARGIN + column * (wide + _BETWEEN), top + row * (high + _BETWEEN)))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _panel(panel: Panel, axis: Axis, across: str) -> Image.Image:
    """One panel: its title, its chart with numbers on both axes, its legend."""
    from PIL import Image

    names = [visible(curve.name) for curve in panel.curves]
    small = Lettering(_FONT, "".join([visible(panel.title), across, "0123456789.e+-", *names]))
    title, below, words = small.word(visible(panel.title)), small.word(across), [small.word(name) for name in names]
    left = max(small.word(label).width for label, _ in axis.marks(_MOST_TICKS)) + GAP
    top = title.height + GAP
    legend = top + _HEIGHT + GAP + 2 * small.line_height + GAP
    reach = left + _WIDTH + small.word(str(panel.longest)).width
    width = max(reach, title.width, *(left + _SWATCH + GAP + word.width for word in words))
    picture = Image.new("RGB", (width, legend + len(words) * small.line_height), WHITE)
    picture.paste(INK, (left, 0), title)
    picture.paste(_chart(panel, axis), (left, top))
    _number(picture, (left, top), panel, axis, small)
    picture.paste(GREY, (left + (_WIDTH - below.width) // 2, top + _HEIGHT + GAP + small.line_height), below)
    for i, word in enumerate(words):
        y = legend + i * small.line_height
        middle = y + small.line_height // 2
        picture.paste(_colour(i), (left, middle - _THICK // 2, left + _SWATCH, middle + _THICK - _THICK // 2))
        picture.paste(INK, (left + _SWATCH + GAP, y), word)
    return picture


def _chart(panel: Panel, axis: Axis) -> Image.Image:
    """The curves above a grid, within a frame."""
    from PIL import Image, ImageDraw

    size = (_WIDTH * _FINER, _HEIGHT * _FINER)
    chart = Image.new("RGB", size, WHITE)
    draw = ImageDraw.Draw(chart)
    for _, height in axis.marks(_MOST_TICKS):
        y = round((1 - height) * size[1])
        draw.line((0, y, size[0], y), fill=_GRID, width=_FINER)
    for place in place_ticks(panel.longest, _MOST_TICKS):
        x = round(place / panel.longest * size[0])
        draw.line((x, 0, x, size[1]), fill=_GRID, width=_FINER)
    for i, curve in enumerate(panel.curves):
        points = [(place / panel.longest * size[0], (1 - axis.place(value)) * size[1]) for place, value in curve.points]
        draw.line(points, fill=_colour(i), width=_THICK * _FINER, joint="curve")
    draw.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=GREY, width=_FINER)
    return chart.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)


def _number(picture: Image.Image, corner: Corner, panel: Panel, axis: Axis, small: Lettering) -> None:
    """Values to the left of a chart, places below it."""
    left, top = corner
    for label, height in axis.marks(_MOST_TICKS):
        word = small.word(label)
        y = top + round((1 - height) * _HEIGHT) - small.line_height // 2
        picture.paste(GREY, (left - GAP - word.width, y), word)
    for place in place_ticks(panel.longest, _MOST_TICKS):
        word = small.word(str(place))
        x = left + round(place / panel.longest * _WIDTH) - word.width // 2
        picture.paste(GREY, (x, top + _HEIGHT + GAP // 2), word)


def _colour(i: int) -> str:
    return _COLOURS[i % len(_COLOURS)]
