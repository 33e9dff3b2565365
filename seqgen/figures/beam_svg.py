"""The tree of a beam search as an SVG picture that needs nothing besides itself: no script, no font."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from seqgen.figures.beam_layout import FONT, PADDING, SMALL_FONT, Box, Column, Style, lay_out
from seqgen.figures.labels import cells, cut, visible
from seqgen.figures.search_tree import SearchTree

if TYPE_CHECKING:
    from seqgen.decode.hypothesis import Branch

_MARGIN, _TOP, _NARROWEST = 28, 118, 900
_LONGEST_SOURCE, _SOURCE_CELL = 300, 12.5
_MONOSPACE = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
_SANS = "system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif"
_INK, _GREY = "#0f172a", "#64748b"


@dataclass(frozen=True)
class _Paint:
    line: str
    thickness: float
    fill: str
    token: str
    number: str
    meaning: str


# In the order in which they are drawn: what matters more lies above.
_PAINTS: Mapping[Style, _Paint] = {
    "dropped": _Paint("#dbe1e8", 1, "#f8fafc", "#8b99ab", "#9fadbe", "dropped"),
    "kept": _Paint("#8aa0bd", 1.8, "#ffffff", _INK, _GREY, "kept"),
    "ended": _Paint("#3b82f6", 1.8, "#dbeafe", "#1e3a8a", "#3358a8", "■ ended"),
    "winner": _Paint("#15803d", 3.6, "#dcfce7", "#14532d", "#15703a", "★ winner"),
}


def beam_svg(
    branches: Sequence[Branch], piece: Callable[[int], str], *, winner: tuple[int, ...], source: str, score: float
) -> str:
    """Draw what a beam search considered.

    Args:
        branches (Sequence[Branch]): one sentence's tree, as `beam_search` records it.
        piece (Callable[[int], str]): a token as it is shown.
        winner (tuple[int, ...]): the token ids of the best output, without the end symbol.
        source (str): the title.
        score (float): the winner's.

    Returns:
        str: an SVG file.
    """
    tree = SearchTree(branches, piece, winner)
    columns = lay_out(tree, score, left=_MARGIN, top=_TOP)
    boxes = {box.node: box for column in columns for box in column.boxes}
    title = cut(visible(source), _LONGEST_SOURCE)
    width = max(_NARROWEST, cells(title) * _SOURCE_CELL, *(box.right for box in boxes.values())) + 2 * _MARGIN
    height = max(box.bottom for box in boxes.values()) + 2 * _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{_MONOSPACE}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        _text(_MARGIN, 44, title, 20, _INK, f'font-family="{_SANS}" font-weight="600"'),
        *_legend(),
        *(part for step, column in enumerate(columns) for part in _around(column, step)),
        *(
            _edge(tree, boxes, box)
            for style in _PAINTS
            for box in boxes.values()
            if box.style == style and box.node >= 0
        ),
        *(part for box in boxes.values() for part in _drawn(tree, box)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _legend() -> Iterator[str]:
    x = float(_MARGIN)
    for style, paint in reversed(list(_PAINTS.items())):
        yield f'<g class="legend {style}">'
        yield _rectangle(x, 60, 22, 15, paint)
        yield _text(x + 30, 72, paint.meaning, 13, _INK, f'font-family="{_SANS}"')
        yield "</g>"
        x += 60 + 8.5 * cells(paint.meaning)
    yield _text(x, 72, "numbers: log-probability so far, in nats", 13, _GREY, f'font-family="{_SANS}"')


def _around(column: Column, step: int) -> Iterator[str]:
    """The number of a step, and how many nodes are left out below it."""
    if column.boxes:
        box = column.boxes[-1]
        middle = box.x + box.width / 2
        if step:
            yield _text(middle, _TOP - 12, f"{step}", SMALL_FONT, _GREY, 'text-anchor="middle"')
        if column.left_out:
            more = f"{column.left_out} more"
            yield _text(middle, box.bottom + 18, more, SMALL_FONT, _GREY, 'text-anchor="middle"')


def _edge(tree: SearchTree, boxes: Mapping[int, Box], box: Box) -> str:
    parent, paint = boxes[tree.branches[box.node].parent], _PAINTS[box.style]
    bend = (parent.right + box.x) / 2
    curve = f"M{parent.right:.1f} {parent.middle:.1f}C{bend:.1f} {parent.middle:.1f} {bend:.1f} {box.middle:.1f}"
    return (
        f'<path class="edge {box.style}" d="{curve} {box.x:.1f} {box.middle:.1f}" fill="none" '
        f'stroke="{paint.line}" stroke-width="{paint.thickness}"/>'
    )


def _drawn(tree: SearchTree, box: Box) -> Iterator[str]:
    paint = _PAINTS[box.style]
    yield f'<g class="node {box.style}">'
    if box.node >= 0:  # what a browser shows under the pointer
        yield f"<title>{escape(tree.token(box.node))} {tree.branches[box.node].log_prob:.4f}</title>"
    yield _rectangle(box.x, box.y, box.width, box.height, paint)
    if box.style == "dropped":
        line = box.middle + 4
        yield _text(box.x + PADDING, line, box.token, SMALL_FONT, paint.token)
        yield _text(box.right - PADDING, line, box.number, SMALL_FONT, paint.number, 'text-anchor="end"')
    else:
        middle, bold = box.x + box.width / 2, ' font-weight="600"' if box.style == "winner" else ""
        yield _text(middle, box.y + 18, box.token, FONT, paint.token, f'text-anchor="middle"{bold}')
        yield _text(middle, box.y + 34, box.number, SMALL_FONT, paint.number, 'text-anchor="middle"')
    yield "</g>"


def _rectangle(x: float, y: float, width: float, height: float, paint: _Paint) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6" fill="{paint.fill}" '
        f'stroke="{paint.line}" stroke-width="{min(paint.thickness, 2)}"/>'
    )


def _text(x: float, y: float, text: str, size: float, colour: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" {more}>{escape(text)}</text>'
