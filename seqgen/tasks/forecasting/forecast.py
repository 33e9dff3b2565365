"""Going on with a series: the use of a forecaster.

The network says `horizon` steps at once. Beyond them its own forecasts are read as if they had come, and the band is at
least as wide as that of the last steps that were said at once. Sampled paths go on step by step: each draws the next
value from the quantiles of one step ahead, and reads it, as a language model reads its own tokens.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from seqgen.config import SeriesConfig
from seqgen.config.forecasting import LEVELS
from seqgen.data.series import Series, read_series
from seqgen.errors import DataError
from seqgen.metrics.series import Values
from seqgen.seeds import derive
from seqgen.tasks.forecasting.model import SIDE, ForecasterModel
from seqgen.tasks.forecasting.transform import Fitted, Prepared, fit


@dataclass(frozen=True)
class Forecast:
    """What comes next of one series.

    Args:
        series (Series): what is known.
        quantiles (Values): `(steps, levels)`.
        paths (Values): sampled ones, `(paths, steps)`.
    """

    series: Series
    quantiles: Values
    paths: Values

    @property
    def median(self) -> Values:
        """The forecast itself, `(steps,)`."""
        return np.asarray(self.quantiles[:, SIDE])

    def dates(self) -> list[str]:
        """The dates of the steps, as the series writes them."""
        return [self.series.text(len(self.series) + i) for i in range(len(self.quantiles))]

    def band(self, percent: int) -> tuple[Values, Values]:
        """The lower and the upper end, `(steps,)` each, of a band of 50, 80 or 90 percent."""
        pair = {90: 0, 80: 1, 50: 2}[percent]
        return self.quantiles[:, pair], self.quantiles[:, len(LEVELS) - 1 - pair]


def known_series(
    model: ForecasterModel, paths: Sequence[str], config: SeriesConfig, warn: Callable[[str], None]
) -> tuple[list[Series], list[Fitted]]:
    """The series to go on with, and their numbers: those that the model was trained on, or the ones of a table.

    A series that the model does not know by name is measured by its own rows.

    Raises:
        DataError: a series is too short for the model, or has other inputs.
    """
    if not paths:
        return model.history, model.fitted
    known = {one.name: own for one, own in zip(model.history, model.fitted, strict=True)}
    series = read_series(paths[0], config, warn)
    if len(known) == len(series) == 1:
        series = [dataclasses.replace(series[0], name=next(iter(known)))]
    for one in series:
        if one.extra.shape[1] != len(model.fitted[0].input_centres):
            raise DataError(
                f"the model reads {len(model.fitted[0].input_centres)} other inputs", hint="--with names them"
            )
        if len(one) <= need(model):
            raise DataError(f"{one.name} has {len(one)} rows, but the model reads {need(model) + 1} at least")
    return series, [known.get(one.name) or fit(model.transform, one, len(one)) for one in series]


def need(model: ForecasterModel) -> int:
    """The first place of a series that the model can forecast from."""
    transform = model.transform
    return transform.order + (transform.lag if transform.difference in ("season", "trend") else 0)


def forecast(
    model: ForecasterModel, series: Series, fitted: Fitted, steps: int, paths: int = 0, seed: int = 0
) -> Forecast:
    """Go on with a series.

    Args:
        model (ForecasterModel): the network.
        series (Series): what is known.
        fitted (Fitted): its numbers.
        steps (int): how far.
        paths (int): how many to sample.
        seed (int): of these.

    Raises:
        NonFiniteError: the network overflows.
    """
    parts: list[Values] = []
    known = series
    while sum(map(len, parts)) < steps:
        prepared = Prepared(model.transform, known, fitted)
        found = model.quantiles(prepared, np.array([len(known) - 1]))[0]
        if parts:
            found = _at_least_as_wide(found, parts[-1][-1])
        parts.append(found)
        known = _going_on(known, found[:, SIDE])
    generator = np.random.Generator(np.random.PCG64(derive(seed, "paths")))
    sampled = [_path(model, series, fitted, steps, generator) for _ in range(paths)]
    quantiles = model.bounded(np.concatenate(parts)[:steps])
    return Forecast(series, quantiles, np.array(sampled).reshape(paths, steps))


def _at_least_as_wide(quantiles: Values, last: Values) -> Values:
    """Quantiles `(steps, levels)` whose distances from the median are at least those of a step before."""
    median, before = quantiles[:, SIDE : SIDE + 1], last - last[SIDE]
    apart = quantiles - median
    return np.asarray(median + np.where(before < 0, np.minimum(apart, before), np.maximum(apart, before)))


def _going_on(series: Series, values: Values) -> Series:
    """A series with more values; the other inputs stay as they were last."""
    extra = np.concatenate([series.extra, np.repeat(series.extra[-1:], len(values), axis=0)])
    return dataclasses.replace(series, values=np.concatenate([series.values, values]), extra=extra)


def _path(model: ForecasterModel, series: Series, fitted: Fitted, steps: int, generator: np.random.Generator) -> Values:
    known = series
    for _ in range(steps):
        quantiles = model.quantiles(Prepared(model.transform, known, fitted), np.array([len(known) - 1]))[0, 0]
        known = _going_on(known, model.bounded(np.array([drawn(quantiles, generator.random())])))
    return known.values[len(series) :]


def drawn(quantiles: Values, at: float) -> float:
    """The value below which a share `at` lies: straight lines between the quantiles `(levels,)`, and on beyond them."""
    levels = np.array(LEVELS)
    i = int(np.clip(np.searchsorted(levels, at) - 1, 0, len(levels) - 2))
    slope = (quantiles[i + 1] - quantiles[i]) / (levels[i + 1] - levels[i])
    return float(quantiles[i] + (at - levels[i]) * slope)
