"""What `train-forecaster` brings to the training: its data, network, task, measures and card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqgen.config import ForecasterSettings, in_words
from seqgen.config.forecasting import FittedTransform
from seqgen.data.series import INDEX, Series, build_series
from seqgen.nets.forecaster import Forecaster
from seqgen.tasks.card import model_card
from seqgen.tasks.forecasting.choice import Cut, choose, cut
from seqgen.tasks.forecasting.judge import ENOUGH_ORIGINS, METHODS, calibrate, judge, summary
from seqgen.tasks.forecasting.kind import MEASURES
from seqgen.tasks.forecasting.model import ForecasterModel
from seqgen.tasks.forecasting.task import ForecasterTask
from seqgen.train.recipe import Made
from seqgen.wording import counted

CALLED = {
    "naive": "last value",
    "seasonal_naive": "a season ago",
    "seasonal_trend": "a season ago, and the change since",
    "drift": "last value and drift",
    "linear": "linear, 24 values",
}


class ForecasterRecipe:
    """See `seqgen.train.recipe.Recipe`.

    Args:
        settings (ForecasterSettings): what is wanted.
        warn (Callable[[str], None]): told about gaps and rows out of order.
    """

    index = INDEX
    measures = MEASURES
    used_by = "seqgen forecast"

    def __init__(self, settings: ForecasterSettings, warn: Callable[[str], None] = lambda message: None) -> None:
        self.settings, self._warn = settings, warn

    @property
    def measured_on(self) -> str:
        """The rows that the figures of the card are of."""
        return measured_on(self.settings)

    def sources(self) -> list[str]:
        """The table."""
        return list(self.settings.series.paths)

    def make(self, folder: Path) -> list[Series]:
        """Read the series, or reopen them."""
        series = build_series(self.settings.series, folder, self._warn)
        self._settled(series)  # what cannot be forecast is said before a run begins
        return series

    open = make

    def _settled(self, series: list[Series]) -> tuple[list[Cut], FittedTransform]:
        """Where the series are cut, and what is done to them before they are read."""
        settings = self.settings
        cuts = [cut(one, settings.network, settings.series.valid, settings.series.test) for one in series]
        return cuts, choose(settings.transform, settings.network, series, cuts)

    def build(self, data: list[Series]) -> ForecasterTrainee:
        """An untrained network beside its linear part, its weights a function of the seed."""
        settings = self.settings
        cuts, transform = self._settled(data)
        model = ForecasterModel.new(settings.network, transform, data, cuts, settings.train.seed)
        model.floor = settings.transform.floor
        if settings.transform.minimum == "auto" and all(
            np.nanmin(one.values[: own.train]) >= 0 for one, own in zip(data, cuts, strict=True)
        ):
            model.floor = 0.0
        return ForecasterTrainee(settings, data, cuts, model, self._warn)


def measured_on(settings: ForecasterSettings) -> str:
    """The rows that figures are of, `test` or `valid`."""
    return "test" if settings.series.test else "valid"


@dataclass(frozen=True)
class ForecasterTrainee:
    """See `seqgen.train.recipe.Trainee`."""

    settings: ForecasterSettings
    series: list[Series]
    cuts: list[Cut]
    model: ForecasterModel
    warn: Callable[[str], None]

    @property
    def network(self) -> Forecaster:
        """All of it."""
        return self.model.network

    def task(self, share: Callable[[int], slice]) -> ForecasterTask:
        """Windows of the training rows."""
        train = self.settings.train
        return ForecasterTask(
            self.model, self.series, self.cuts, batch_size=train.batch_size, seed=train.seed, share=share
        )

    def files(self) -> dict[str, bytes]:
        """`config.json`, and the last rows of the series."""
        return self.model.files()

    def described(self) -> tuple[str, str]:
        """Rows, calendar and what was chosen; sizes."""
        rows = sum(own.train for own in self.cuts), sum(own.valid - own.train for own in self.cuts)
        test = sum(len(one) - own.valid for one, own in zip(self.series, self.cuts, strict=True))
        what = f"{len(self.series)} series" if len(self.series) > 1 else self.series[0].name
        return (
            f"{what}, {self.series[0].calendar}: {rows[0]:,} rows to train on, {rows[1]:,} to choose by, {test:,} to "
            f"measure by; {self._chosen}; {self._parameters:,} parameters",
            in_words(self.network.config),
        )

    @property
    def _chosen(self) -> str:
        """What was chosen of the transforms, in words."""
        one = self.model.transform
        relative = {
            "none": "values as they are",
            "last": "relative to the last value",
            "season": "relative to a season ago",
            "trend": "relative to a season ago and its trend",
        }[one.difference]
        words = [relative, *(["logarithms"] if one.log else []), f"the last {one.order} values"]
        words += [f"a season of {one.period:g} steps"] if one.period >= 2 else ["no season"]
        return ", ".join([*words, *(["in units of the window"] if one.window else [])])

    def judge(self, note: Callable[[str], None], stop: Callable[[], bool]) -> dict[str, float] | None:
        """Measure everything on the test rows, and calibrate the band by all rows that were not trained on."""
        found = judge(self.model, self.series, self.cuts, measured_on(self.settings), stop)
        if found is None:
            return None
        if (count := calibrate(self.model, self.series, self.cuts)) < ENOUGH_ORIGINS:
            self.warn(f"the band is not calibrated: {count} origins are too few to check it by")
        measures = summary(found)
        if measures["mase"] >= measures["naive_mase"]:
            self.warn("these forecasts are not better than the last value")
        return measures

    def summary(self, measures: Mapping[str, float]) -> str:
        """MASE beside that of the last value, and coverage."""
        return (
            f"MASE {measures['mase']:.3f} (last value {measures['naive_mase']:.3f}, linear "
            f"{measures['linear_mase']:.3f}), the 80 % band covers {measures['coverage_80']:.0%}"
        )

    def card(self, made: Made, measures: Mapping[str, float]) -> str:
        """The model card."""
        config = self.network.config
        kind = f"{config.cell.upper()}, infinite response" if config.response == "infinite" else "finite response"
        first = self.series[0]
        return model_card(
            made,
            kind=(
                f"A forecaster of the next {config.horizon} values ({kind}), {self._parameters:,} parameters:\n"
                f"{self._chosen}. It knows the past of its series and nothing else."
            ),
            use=f"seqgen forecast -m {made.name} --steps {config.horizon}",
            data=(
                f"Trained on `{self.settings.paths[0]}`, {first.text(0)} to {first.text(len(first) - 1)}, "
                f"{first.calendar}. The data and their licence are their owner's."
            ),
            measures=self._measured(measures),
        )

    @property
    def _parameters(self) -> int:
        return sum(p.numel() for p in self.network.parameters())

    def _measured(self, measures: Mapping[str, float]) -> str:
        rows = [("this model", measures["mase"])]
        rows += [(CALLED[name], measures[f"{name}_mase"]) for name in METHODS if f"{name}_mase" in measures]
        table = "\n".join(f"| {name} | {value:.4f} |" for name, value in rows)
        on = "test rows, of which nothing was learned or chosen" if self.settings.series.test else "validation rows"
        beaten = "" if measures["mase"] < measures["naive_mase"] else "\n\nThis is not better than the last value."
        return (
            f"On the {on}, from every origin, {self.network.config.horizon} steps ahead; errors in mean changes over "
            f"{counted(self.model.transform.lag, 'step')} of the training rows (MASE):\n\n"
            f"| method | MASE |\n|---|---|\n{table}\n\n"
            f"The 80 % band covers {measures['coverage_80']:.1%} and is {measures['width_80']:.2f} such changes wide, "
            f"the 90 % band {measures['coverage_90']:.1%} and {measures['width_90']:.2f}; quantile loss "
            f"{measures['pinball']:.4f}.{beaten}"
        )
