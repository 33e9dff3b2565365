"""What is done to series before they are read, chosen by linear forecasts on the validation rows.

The linear function of the last values is fitted in a moment, so that every choice can be tried: what values are taken
relative to, logarithms, the season, how many values are read, the size of a step. The training rows fit, the rows after
them choose; those after these, the test rows, are not looked at.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqgen.config import ForecasterConfig, TransformConfig
from seqgen.config.forecasting import FittedDifference, FittedTransform
from seqgen.data.series import Series, filled_forward
from seqgen.errors import DataError
from seqgen.metrics.series import naive_error, ridge
from seqgen.tasks.forecasting.transform import Prepared, fit

ORDERS = (12, 24, 36)
RIDGES = (1e-3, 1e-2, 1e-1, 1.0)
# Another choice has to be better by so much.
MARGIN = 0.01
MOST_PLACES = 4000
# To choose by more origins than those of the validation rows, the linear forecasts are fitted on this share only of all
# rows before the test rows, and tried on the others.
FITTED = 0.6
LEAST_ORIGINS = 3


@dataclass(frozen=True)
class Cut:
    """Where the training rows, and then the validation rows, end."""

    train: int
    valid: int


def cut(series: Series, config: ForecasterConfig, valid: float, test: float) -> Cut:
    """Where a series is cut.

    Raises:
        DataError: it is too short for that.
    """
    count, need = len(series), config.horizon + LEAST_ORIGINS - 1
    ends = round(count * (1 - valid - test)), round(count * (1 - test))
    held = (ends[1] - ends[0], *([count - ends[1]] if test else []))
    order = config.order or min(ORDERS)
    if min(held) < need or ends[0] < order + 2 * config.horizon:
        parts = valid + test
        least = max(need / min(valid, test or valid), (order + 2 * config.horizon) / max(1e-9, 1 - parts))
        raise DataError(
            f"{series.name} has {count} rows, but about {int(least) + 1} are needed to forecast {config.horizon} steps",
            hint="a shorter --horizon or --order needs fewer",
        )
    for start, stop in ((0, ends[0]), ends, *([(ends[1], count)] if test else [])):
        if np.isfinite(series.values[start:stop]).sum() < min(need, stop - start) / 2:
            raise DataError(
                f"{series.name}: of the rows {series.text(start)} to {series.text(stop - 1)} too many are missing"
            )
    return Cut(*ends)


def origins(cut: Cut, prepared: Prepared, horizon: int, part: str) -> NDArray[np.int64]:
    """The places in a part of the rows from which all steps ahead lie in the part, too."""
    start, stop = {"train": (0, cut.train), "valid": (cut.train, cut.valid), "test": (cut.valid, len(prepared))}[part]
    first = max(start - 1, prepared.first)
    return np.arange(first, max(first, stop - horizon))


def linear_weights(prepared: Sequence[Prepared], cuts: Sequence[Cut], horizon: int) -> NDArray[np.float64]:
    """The linear function of the windows' features that fits the training rows, `(features + 1, horizon)`."""
    inputs, wanted = [], []
    for one, own in zip(prepared, cuts, strict=True):
        places = origins(own, one, 1, "train")
        places = places[:: max(1, len(places) // MOST_PLACES)]
        features, _ = one.windows(places)
        inputs.append(np.concatenate([features, np.ones((len(places), 1))], axis=1))
        wanted.append(one.targets(places, horizon, own.train))
    return ridge(np.concatenate(inputs), np.concatenate(wanted), prepared[0].transform.ridge)


def choose(
    transform: TransformConfig, network: ForecasterConfig, series: Sequence[Series], cuts: Sequence[Cut]
) -> FittedTransform:
    """The choices that were left open.

    Args:
        transform (TransformConfig): what was chosen already.
        network (ForecasterConfig): how many values are read, and forecast.
        series (Sequence[Series]): all of them share one choice.
        cuts (Sequence[Cut]): where they are cut.

    Raises:
        DataError: what was chosen does not suit the series.
    """
    cuts = [Cut(round(FITTED * own.valid), own.valid) for own in cuts]
    scores: dict[FittedTransform, float] = {}

    def score(one: FittedTransform) -> float:
        if one not in scores:
            scores[one] = _error(one, network.horizon, series, cuts)
        return scores[one]

    def best_of(candidates: Sequence[FittedTransform]) -> FittedTransform:
        tried = [one for one in candidates if np.isfinite(score(one))]
        if not tried:
            raise DataError("the rows are too few for this season and order", hint="--season 0 needs fewer")
        lowest = min(map(score, tried))
        return next(one for one in tried if score(one) <= lowest * (1 + MARGIN))

    best = FittedTransform(order=network.order or ORDERS[0], window=transform.scale == "window")
    best = best_of(_shapes(transform, series, cuts, best))
    best = best_of(_orders(network, best))
    sizes = (False, True) if transform.scale == "auto" else (best.window,)
    best = best_of([dataclasses.replace(best, window=window) for window in sizes])
    return best_of([dataclasses.replace(best, ridge=strength) for strength in RIDGES])


def _shapes(
    transform: TransformConfig, series: Sequence[Series], cuts: Sequence[Cut], base: FittedTransform
) -> list[FittedTransform]:
    """Differences, seasons and logarithms, the simplest first."""
    seasons = _seasons(transform, series, cuts)
    positive = all(np.nanmin(one.values[: own.train]) >= 0 for one, own in zip(series, cuts, strict=True))
    if transform.log == "yes" and not positive:
        raise DataError("--log yes: there are values below zero")
    logs = [False, True] if transform.log == "auto" and positive else [transform.log == "yes"]
    every: tuple[FittedDifference, ...] = ("last", "none", "season", "trend")
    kinds = [kind for kind in every if transform.difference in ("auto", kind)]
    found = [
        dataclasses.replace(base, difference=kind, period=period, log=log)
        for period in seasons
        for kind in kinds
        for log in logs
        if period >= 2 or kind in ("last", "none")
    ]
    if not found:
        raise DataError(f"--difference {transform.difference} needs a season", hint="--season N")
    return found


def _orders(network: ForecasterConfig, best: FittedTransform) -> list[FittedTransform]:
    if network.order:
        return [best]
    seasonal = [best.lag + 1] if 2 <= best.lag <= max(ORDERS) else []
    return [dataclasses.replace(best, order=order) for order in sorted({*ORDERS, *seasonal})]


def _seasons(transform: TransformConfig, series: Sequence[Series], cuts: Sequence[Cut]) -> list[float]:
    """No season, those of the calendar, and the one that the training rows show; if none was chosen."""
    shortest = min(own.train for own in cuts)
    if transform.season != "auto":
        if transform.period >= shortest:
            raise DataError(f"a season of {transform.season} steps is longer than the {shortest} rows to fit by")
        return [transform.period]
    found = [*series[0].calendar.seasons, *_shown(series[0].values[: cuts[0].train])]
    return [0.0, *(season for season in dict.fromkeys(found) if 3 * season <= shortest)]


def _shown(values: NDArray[np.float64]) -> Iterable[float]:
    """The lag at which differences resemble themselves most, if they do clearly."""
    changes = np.diff(filled_forward(values))
    changes = changes - changes.mean()
    count = len(changes)
    if count < 24 or not changes.any():
        return
    padded = np.fft.rfft(changes, 2 * count)
    likeness = np.fft.irfft(np.abs(padded) ** 2)[: count // 3]
    likeness = likeness / likeness[0]
    peaks = [
        lag
        for lag in range(3, len(likeness) - 1)
        if likeness[lag] > max(likeness[lag - 1], likeness[lag + 1], 4 / np.sqrt(count), 0.2)
    ]
    if peaks:
        yield float(max(peaks, key=lambda lag: likeness[lag]))


def _error(transform: FittedTransform, horizon: int, series: Sequence[Series], cuts: Sequence[Cut]) -> float:
    """The mean error of linear forecasts on the validation rows, in mean changes of the training rows; by series."""
    prepared = [Prepared(transform, one, fit(transform, one, own.train)) for one, own in zip(series, cuts, strict=True)]
    if any(one.first + horizon >= own.train for one, own in zip(prepared, cuts, strict=True)):
        return float("inf")
    weights = linear_weights(prepared, cuts, horizon)
    errors = []
    for raw, one, own in zip(series, prepared, cuts, strict=True):
        places = origins(own, one, horizon, "valid")
        features, sizes = one.windows(places)
        relative = (features @ weights[:-1] + weights[-1]) * sizes[:, None]
        found = one.from_z(one.reference(places, horizon) + relative)
        truth = raw.values[places[:, None] + np.arange(1, horizon + 1)]
        unit = naive_error(raw.values[: own.train], 1)
        errors.append(float(np.nanmean(np.abs(found - truth))) / (unit if np.isfinite(unit) else 1.0))
    return float(np.mean(errors))
