"""How good forecasts are, and the forecasts that any method has to beat.

Shapes: a history is `(time,)`, not-a-number where a value is missing; a forecast is `(horizon,)`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
# Ridge regression: this share of the mean square of the inputs is added to the diagonal.
RIDGE = 1e-3


def pinball(truth: Values, quantiles: Values, levels: tuple[float, ...]) -> Values:
    """The quantile loss by level, `(levels,)`: `max(q (y - f), (q - 1) (y - f))`, a mean over what is not missing.

    Koenker and Bassett 1978. Half of that of the median is the mean absolute error.

    Args:
        truth (Values): `(n,)`.
        quantiles (Values): `(n, levels)`.
        levels (tuple[float, ...]): from 0 to 1.
    """
    over = truth[:, None] - quantiles
    q = np.array(levels)
    return np.asarray(np.nanmean(np.maximum(q * over, (q - 1) * over), axis=0))


def naive_error(history: Values, period: int) -> float:
    """The mean absolute difference of a history's values and those a period before, what MASE divides by.

    Returns:
        float: not-a-number where there are none, or where it is zero: then MASE says nothing.
    """
    apart = np.abs(history[period:] - history[:-period])
    found = float(np.nanmean(apart)) if np.isfinite(apart).any() else float("nan")
    return found if found > 0 else float("nan")


def coverage(truth: Values, low: Values, high: Values) -> float:
    """The share of true values, of those that are not missing, that lie in a band."""
    there = np.isfinite(truth)
    return float(((truth >= low) & (truth <= high))[there].mean())


# Simple forecasts ---------------------------------------------------------------------------------------------


def naive(history: Values, horizon: int) -> Values:
    """The last value."""
    return np.full(horizon, history[-1])


def seasonal_naive(history: Values, horizon: int, period: int) -> Values:
    """The value a season before."""
    return np.asarray(history[len(history) - period + np.arange(horizon) % period])


def seasonal_trend(history: Values, horizon: int, period: int) -> Values:
    """The value a season before, and what the last one has changed since then."""
    return np.asarray(seasonal_naive(history, horizon, period) + history[-1] - history[-1 - period])


def drift(history: Values, horizon: int) -> Values:
    """The last value, and for each step the mean change of the history."""
    return np.asarray(history[-1] + np.arange(1, horizon + 1) * (history[-1] - history[0]) / max(1, len(history) - 1))


class Autoregression:
    """A linear function of the last values for each step ahead, fitted by least squares with a little ridge.

    Both sides are taken relative to the last value, so that a constant added to a series is added to its forecasts.

    Args:
        history (Values): to fit by, without missing values.
        order (int): values that are read.
        horizon (int): steps.
    """

    def __init__(self, history: Values, order: int, horizon: int) -> None:
        self.order = order
        windows = np.lib.stride_tricks.sliding_window_view(history, order + horizon)
        read, wanted = windows[:, :order], windows[:, order:]
        self._weights = ridge(_with_one(read - read[:, -1:]), wanted - read[:, -1:])

    def forecast(self, history: Values) -> Values:
        """The values after a history."""
        read = history[-self.order :]
        return np.asarray(read[-1] + (_with_one((read - read[-1])[None]) @ self._weights)[0])


def _with_one(table: Values) -> Values:
    return np.concatenate([table, np.ones((len(table), 1))], axis=1)


def ridge(inputs: Values, wanted: Values, strength: float = RIDGE) -> Values:
    """The matrix `(inputs, outputs)` of least squares, drawn a little to zero.

    Args:
        inputs (Values): `(n, inputs)`.
        wanted (Values): `(n, outputs)`; a row with a missing value is left out of the fit of its output.
        strength (float): of the ridge, in mean squares of the inputs.
    """
    there = np.isfinite(wanted)
    if there.all():
        return _solved(inputs, wanted, strength)
    columns = [_solved(inputs[rows], wanted[rows, i : i + 1], strength) for i, rows in enumerate(there.T)]
    return np.concatenate(columns, axis=1)


def _solved(inputs: Values, wanted: Values, strength: float) -> Values:
    if not len(inputs):
        return np.zeros((inputs.shape[1], wanted.shape[1]))
    gram = inputs.T @ inputs
    gram[np.diag_indices_from(gram)] += strength * (np.trace(gram) / len(gram)) + 1e-12
    return np.asarray(np.linalg.solve(gram, inputs.T @ wanted))
