"""Measures of forecasts and simple forecasts, with numbers worked on paper."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seqgen.metrics.series import (
    Autoregression,
    coverage,
    drift,
    naive,
    naive_error,
    pinball,
    ridge,
    seasonal_naive,
    seasonal_trend,
)

NAN = math.nan
HISTORY = np.array([1.0, 5.0, 2.0, 7.0])


def test_the_quantile_loss() -> None:
    quantiles = np.array([[1.0, 2.0], [4.0, 5.0], [0.0, 9.0]])
    # 0.1: 0.1 * 2, 0.9 * 1, and 0.1 * 1; 0.5: half of 1, 2 and 8.
    losses = pinball(np.array([3.0, 3.0, 1.0]), quantiles, (0.1, 0.5))
    assert losses == pytest.approx([(0.2 + 0.9 + 0.1) / 3, (0.5 + 1 + 4) / 3])
    assert pinball(np.array([3.0, NAN, NAN]), quantiles, (0.1, 0.5)) == pytest.approx([0.2, 0.5])


def test_what_mase_divides_by() -> None:
    assert naive_error(HISTORY, 1) == pytest.approx((4 + 3 + 5) / 3)
    assert naive_error(HISTORY, 2) == pytest.approx((1 + 2) / 2)
    assert naive_error(np.array([1.0, NAN, 4.0, 6.0]), 1) == 2.0
    assert math.isnan(naive_error(np.full(9, 3.0), 1))
    assert math.isnan(naive_error(np.array([1.0]), 1))


def test_coverage_of_what_is_not_missing() -> None:
    truth = np.array([1.0, 2.0, NAN, 4.0])
    assert coverage(truth, np.full(4, 1.0), np.full(4, 3.0)) == pytest.approx(2 / 3)


def test_simple_forecasts() -> None:
    assert naive(HISTORY, 2).tolist() == [7, 7]
    assert drift(HISTORY, 2).tolist() == [9, 11]  # (7 - 1) / 3 a step
    assert seasonal_naive(HISTORY, 3, 2).tolist() == [2, 7, 2]
    assert seasonal_trend(HISTORY, 3, 2).tolist() == [4, 9, 4]  # 7 - 5 more


def test_a_linear_series_is_forecast_by_the_linear_function() -> None:
    draw = np.random.Generator(np.random.PCG64(0))
    values = [1.0, 2.0]
    for _ in range(400):
        values.append(0.5 * values[-1] + 0.3 * values[-2] + draw.normal())
    truth = 0.5 * values[-1] + 0.3 * values[-2]
    assert Autoregression(np.array(values), 2, 1).forecast(np.array(values))[0] == pytest.approx(truth, abs=0.3)


def test_ridge_is_least_squares_and_leaves_out_what_is_missing() -> None:
    draw = np.random.Generator(np.random.PCG64(0))
    inputs, weights = draw.normal(size=(50, 3)), draw.normal(size=(3, 2))
    wanted = inputs @ weights
    assert ridge(inputs, wanted, 0.0) == pytest.approx(weights, abs=1e-9)
    wanted[::3, 1] = NAN
    assert ridge(inputs, wanted, 0.0) == pytest.approx(weights, abs=1e-9)
    assert abs(ridge(inputs, wanted, 1e9)).max() < 1e-6
