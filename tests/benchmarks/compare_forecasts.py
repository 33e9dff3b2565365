"""Forecasts beside those of statsforecast, on the same origins of the same rows: MASE, not speed.

    python tests/benchmarks/compare_forecasts.py sales.csv --column sold --horizon 12 --season 12

It needs an environment with statsforecast beside seqgen. Each method of it is fitted anew at every origin, to the rows
up to there; the network was trained once, on the rows before the test rows.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqgen.config import ForecasterConfig, ForecasterSettings, SeriesConfig, TrainConfig
from seqgen.data.series import filled_forward
from seqgen.tasks.forecasting.choice import origins
from seqgen.tasks.forecasting.judge import judge
from seqgen.tasks.forecasting.model import SIDE, ForecasterModel
from seqgen.tasks.forecasting.recipe import ForecasterRecipe
from seqgen.train.session import train


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", help="CSV")
    parser.add_argument("--column", default="", help="what to forecast, if there are several")
    parser.add_argument("--horizon", type=int, default=12)
    parser.add_argument("--season", type=int, default=12, help="for the methods of statsforecast")
    parser.add_argument("--origins", type=int, default=24, help="evenly spread over the test rows")
    parser.add_argument("--rows", type=int, default=600, help="the last ones that statsforecast is given")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    settings = ForecasterSettings(
        series=SeriesConfig(paths=(chosen.table,), columns=(chosen.column,) if chosen.column else ()),
        network=ForecasterConfig(horizon=chosen.horizon),
        train=TrainConfig(**vars(ForecasterSettings().train) | {"threads": 1, "seed": chosen.seed}),
    )
    with tempfile.TemporaryDirectory() as folder:
        recipe = ForecasterRecipe(settings)
        train(recipe, Path(folder, "model"))
        model = ForecasterModel.load(str(Path(folder, "model")), torch.device("cpu"))
        series = recipe.make(Path(folder, "data"))
    cuts, _ = recipe._settled(series)
    found = judge(model, series, cuts, "test", lambda: False)
    assert found is not None
    [one], [prepared], [own] = found, model.prepared(series), cuts
    places = origins(own, prepared, chosen.horizon, "test")
    picked = np.unique(np.linspace(0, len(places) - 1, chosen.origins).round().astype(int))
    values = filled_forward(series[0].values)
    rows: dict[str, list[np.ndarray[Any, Any]]] = {}
    for i in picked.tolist():
        history = values[: places[i] + 1][-chosen.rows :]
        answers = {"seqgen": one.quantiles[i, :, SIDE], "last value": np.full(chosen.horizon, history[-1])}
        for name, forecast in (answers | _peers(history, chosen.horizon, chosen.season)).items():
            rows.setdefault(name, []).append(np.abs(forecast - one.truth[i]) / one.unit)
    print(f"{chosen.table}, {chosen.horizon} ahead, {len(picked)} origins")
    for name, errors in rows.items():
        print(f"{name:12} MASE {np.nanmean(errors):.3f}")


def _peers(history: np.ndarray[Any, Any], horizon: int, season: int) -> dict[str, np.ndarray[Any, Any]]:
    from statsforecast.models import AutoARIMA, AutoETS, AutoTheta  # type: ignore[import-not-found]

    found = {}
    for method in (AutoETS, AutoARIMA, AutoTheta):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found[method.__name__] = method(season_length=season).forecast(y=history, h=horizon)["mean"]
    return found


if __name__ == "__main__":
    main()
