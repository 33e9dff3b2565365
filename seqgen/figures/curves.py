"""What curves are drawn of, and where a logarithmic axis begins and ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Powers of ten that an axis reaches at most; what lies beyond leaves the picture.
_LOWEST, _HIGHEST = -12, 12


@dataclass(frozen=True)
class Curve:
    """Values, what they are, and the places where they stand, from 0 on: 0, 1, 2, ... unless others are given."""

    name: str
    values: Sequence[float]
    places: Sequence[float] | None = None

    @property
    def points(self) -> list[tuple[float, float]]:
        """Place and value of each."""
        places = range(len(self.values)) if self.places is None else self.places
        return list(zip(places, self.values, strict=True))


@dataclass(frozen=True)
class Panel:
    """Curves that share axes."""

    title: str
    curves: Sequence[Curve]

    @property
    def longest(self) -> int:
        """The last place of the longest curve, at least 1."""
        return max(1, *(math.ceil(curve.points[-1][0]) for curve in self.curves))


@dataclass(frozen=True)
class LogAxis:
    """Whole powers of ten, from `low` to `high`."""

    low: int
    high: int

    def place(self, value: float) -> float:
        """Where a value stands: 0 at the low end, 1 at the high end; beyond these outside of the axis."""
        return (math.log10(value) - self.low) / (self.high - self.low)

    def ticks(self, most: int) -> list[int]:
        """At most so many powers of ten, equally far apart; the high end is one."""
        apart = math.ceil((self.high - self.low + 1) / most)
        return list(range(self.high, self.low - 1, -apart))


def log_axis(panels: Sequence[Panel]) -> LogAxis:
    """The axis that shows all curves of all panels, as far as that is reasonable."""
    values = [value for panel in panels for curve in panel.curves for value in curve.values]
    low = min(max(math.floor(math.log10(min(values))), _LOWEST), _HIGHEST - 1)
    return LogAxis(low, max(min(math.ceil(math.log10(max(values))), _HIGHEST), low + 1))


def place_ticks(longest: int, most: int) -> range:
    """At most so many of the places 0 to `longest`, as far apart as 1, 2, 5, 10, 20, ..."""
    apart = next(step * 10**power for power in range(20) for step in (1, 2, 5) if longest // (step * 10**power) < most)
    return range(0, longest + 1, apart)
