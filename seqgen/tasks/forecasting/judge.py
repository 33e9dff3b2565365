"""How good a forecaster is, by rolling origin: each place of some rows is once the last that is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from seqgen.config.forecasting import LEVELS
from seqgen.data.series import Series, filled_forward
from seqgen.metrics import series as measures
from seqgen.metrics.series import Autoregression, Values
from seqgen.tasks.forecasting.choice import Cut, origins
from seqgen.tasks.forecasting.model import SIDE, ForecasterModel
from seqgen.tasks.forecasting.transform import Places, Prepared

# Fewer origins than these say nothing of a band.
ENOUGH_ORIGINS = 20
# A band is calibrated by so many origins, the latest: what was long ago may be of another kind.
LATEST = 120
AUTOREGRESSION_ORDER = 24
# The share that each end of a band is to leave on its inner side.
INSIDE = np.array([*(1 - level for level in LEVELS[:SIDE]), *LEVELS[SIDE + 1 :]])
METHODS = ("naive", "seasonal_naive", "seasonal_trend", "drift", "linear")


@dataclass(frozen=True)
class Judged:
    """Forecasts of one series, and what came.

    Args:
        truth (Values): `(origins, horizon)`.
        quantiles (Values): `(origins, horizon, levels)`.
        simple (dict[str, Values]): the forecasts of simple methods, `(origins, horizon)` each.
        unit (float): the mean change of the training rows over a season, which MASE divides by.
    """

    truth: Values
    quantiles: Values
    simple: dict[str, Values]
    unit: float


def judge(
    model: ForecasterModel, series: Sequence[Series], cuts: Sequence[Cut], part: str, stop: Callable[[], bool]
) -> list[Judged] | None:
    """Forecast from every place of a part of the rows; None when `stop` became true on the way.

    The simple methods know what the model knows: they are fitted on the training rows, and go on from each origin.
    """
    found = []
    for raw, prepared, own in zip(series, model.prepared(series), cuts, strict=True):
        if stop():
            return None
        places = origins(own, prepared, model.horizon, part)
        truth = raw.values[places[:, None] + np.arange(1, model.horizon + 1)]
        period = model.transform.lag
        unit = measures.naive_error(raw.values[: own.train], period)
        simple = simple_forecasts(filled_forward(raw.values), own.train, places, model.horizon, period)
        widening = None if part == "valid" else widenings(model, prepared, own.train, places)
        found.append(Judged(truth, model.quantiles(prepared, places, widening), simple, unit))
    return found


def simple_forecasts(values: Values, train: int, places: Places, horizon: int, period: int) -> dict[str, Values]:
    """What simple methods forecast from some places of a series, `(places, horizon)` each."""
    order = min(AUTOREGRESSION_ORDER, max(1, train // 4))
    linear = Autoregression(values[:train], order, horizon)
    seasonal = 1 < period <= places[0]
    found: dict[str, list[Values]] = {name: [] for name in METHODS if seasonal or not name.startswith("seasonal")}
    for place in places.tolist():
        history = values[: place + 1]
        found["naive"].append(measures.naive(history, horizon))
        found["drift"].append(measures.drift(history, horizon))
        found["linear"].append(linear.forecast(history))
        if seasonal:
            found["seasonal_naive"].append(measures.seasonal_naive(history, horizon, period))
            found["seasonal_trend"].append(measures.seasonal_trend(history, horizon, period))
    return {name: np.array(each) for name, each in found.items()}


def summary(found: Sequence[Judged]) -> dict[str, float]:
    """The measures, each the mean over the series: MASE of all methods, coverage and width of bands, pinball loss."""
    values: dict[str, list[float]] = {}
    for one in found:
        unit = one.unit if np.isfinite(one.unit) else 1.0

        def error(forecast: Values, one: Judged = one, unit: float = unit) -> float:
            return float(np.nanmean(np.abs(forecast - one.truth))) / unit

        own = {"mase": error(one.quantiles[..., SIDE])}
        own |= {f"{name}_mase": error(forecast) for name, forecast in one.simple.items()}
        truth, quantiles = one.truth.flatten(), one.quantiles.reshape(-1, len(LEVELS))
        for pair, name in ((0, "90"), (1, "80")):
            low, high = quantiles[:, pair], quantiles[:, -1 - pair]
            own[f"coverage_{name}"] = measures.coverage(truth, low, high)
            own[f"width_{name}"] = float((high - low).mean()) / unit
        own["pinball"] = float(measures.pinball(truth, quantiles, LEVELS).mean()) / unit
        for name, value in own.items():
            values.setdefault(name, []).append(value)
    return {name: float(np.mean(each)) for name, each in values.items()}


# The band ------------------------------------------------------------------------------------------------------


def widenings(model: ForecasterModel, prepared: Prepared, train: int, places: Places) -> Values:
    """How far each quantile is moved outward at some places, `(places, horizon, ends)`, in sizes of the windows.

    At each place it is what would have been right so far: split conformal prediction for quantiles, each end by itself
    (Romano et al. 2019, theorem 2). It is the `ceil((n + 1) b) / n` quantile of `q - y` below the median and of `y - q`
    above it, where b is the share that the end is to leave on its inner side, over the latest `LATEST` origins behind
    the training rows whose outcome is known at that place. Where these are fewer than `ENOUGH_ORIGINS` nothing moves.

    Args:
        model (ForecasterModel): the network, whose quantiles are to cover what they say.
        prepared (Prepared): a series.
        train (int): where the training rows end.
        places (Places): in order.
    """
    known = np.arange(max(train - 1, prepared.first), places[-1])
    added = np.zeros((len(places), model.horizon, len(INSIDE)))
    if not len(known):
        return added
    relative, truth = model.relative(prepared, known), prepared.targets(known, model.horizon, places[-1] + 1)
    beyond = truth[..., None] - relative
    scores = np.concatenate([-beyond[..., :SIDE], beyond[..., SIDE + 1 :]], axis=-1)
    for step in range(model.horizon):
        for i, place in enumerate(places.tolist()):
            own = scores[
                : np.searchsorted(known, place - step), step
            ]  # those whose step ahead lies at the place or before
            own = own[np.isfinite(own[:, 0])][-LATEST:]
            if len(own) >= ENOUGH_ORIGINS:
                added[i, step] = covering(own)
    return added


def covering(scores: Values) -> Values:
    """How far each end has to be moved to leave its share inside, of scores `(n, ends)`."""
    ranks = np.minimum(len(scores), np.ceil((len(scores) + 1) * INSIDE).astype(np.int64))
    return np.asarray(np.sort(scores, axis=0)[ranks - 1, np.arange(len(INSIDE))])


def calibrate(model: ForecasterModel, series: Sequence[Series], cuts: Sequence[Cut]) -> int:
    """Set the widening of a model by all rows behind its training rows; the mean of its series.

    Returns:
        int: origins that there are; if they are fewer than `ENOUGH_ORIGINS` nothing is added.
    """
    each, counts = [], []
    for prepared, own in zip(model.prepared(series), cuts, strict=True):
        each.append(widenings(model, prepared, own.train, np.array([len(prepared) - 1])))
        counts.append(len(prepared) - max(own.train, prepared.first + 1) - model.horizon + 1)
    model.widening = np.concatenate(each).mean(axis=0)
    return min(counts)
