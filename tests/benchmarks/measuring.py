"""Two sides in one run: interleaved, repeated, and put side by side in a table."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Side = Callable[[], float]


@dataclass(frozen=True)
class Settings:
    """How long to measure.

    Args:
        repeats (int): measurements of each side, after one that does not count.
        threads (int): PyTorch's threads, on both sides.
        quick (bool): so little work that the figures mean nothing; to see that a benchmark runs.
    """

    repeats: int = 5
    threads: int = 2
    quick: bool = False

    def amount(self, full: int) -> int:
        return max(4, full // 20) if self.quick else full


@dataclass(frozen=True)
class Row:
    """One comparison: medians, and the ratio of the medians with the smallest and largest ratio of a repeat."""

    name: str
    ours: float
    peer: float
    unit: str
    ratio: float
    lowest: float
    highest: float
    peer_name: str


def interleaved(sides: Mapping[str, Side], repeats: int) -> dict[str, list[float]]:
    """Measure all sides in turn, A B A B ..., so that a machine that slows down does so for each of them."""
    for side in sides.values():
        side()
    measured: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, side in sides.items():
            measured[name].append(side())
    return measured


def compare(name: str, ours: Sequence[float], peer: Sequence[float], unit: str, peer_name: str) -> Row:
    ratios = [one / other for one, other in zip(ours, peer, strict=True)]
    one, other = statistics.median(ours), statistics.median(peer)
    return Row(name, one, other, unit, one / other, min(ratios), max(ratios), peer_name)


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def table(rows: Sequence[Row]) -> str:
    """Aligned columns of plain text."""
    head = ("comparison", "seqgen", "peer", "unit", "ratio", "min-max", "peer is")
    cells = [head] + [
        (
            r.name,
            _number(r.ours),
            _number(r.peer),
            r.unit,
            f"{r.ratio:.2f}",
            f"{r.lowest:.2f}-{r.highest:.2f}",
            r.peer_name,
        )
        for r in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    right = (1, 2, 4, 5)
    return "\n".join(
        "  ".join(
            cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def to_json(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [dataclasses.asdict(row) for row in rows]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3f}"
