"""What the pictures of forecasts are drawn of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Drawn:
    """A series and what comes next.

    Args:
        name (str): of the series.
        dates (Sequence[str]): of the values that are known, then of those that are forecast.
        past (Sequence[float]): the values that are known; not-a-number where one is missing.
        forecast (Sequence[float]): those that are forecast.
        bands (Mapping[int, tuple[Sequence[float], Sequence[float]]]): the ends of bands, by percent.
        paths (Sequence[Sequence[float]]): sampled ones.
    """

    name: str
    dates: Sequence[str]
    past: Sequence[float]
    forecast: Sequence[float]
    bands: Mapping[int, tuple[Sequence[float], Sequence[float]]]
    paths: Sequence[Sequence[float]]
