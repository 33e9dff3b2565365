"""Forecasters: what they may know, that they learn, and that their bands cover what they say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from seqgen import modeldir
from seqgen.config import ForecasterConfig, TransformConfig
from seqgen.config.forecasting import LEVELS, Difference, FittedDifference, FittedTransform, Response
from seqgen.data.calendar import Calendar
from seqgen.data.series import Series
from seqgen.errors import DataError
from seqgen.nets.forecaster import Forecaster
from seqgen.tasks.forecasting.choice import Cut, choose, cut, linear_weights, origins
from seqgen.tasks.forecasting.forecast import drawn, forecast
from seqgen.tasks.forecasting.judge import calibrate, covering, judge, summary, widenings
from seqgen.tasks.forecasting.model import SIDE, ForecasterModel, widen
from seqgen.tasks.forecasting.task import ForecasterTask
from seqgen.tasks.forecasting.transform import Prepared, fit

RESPONSES = get_args(Response)
DIFFERENCES = get_args(FittedDifference)
CALENDAR = Calendar("months", 1, "1990-01-01T00:00:00", 1, style="%Y-%m")


def series_of(values: Any, extra: int = 0) -> Series:
    values = np.asarray(values, dtype=np.float64)
    return Series("x", values, np.arange(len(values) * extra, dtype=np.float64).reshape(len(values), extra), CALENDAR)


def seasonal(count: int = 240, noise: float = 0.3) -> Series:
    draw, time = np.random.Generator(np.random.PCG64(0)), np.arange(count)
    return series_of(20 + 0.05 * time + 3 * np.sin(2 * np.pi * time / 12) + noise * draw.normal(size=count))


def model_of(series: Series, response: Response = "finite", **choices: Any) -> tuple[ForecasterModel, Cut]:
    config = ForecasterConfig(response=response, horizon=4, hidden_size=8, dropout=0.0)
    own = cut(series, config, 0.2, 0.2)
    transform = FittedTransform(**{"order": 6, **choices})
    return ForecasterModel.new(config, transform, [series], [own], 0), own


@pytest.mark.parametrize("difference", DIFFERENCES)
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("window", [False, True])
def test_values_come_back_from_what_is_forecast(difference: FittedDifference, log: bool, window: bool) -> None:
    series = seasonal()
    transform = FittedTransform(difference=difference, log=log, period=12.0, window=window, order=6)
    prepared = Prepared(transform, series, fit(transform, series, 150))
    places = np.arange(prepared.first, 200)
    relative = prepared.targets(places, 5, 240)
    back = prepared.from_z(prepared.reference(places, 5) + relative * prepared.windows(places)[1][:, None])
    np.testing.assert_allclose(back, series.values[places[:, None] + np.arange(1, 6)])


def test_what_is_read_with_numbers_on_paper() -> None:
    series = series_of([1, 2, 4, 7, 11, 16, 22, 29])
    transform = FittedTransform(difference="last", order=3)
    prepared = Prepared(transform, series, dataclasses.replace(fit(transform, series, 6), scale=1.0))
    windows, sizes = prepared.windows(np.array([4]))
    assert (windows.tolist(), sizes.tolist()) == ([[-7, -4, 0]], [1])  # 4 - 11, 7 - 11, 11 - 11
    assert prepared.targets(np.array([4]), 4, 7).tolist()[0][:2] == [5, 11]  # 16 - 11, 22 - 11
    assert np.isnan(prepared.targets(np.array([4]), 4, 7)[0, 2:]).all()  # at the end, or beyond it
    transform = FittedTransform(difference="trend", period=2.0, order=2)
    prepared = Prepared(transform, series, dataclasses.replace(fit(transform, series, 6), scale=1.0))
    # d = y(t) - y(t - 2): 11 - 4 = 7 at 4, 7 - 2 = 5 at 3; the forecast is y(t + h - 2) + d.
    assert prepared.windows(np.array([4]))[0][0, :2].tolist() == [-2, 0]
    assert prepared.reference(np.array([4]), 3)[0].tolist() == [14, 18, 14]


def test_the_season_is_that_of_the_calendar_whatever_rows_are_kept() -> None:
    """A model directory keeps the last rows of a long series: where the season stands must not move with them."""
    series = seasonal()
    model, _ = model_of(series, period=12.0)
    torch.nn.init.normal_(model.network.output.weight)
    whole, rest = (forecast(model, one, model.fitted[0], 4).quantiles for one in (series, series.tail(41)))
    np.testing.assert_allclose(rest, whole, rtol=1e-5)


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("difference", DIFFERENCES)
def test_rows_after_an_origin_change_nothing(response: Response, difference: FittedDifference) -> None:
    """All that is fitted, chosen, read and calibrated at a place knows the rows up to it, to the last bit."""
    series = seasonal()
    model, own = model_of(series, response, difference=difference, period=12.0, log=True)
    torch.nn.init.normal_(model.network.output.weight)
    place = own.valid + 5
    changed = dataclasses.replace(series, values=np.where(np.arange(240) > place, 99.0, series.values))
    found = []
    for each in (series, changed):
        again = ForecasterModel.new(model.network.config, model.transform, [each], [own], 0)
        again.network.load_state_dict(model.network.state_dict())
        [prepared] = again.prepared([each])
        places = np.arange(prepared.first, place + 1)
        added = widenings(again, prepared, own.train, places)
        found.append((linear_weights([prepared], [own], 4), again.quantiles(prepared, places, added)))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_the_choice_knows_nothing_of_the_test_rows() -> None:
    series, config = seasonal(), ForecasterConfig(horizon=4)
    own = cut(series, config, 0.2, 0.2)
    changed = dataclasses.replace(series, values=np.where(np.arange(240) >= own.valid, -5.0, series.values))
    assert choose(TransformConfig(), config, [series], [own]) == choose(TransformConfig(), config, [changed], [own])


def test_a_season_is_found_and_none_where_there_is_none() -> None:
    config = ForecasterConfig(horizon=4)
    found = choose(TransformConfig(), config, [seasonal()], [cut(seasonal(), config, 0.2, 0.2)])
    assert found.period == 12
    walk = series_of(np.cumsum(np.random.Generator(np.random.PCG64(1)).normal(size=240)))
    found = choose(TransformConfig(log="no"), config, [walk], [cut(walk, config, 0.2, 0.2)])
    assert found.difference == "last"


@pytest.mark.parametrize("difference", [one for one in get_args(Difference) if isinstance(one, str)])
def test_what_is_chosen_is_kept(difference: Any) -> None:
    config = ForecasterConfig(horizon=4, order=7)
    transform = TransformConfig(difference=difference, log="yes", season="12", scale="window")
    found = choose(transform, config, [seasonal()], [cut(seasonal(), config, 0.2, 0.2)])
    assert (found.log, found.period, found.window, found.order) == (True, 12, True, 7)
    assert difference in ("auto", found.difference)


@pytest.mark.parametrize("response", RESPONSES)
def test_quantiles_never_cross(response: Response) -> None:
    network = Forecaster(ForecasterConfig(response=response, horizon=3), 5, 2)
    network.initialise()
    torch.nn.init.normal_(network.output.weight, std=3.0)
    found = network(torch.randn(4, 2, 5), torch.randn(4, 9, 2))
    assert found.shape == (4, 2, 3, len(LEVELS))
    assert bool((found.diff(dim=-1) >= 0).all())
    pushed = widen(found.detach().double().numpy(), np.full((3, 2 * SIDE), -99.0))
    np.testing.assert_allclose(pushed, np.repeat(pushed[..., SIDE : SIDE + 1], len(LEVELS), axis=-1))


def test_each_end_of_a_band_is_moved_by_itself() -> None:
    """Ten scores of each end; the lower end at level 0.1 takes the ceil(11 * 0.9) = 10th, that at 0.25 the 9th.

    A rank beyond the last is the last: the ends at 0.05 and 0.95 take the 10th too.
    """
    scores = np.arange(1.0, 11.0)[:, None] * np.array([1, 10, 100, 1, 10, 100])
    assert LEVELS == (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    assert covering(scores[::-1]).tolist() == [10, 100, 900, 9, 100, 1000]
    moved = widen(np.array([[-3.0, -2, -1, 0, 1, 2, 3]]), np.array([[1.0, 1, 0, 0, 5, 0]]))
    assert moved.tolist() == [[-4, -3, -1, 0, 1, 7, 7]]  # the outermost end is never inside


def test_the_finite_response_forgets_and_the_infinite_one_does_not() -> None:
    series = seasonal()
    changed = dataclasses.replace(series, values=np.where(np.arange(240) == 100, 40.0, series.values))
    for response in RESPONSES:
        model, _ = model_of(series, response)
        torch.nn.init.normal_(model.network.output.weight)
        one, other = (
            model.quantiles(Prepared(model.transform, each, model.fitted[0]), np.array([150]))
            for each in (series, changed)
        )
        assert np.array_equal(one, other) is (response == "finite")


@pytest.mark.parametrize("response", RESPONSES)
def test_the_loss_is_the_quantile_loss_and_can_be_learned(response: Response) -> None:
    series = seasonal(noise=0.0)
    model, own = model_of(series, response, period=12.0)
    task = ForecasterTask(model, [series], [own], batch_size=8, seed=0)
    task.prepare(0)
    assert task._batch is not None
    windows, steps, wanted = task._batch
    found = model.network(windows, steps).detach()
    over, levels = wanted[..., None] - found, torch.tensor(LEVELS)
    each = torch.where(over > 0, levels * over, (levels - 1) * over).mean(-1)
    torch.testing.assert_close(task.loss("model", 0, 1).detach(), each[wanted.isfinite()].mean())
    parts = sum(task.loss("model", part, 3).detach() for part in range(3))
    torch.testing.assert_close(parts, task.loss("model", 0, 1).detach())
    optimizer = torch.optim.Adam(model.network.parameters(), 0.01)
    before = task.loss("model", 0, 1).item()
    for _ in range(80):
        optimizer.zero_grad()
        torch.autograd.backward(task.loss("model", 0, 1))
        optimizer.step()
    assert task.loss("model", 0, 1).item() < 0.3 * before


def test_a_calibrated_band_covers_what_it_says() -> None:
    draw = np.random.Generator(np.random.PCG64(3))
    series = series_of(draw.normal(size=1200))
    model, own = model_of(series, difference="none")
    model.network.output.bias.data.view(4, len(LEVELS))[:, 1:] = -4.0  # far too narrow
    found = judge(model, [series], [own], "test", lambda: False)
    assert found is not None
    measures = summary(found)
    assert measures["coverage_80"] == pytest.approx(0.8, abs=0.05)
    assert measures["coverage_90"] == pytest.approx(0.9, abs=0.05)
    assert measures["naive_mase"] > measures["mase"]
    calibrate(model, [series], [own])
    [prepared] = model.prepared([series])
    places = origins(own, prepared, 4, "test")
    quantiles = model.quantiles(prepared, places)
    truth = series.values[places[:, None] + np.arange(1, 5)]
    inside = (truth >= quantiles[..., 1]) & (truth <= quantiles[..., -2])
    assert inside.mean() == pytest.approx(0.8, abs=0.05)


def test_a_constant_series_stays_constant() -> None:
    series = series_of(np.full(120, 7.0))
    model, _ = model_of(series)
    found = forecast(model, series, model.fitted[0], 6)
    np.testing.assert_allclose(found.quantiles, 7.0, atol=1e-6)


def test_a_forecast_goes_on_beyond_the_horizon_with_dates_and_a_band_that_does_not_shrink() -> None:
    series = seasonal()
    model, _ = model_of(series, period=12.0, difference="season")
    found = forecast(model, series, model.fitted[0], 11, paths=40, seed=1)
    assert found.dates()[0] == "2010-01"
    assert (found.quantiles.shape, found.paths.shape) == ((11, len(LEVELS)), (40, 11))
    low, high = found.band(80)
    assert ((high - low)[4:] >= (high - low)[3] - 1e-9).all()
    np.testing.assert_array_equal(found.paths, forecast(model, series, model.fitted[0], 11, paths=40, seed=1).paths)
    middle = np.median(found.paths[:, 0])
    assert abs(middle - found.median[0]) < high[0] - low[0]


def test_a_draw_follows_the_quantiles() -> None:
    quantiles = np.array([-2.0, -1.5, -1.0, 0.0, 1.0, 1.5, 2.0])
    assert drawn(quantiles, 0.5) == 0.0
    assert drawn(quantiles, 0.25) == -1.0
    assert drawn(quantiles, 0.375) == pytest.approx(-0.5)
    assert drawn(quantiles, 0.95) == pytest.approx(2.0)
    assert drawn(quantiles, 0.99) == pytest.approx(2.4)  # on along the last line


@pytest.mark.parametrize("response", RESPONSES)
def test_a_model_comes_back_from_its_files(response: Response, tmp_path: Path) -> None:
    series = dataclasses.replace(seasonal(), extra=np.ones((240, 2)))
    model, own = model_of(series, response, period=12.0)
    calibrate(model, [series], [own])
    weights = {modeldir.WEIGHTS: modeldir.tensors_to_bytes(model.network.state_dict())}
    modeldir.publish(tmp_path / "m", {**model.files(), **weights, modeldir.CARD: b"#\n"})
    again = ForecasterModel.load(str(tmp_path / "m"), torch.device("cpu"))
    one, other = (forecast(each, each.history[0], each.fitted[0], 5).quantiles for each in (model, again))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("count", [3, 20, 40])
def test_too_few_rows_are_refused_with_both_numbers(count: int) -> None:
    with pytest.raises(DataError, match=f"has {count} rows, but about"):
        cut(series_of(np.arange(count)), ForecasterConfig(horizon=12), 0.15, 0.15)
