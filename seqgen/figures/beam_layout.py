"""Where everything stands in the picture of a beam search: one column per step, the winner along the top.

In each column nodes stand in the order of their parents, so that no two lines between columns cross.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seqgen.figures.labels import cells, cut, nats
from seqgen.figures.search_tree import SearchTree

Style = Literal["dropped", "kept", "ended", "winner"]

# Of a wider beam a column shows the best.
MOST_ROWS = 40
_LONGEST_TOKEN = 24

# All lengths are in pixels. A cell is as wide as a letter of a monospaced font, and a little more: fonts differ.
FONT, SMALL_FONT = 15, 11.5
_CELL, _SMALL_CELL = 9.4, 7.2
TALL, FLAT, PADDING = 42, 22, 9
_BETWEEN_COLUMNS, _BETWEEN_ROWS = 48, 7


@dataclass(frozen=True)
class Box:
    """A node.

    Args:
        node (int): its place in the list of branches; -1 is the root.
        style (Style): its fate, or `winner` for all nodes on the winner's path.
        token (str): what is written large; symbols tell who ended and who won.
        number (str): what is written small.
        x (float): of its left edge.
        y (float): of its upper edge.
        width (float): the same in the whole column.
        height (float): less if it was dropped.
    """

    node: int
    style: Style
    token: str
    number: str
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Where lines to its children begin."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Of its lower edge."""
        return self.y + self.height

    @property
    def middle(self) -> float:
        """The height at which lines come and go."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class Column:
    """One step of the search.

    Args:
        boxes (list[Box]): from top to bottom.
        left_out (int): how many more were considered.
    """

    boxes: list[Box]
    left_out: int


def lay_out(tree: SearchTree, score: float, *, left: float, top: float) -> list[Column]:
    """Columns for the root and for every step.

    Args:
        tree (SearchTree): what was considered.
        score (float): the winner's.
        left (float): where the first column begins.
        top (float): where all columns begin.
    """
    columns = []
    for nodes, left_out in _choose(tree):
        boxes = [_box(tree, node, score, left) for node in nodes]
        column = _stack(boxes, top)
        columns.append(Column(column, left_out))
        left = column[0].right + _BETWEEN_COLUMNS if column else left
    return columns


def _choose(tree: SearchTree) -> list[tuple[list[int], int]]:
    """The nodes of each column from top to bottom, and how many it leaves out."""

    def rank(node: int) -> tuple[bool, bool, float]:
        branch = tree.branches[node]
        return node not in tree.path, branch.fate == "dropped", -branch.total

    sizes = _sizes(tree)
    columns = [([-1], 0)]
    for size in sizes:
        rows = [child for node in columns[-1][0] for child in sorted(tree.children[node], key=rank)]
        best = set(sorted(rows, key=rank)[:MOST_ROWS])
        columns.append(([node for node in rows if node in best], size - len(best)))
    return columns


def _sizes(tree: SearchTree) -> list[int]:
    """How many nodes each step considered."""
    steps: list[int] = []
    sizes: list[int] = []
    for branch in tree.branches:
        step = steps[branch.parent] + 1 if branch.parent >= 0 else 0
        steps.append(step)
        sizes += [0] * (step + 1 - len(sizes))
        sizes[step] += 1
    return sizes


def _box(tree: SearchTree, node: int, score: float, x: float) -> Box:
    """A box as wide as its own text needs, not yet at its height."""
    if node < 0:
        return _sized("winner" if tree.path else "kept", node, "start", nats(0.0), x)
    fate = tree.branches[node].fate
    token, number = cut(tree.token(node), _LONGEST_TOKEN), tree.total(node)
    if fate == "ended":
        won = node in tree.path
        token = f"{'★' if won else '■'} {token}"
        number += f" · score {nats(score)}" if won else ""
    return _sized("winner" if node in tree.path else fate, node, token, number, x)


def _sized(style: Style, node: int, token: str, number: str, x: float) -> Box:
    if style == "dropped":  # one small line
        width = (cells(token) + 2 + cells(number)) * _SMALL_CELL
        return Box(node, style, token, number, x, 0.0, width + 2 * PADDING, FLAT)
    width = max(cells(token) * _CELL, cells(number) * _SMALL_CELL)
    return Box(node, style, token, number, x, 0.0, width + 2 * PADDING, TALL)


def _stack(boxes: list[Box], y: float) -> list[Box]:
    width = max((box.width for box in boxes), default=0.0)
    stacked = []
    for box in boxes:
        stacked.append(Box(box.node, box.style, box.token, box.number, box.x, y, width, box.height))
        y += box.height + _BETWEEN_ROWS
    return stacked
