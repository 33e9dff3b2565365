"""What `evaluate` says of a forecaster and a table of its series."""

from __future__ import annotations

import numpy as np

from seqgen.config import SeriesConfig
from seqgen.config.evaluation import ForecastEvaluation
from seqgen.data.series import Series
from seqgen.errors import DataError, UsageError
from seqgen.tasks.forecasting.choice import Cut
from seqgen.tasks.forecasting.forecast import known_series, need
from seqgen.tasks.forecasting.judge import METHODS, judge, summary
from seqgen.tasks.forecasting.model import ForecasterModel
from seqgen.tasks.forecasting.recipe import CALLED
from seqgen.tasks.kind import Evaluated, Request
from seqgen.wording import counted

WIDTH = 34


def evaluate_series(request: Request) -> Evaluated:
    """MASE beside that of simple forecasts, coverage and width of the band, and the quantile loss, by rolling origin.

    Raises:
        SeqgenError: the model or the table cannot be used, or has no rows that the model has not seen.
    """
    options: ForecastEvaluation = request.options
    if len(request.paths) != 1:
        raise UsageError("a forecaster is judged on one table")
    model = ForecasterModel.load(request.model, request.device)
    config = SeriesConfig(
        columns=options.columns, extra=options.extra, time_column=options.time_column, group=options.group
    )
    series, fitted = known_series(model, request.paths, config, request.warn)
    cuts = [_cut(model, one, options.last) for one in series]
    model.history, model.fitted = series, fitted
    found = judge(model, series, cuts, "test", lambda: False)
    assert found is not None  # nothing asks this pass to stop
    measures = summary(found)
    if measures["mase"] >= measures["naive_mase"]:
        request.warn("these forecasts are not better than the last value")
    lines = [f"{'MASE, ' + str(model.horizon) + ' steps ahead':{WIDTH}}{measures['mase']:.4f}"]
    lines += [
        f"{'  ' + CALLED[name]:{WIDTH}}{measures[f'{name}_mase']:.4f}" for name in METHODS if f"{name}_mase" in measures
    ]
    for percent in (80, 90):
        lines.append(
            f"{f'the {percent} % band covers':{WIDTH}}{measures[f'coverage_{percent}']:.4f}, width "
            f"{measures[f'width_{percent}']:.3f}"
        )
    lines.append(f"{'quantile loss':{WIDTH}}{measures['pinball']:.4f}")
    origins = sum(len(one.truth) for one in found)
    lines.append(f"{'origins':{WIDTH}}{origins:,}, errors in mean changes over {counted(model.transform.lag, 'step')}")
    return Evaluated({**measures, "origins": origins, "period": model.transform.lag}, "\n".join(lines) + "\n", WIDTH)


def _cut(model: ForecasterModel, series: Series, last: int) -> Cut:
    """The rows to judge by: the last ones, or those that are new to the model.

    Raises:
        DataError: there are too few.
    """
    known = {one.name: one for one in model.history}.get(series.name)
    start = len(series) - last if last else _new(known, series) if known else need(model) + 1
    if len(series) - start <= model.horizon or start <= need(model):
        raise DataError(
            f"{series.name} has {max(0, len(series) - start)} rows to judge by, but {model.horizon + 1} are needed to "
            f"judge {model.horizon} steps, and {need(model) + 1} before them",
            hint="--last N judges the last N rows, whether or not they are new to the model",
        )
    return Cut(start, start)


def _new(known: Series, series: Series) -> int:
    """The first row that comes after all that the model has seen."""
    return int(np.searchsorted(series.steps_since_epoch(), known.steps_since_epoch()[-1], side="right"))
