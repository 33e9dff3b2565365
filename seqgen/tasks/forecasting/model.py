"""Forecasters: to build, to load, and the quantiles that they give.

`seqgen.tasks.forecasting.task` trains one, `seqgen.tasks.forecasting.forecast` goes on with a series by it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seqgen import modeldir
from seqgen.config import ForecasterConfig, ForecasterModelConfig, to_json
from seqgen.config.forecasting import LEVELS, FittedTransform
from seqgen.data.series import Series
from seqgen.decode.step import no_probabilities
from seqgen.errors import DataError, ModelError
from seqgen.nets.forecaster import Forecaster
from seqgen.seeds import derive
from seqgen.tasks.forecasting.choice import Cut, linear_weights
from seqgen.tasks.forecasting.kind import KIND
from seqgen.tasks.forecasting.transform import WAVES, Fitted, Places, Prepared, Values, fit
from seqgen.tasks.opening import Opening

ARCHITECTURE = "forecaster"
HISTORY = "history.json"
# The rows before the last that a model directory keeps: what `forecast` begins with.
MOST_KEPT = 3000
SIDE = len(LEVELS) // 2


def feature_counts(transform: FittedTransform, inputs: int) -> tuple[int, int]:
    """Features of a window and of a step."""
    waves = 2 * WAVES if transform.period >= 2 else 0
    return transform.order + waves + inputs, 1 + waves + inputs


@dataclass
class ForecasterModel:
    """A network, what is done to series before it reads them, and where each series stands.

    Args:
        network (Forecaster): on its device.
        transform (FittedTransform): shared by all series.
        fitted (list[Fitted]): the numbers of each series.
        history (list[Series]): the last rows of each.
        widening (Values): how far each quantile but the median is moved outward, `(horizon, ends)`, in sizes.
        floor (float | None): the smallest value that is forecast.
        directory (Path | None): where it was loaded from.
    """

    network: Forecaster
    transform: FittedTransform
    fitted: list[Fitted]
    history: list[Series]
    widening: Values
    floor: float | None = None
    directory: Path | None = None

    @classmethod
    def new(
        cls,
        config: ForecasterConfig,
        transform: FittedTransform,
        series: Sequence[Series],
        cuts: Sequence[Cut],
        seed: int,
    ) -> ForecasterModel:
        """An untrained model: its linear part fitted, the other weights a function of the seed."""
        torch.manual_seed(derive(seed, "weights"))
        network = Forecaster(config, *feature_counts(transform, series[0].extra.shape[1]))
        network.initialise()
        fitted = [fit(transform, one, own.train) for one, own in zip(series, cuts, strict=True)]
        model = cls(network, transform, fitted, list(series), np.zeros((config.horizon, 2 * SIDE)))
        if network.linear is not None:
            weights = torch.from_numpy(linear_weights(model.prepared(series), cuts, config.horizon)).float()
            network.linear.weight.data.copy_(weights[:-1].t())
            network.linear.bias.data.copy_(weights[-1])
        return model

    @classmethod
    def load(cls, name: str, device: torch.device) -> ForecasterModel:
        """Load a model by path or name; everything is checked before it is used.

        Raises:
            ModelError: no such model, or it is damaged, or it is not a forecaster.
        """
        opening = Opening(name, KIND)
        described, network = opening.network(
            {ARCHITECTURE: ForecasterModelConfig},
            lambda config: Forecaster(config.network, *feature_counts(config.transform, config.inputs)),
        )
        try:
            history = [Series.from_json(one) for one in json.loads(opening.read(HISTORY))]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, DataError):
            raise ModelError(f"{opening.directory / HISTORY} has no series") from None
        if [one.name for one in history] != list(described.series):
            raise ModelError(f"{opening.directory / HISTORY} has other series than {opening.config_path}")
        if any(one.extra.shape[1] != described.inputs for one in history):
            raise ModelError(f"{opening.directory / HISTORY} has other inputs than {opening.config_path}")
        centres, scales = np.array(described.input_centres), np.array(described.input_scales)
        own = zip(described.centres, described.scales, described.offsets, strict=True)
        fitted = [Fitted(*numbers, centres, scales) for numbers in own]
        widening = np.array(described.widening or (0.0,) * (described.network.horizon * 2 * SIDE)).reshape(-1, 2 * SIDE)
        opening.fill(network, device)
        return cls(network, described.transform, fitted, history, widening, described.floor, opening.directory)

    def files(self) -> dict[str, bytes]:
        """What turns a weights file into a model directory."""
        first = self.fitted[0]
        described = ForecasterModelConfig(
            network=self.network.config,
            transform=self.transform,
            series=tuple(one.name for one in self.history),
            inputs=len(first.input_centres),
            centres=tuple(one.centre for one in self.fitted),
            scales=tuple(one.scale for one in self.fitted),
            offsets=tuple(one.offset for one in self.fitted),
            input_centres=tuple(first.input_centres.tolist()),
            input_scales=tuple(first.input_scales.tolist()),
            widening=tuple(self.widening.flatten().tolist()),
            floor=self.floor,
        )
        config = modeldir.ModelConfig(KIND.task, ARCHITECTURE, to_json(described))
        history = modeldir.json_bytes([one.tail(MOST_KEPT).to_json() for one in self.history])
        return {modeldir.CONFIG: config.to_bytes(), HISTORY: history}

    # Forecasts ----------------------------------------------------------------------------------------------------

    @property
    def horizon(self) -> int:
        """Steps ahead that are forecast at once."""
        return self.network.config.horizon

    def prepared(self, series: Sequence[Series]) -> list[Prepared]:
        """Series as the network reads them; each with the numbers of the model's series of its place."""
        return [Prepared(self.transform, one, own) for one, own in zip(series, self.fitted, strict=True)]

    def quantiles(self, prepared: Prepared, places: Places, widening: Values | None = None) -> Values:
        """Quantiles of the values after some places, `(places, horizon, levels)`, in order of the levels.

        Args:
            prepared (Prepared): the series.
            places (Places): in order, none before `prepared.first`.
            widening (Values | None): how far quantiles are moved, `(places, horizon, ends)` in sizes of the windows;
                None for what the model says.

        Raises:
            NonFiniteError: the network overflows.
        """
        relative = widen(self.relative(prepared, places), self.widening if widening is None else widening)
        sizes = prepared.windows(places)[1]
        z = prepared.reference(places, self.horizon)[..., None] + relative * sizes[:, None, None]
        values = prepared.from_z(z)
        if not np.isfinite(values).all():
            raise no_probabilities()
        return self.bounded(values)

    def bounded(self, values: Values) -> Values:
        """Values of any shape, none below the smallest that is forecast."""
        return values if self.floor is None else np.maximum(values, self.floor)

    @torch.inference_mode()
    def relative(self, prepared: Prepared, places: Places) -> Values:
        """The same relative to the reference, in sizes of the windows, and not widened."""
        self.network.eval()
        finite = self.network.config.response == "finite"
        every = places if finite else np.arange(places[0], places[-1] + 1)
        windows = self._tensor(prepared.windows(every)[0])
        steps = self._tensor(np.nan_to_num(prepared.steps[1 : every[-1] + 1])) if not finite else windows
        found = self.network(windows[None], steps[None])[0].double().cpu().numpy()
        return np.asarray(found if finite else found[places - places[0]])

    def _tensor(self, values: Values) -> Tensor:
        return torch.from_numpy(values).float().to(self.network.device)


def widen(relative: Values, widening: Values) -> Values:
    """Quantiles `(..., horizon, levels)`, all but the median moved outward, or inward, but never past it.

    Args:
        relative (Values): the quantiles.
        widening (Values): by how much, `(..., horizon, ends)`: those below the median, then those above it.
    """
    median = relative[..., SIDE : SIDE + 1]
    low = np.minimum(relative[..., :SIDE] - widening[..., :SIDE], median)
    high = np.maximum(relative[..., SIDE + 1 :] + widening[..., SIDE:], median)
    low = np.minimum.accumulate(low[..., ::-1], axis=-1)[..., ::-1]
    return np.concatenate([low, median, np.maximum.accumulate(high, axis=-1)], axis=-1)
