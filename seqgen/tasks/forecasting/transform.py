"""What a forecaster reads of a series, and how what it says becomes values again.

Everything that is fitted is fitted on the training rows; what stands at a place is a function of the values up to it.
With z for a value, or its logarithm, in units of the training rows, at a place t:

    none      reads z(t - i), and forecasts z(t + h)
    last      reads z(t - i) - z(t), and forecasts z(t + h) - z(t)
    season    reads d(t - i) = z(t - i) - z(t - i - s), and forecasts z(t + h) - z(t + h - s)
    trend     reads d(t - i) - d(t), and forecasts z(t + h) - z(t + h - s) - d(t)

Beyond one season z(t + h - s) is that of the last season that is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqgen.config.forecasting import FittedTransform
from seqgen.data.series import Series, filled_forward

Values = NDArray[np.float64]
Places = NDArray[np.int64]
WAVES = 3  # sines and cosines of a season
LEAST_SIZE = 0.1  # of a window, in units of the training rows


@dataclass(frozen=True)
class Fitted:
    """The numbers that belong to one series.

    Args:
        centre (float): of its values, or their logarithms.
        scale (float): of what is forecast, relative as it is.
        offset (float): what is added before a logarithm is taken.
        input_centres (Values): of the other inputs, `(inputs,)`.
        input_scales (Values): the same.
    """

    centre: float
    scale: float
    offset: float
    input_centres: Values
    input_scales: Values


def fit(transform: FittedTransform, series: Series, train: int) -> Fitted:
    """Fit on the first `train` rows of a series."""
    values = series.values[:train]
    offset = 0.0
    if transform.log:
        positive = values[values > 0]
        offset = 0.0 if np.nanmin(values) > 0 else 0.5 * float(positive.min()) if len(positive) else 1.0
    unit = Fitted(0.0, 1.0, offset, np.zeros(series.extra.shape[1]), np.ones(series.extra.shape[1]))
    plain = Prepared(transform, series, unit)
    relative = plain.steps[:train, 0]
    relative = relative[np.isfinite(relative)]
    if transform.difference == "none":
        centre, scale = float(relative.mean()), float(relative.std())
    else:
        centre, scale = 0.0, float(np.sqrt(np.mean(relative**2)))
    floor = 1e-9 * max(1.0, float(np.nanmax(np.abs(plain.z[:train]))))
    extra = series.extra[:train]
    spread = extra.std(axis=0)
    return Fitted(centre, max(scale, floor), offset, extra.mean(axis=0), np.where(spread > 0, spread, 1.0))


class Prepared:
    """A series as the network reads it.

    Args:
        transform (FittedTransform): what is done.
        series (Series): all of it.
        fitted (Fitted): its numbers.
    """

    def __init__(self, transform: FittedTransform, series: Series, fitted: Fitted) -> None:
        self.transform, self.fitted = transform, fitted
        self.there = np.isfinite(series.values)
        self._times = series.steps_since_epoch()
        self.z = self._to_z(filled_forward(series.values))
        self.extra = (series.extra - fitted.input_centres) / fitted.input_scales
        lag = transform.lag
        apart = np.full_like(self.z, np.nan)
        apart[lag:] = self.z[lag:] - self.z[:-lag] if lag < len(self.z) else apart[lag:]
        self._read = apart if transform.difference in ("season", "trend") else self.z
        before = np.concatenate([[np.nan], self._read[:-1]])
        own = self._read - before if transform.difference in ("last", "trend") else self._read
        self.steps = np.concatenate([own[:, None], self._waves(), self.extra], axis=1)

    def __len__(self) -> int:
        return len(self.z)

    @property
    def first(self) -> int:
        """The first place at which there is enough before."""
        seasonal = self.transform.difference in ("season", "trend")
        return self.transform.order + (self.transform.lag if seasonal else 0)

    def _to_z(self, values: Values) -> Values:
        if self.transform.log:
            values = np.log(np.maximum(values + self.fitted.offset, np.finfo(np.float64).tiny * 1e8))
        return np.asarray((values - self.fitted.centre) / self.fitted.scale)

    def from_z(self, z: Values) -> Values:
        """Values again, of any shape."""
        values = z * self.fitted.scale + self.fitted.centre
        return np.asarray(np.exp(np.minimum(values, 700.0)) - self.fitted.offset if self.transform.log else values)

    def _waves(self) -> Values:
        if self.transform.period < 2:
            return np.zeros((len(self.z), 0))
        phase = 2 * np.pi * self._times / self.transform.period
        waves = [wave(k * phase) for k in range(1, WAVES + 1) for wave in (np.sin, np.cos)]
        return np.stack(waves, axis=1)

    def windows(self, places: Places) -> tuple[Values, Values]:
        """Features of the windows that end at some places, `(places, features)`, and their sizes `(places,)`."""
        back = np.arange(self.transform.order - 1, -1, -1)
        read = self._read[places[:, None] - back]
        if self.transform.difference in ("last", "trend"):
            read = read - read[:, -1:]
        size = np.ones(len(places))
        if self.transform.window:
            own = self.steps[:, 0][places[:, None] - back[:-1]] if len(back) > 1 else read
            size = np.maximum(np.sqrt(np.mean(own**2, axis=1)), LEAST_SIZE)
        return np.concatenate([read / size[:, None], self.steps[places, 1:]], axis=1), size

    def reference(self, places: Places, horizon: int) -> Values:
        """What the values after some places are forecast relative to, `(places, horizon)`, in z."""
        kind, lag = self.transform.difference, self.transform.lag
        if kind == "none":
            return np.zeros((len(places), horizon))
        if kind == "last":
            return np.repeat(self.z[places][:, None], horizon, axis=1)
        ahead = np.arange(horizon)
        seasons = self.z[places[:, None] + 1 - lag + ahead % lag]
        return np.asarray(seasons if kind == "season" else seasons + self._read[places][:, None])

    def targets(self, places: Places, horizon: int, end: int) -> Values:
        """What is to be forecast at some places, `(places, horizon)`, in sizes of their windows.

        Not-a-number for what is missing, or stands at `end` or later.
        """
        ahead = places[:, None] + np.arange(1, horizon + 1)
        inside = ahead < min(end, len(self.z))
        index = np.where(inside, ahead, 0)
        z = np.where(inside & self.there[index], self.z[index], np.nan)
        return np.asarray((z - self.reference(places, horizon)) / self.windows(places)[1][:, None])
