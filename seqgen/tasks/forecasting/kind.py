"""What is known of forecasters by commands that serve every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqgen.config.evaluation import ForecastEvaluation
from seqgen.metrics.measure import Measure, of_the_loop
from seqgen.tasks.kind import Evaluated, Evaluation, Kind, Request

if TYPE_CHECKING:
    import torch

    from seqgen.tasks.forecasting.model import ForecasterModel

MEASURES = (
    Measure("loss", "loss {:.4f}", "", "lower", smoothed=True),
    *of_the_loop("windows"),
    Measure("valid_loss", "valid {:.4f}", "", "lower", shown=True),
    Measure("valid_mase", "MASE {:.4f}", "", "lower", shown=True),
)


def _load(name: str, device: torch.device) -> ForecasterModel:
    from seqgen.tasks.forecasting.model import ForecasterModel

    return ForecasterModel.load(name, device)


def _evaluate(request: Request) -> Evaluated:
    from seqgen.tasks.forecasting.evaluate import evaluate_series

    return evaluate_series(request)


KIND = Kind(
    "forecasting",
    MEASURES,
    rank="valid_loss",
    curve="loss",
    evaluation=Evaluation("a forecaster", ForecastEvaluation, _evaluate),
    load=_load,
    hint="train one with seqgen train-forecaster",
)
