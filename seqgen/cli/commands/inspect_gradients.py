"""`seqgen inspect --gradients`: how far back the gradient of recurrent networks reaches."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqgen.cli import streams
from seqgen.cli.pictures import ChartFile
from seqgen.cli.terminal import Terminal
from seqgen.errors import ModelError

if TYPE_CHECKING:
    import torch

    from seqgen.figures.curves import Panel
    from seqgen.tasks.gradient_flow import LayerFlow, Trend

TITLE = "The gradient through time: typical norm of dJ(t) / ds(t-d), s the whole state (h, of an LSTM h and c)"
ACROSS = "d, steps back"


@dataclass(frozen=True)
class Measured:
    """A model and what its layers do."""

    name: str
    cell: str
    layers: Sequence[LayerFlow]

    @property
    def trend(self) -> Trend:
        """That of the layer that keeps its gradient longest."""
        return max((layer.trend for layer in self.layers), key=lambda trend: trend.rate)


def show(
    models: Sequence[str],
    paths: Sequence[str],
    max_distance: int,
    place: torch.device,
    chart: ChartFile,
    terminal: Terminal,
    *,
    as_json: bool,
) -> None:
    """Measure models on their data, and print or draw what was found."""
    measured = _measure(models, paths, max_distance, place, terminal)
    if as_json:
        streams.write_json({"models": [_as_json(model) for model in measured]})
    if chart.path is not None:
        from seqgen.figures.curves_chart import draw_curves

        chart.write(partial(draw_curves, panels=_panels(measured), title=TITLE, across=ACROSS))
        for model in measured:
            terminal.note(f"{chart.path}: {model.name}, {model.cell}, {model.trend}")
    elif not as_json:
        from seqgen.figures.curves_text import curves_text

        for model in measured:
            streams.show(f"{_described(model)}\n")
        streams.show(f"{TITLE}\n\n{curves_text(_panels(measured), ACROSS, shutil.get_terminal_size().columns)}")


def _measure(
    names: Sequence[str], paths: Sequence[str], max_distance: int, place: torch.device, terminal: Terminal
) -> list[Measured]:
    """Measure each of some models.

    Raises:
        ModelError: one hands no state on.
    """
    from seqgen.data.corpus import spool
    from seqgen.tasks import inspection as inspecting

    models = [inspecting.load(name, place) for name in names]
    short = [model.directory.resolve().name for _, model in models]
    measured = []
    with tempfile.TemporaryDirectory() as folder, terminal.progress("measuring", len(models)) as advance:
        kept = [path if Path(path).is_dir() else spool(path, Path(folder, str(i))) for i, path in enumerate(paths)]
        for name, (kind, model) in zip(short, models, strict=True):
            if kind.gradients is None:
                known = "recurrent language models and classifiers"
                raise ModelError(f"{model.directory} is {kind.called}: --gradients looks at {known}")
            layers = kind.gradients(model, kept, max_distance, terminal.warn)
            shown = name if short.count(name) == 1 else str(model.directory)
            measured.append(Measured(shown, model.network.config.cell, layers))
            advance(1)
    return measured


# Showing ------------------------------------------------------------------------------------------------------


def _panels(measured: Sequence[Measured]) -> list[Panel]:
    """One model: a panel with a curve for each layer. Several: for each layer a panel with a curve for each model."""
    from seqgen.figures.curves import Curve, Panel

    if len(measured) == 1:
        (model,) = measured
        curves = [Curve(f"layer {i} · {layer.trend}", layer.norms) for i, layer in enumerate(model.layers, 1)]
        return [Panel(f"{model.name}, {model.cell}", curves)]
    deepest = max(len(model.layers) for model in measured)
    return [
        Panel(
            f"layer {i + 1}",
            [Curve(_titled(m, m.layers[i].trend), m.layers[i].norms) for m in measured if i < len(m.layers)],
        )
        for i in range(deepest)
    ]


def _titled(model: Measured, trend: Trend) -> str:
    return f"{model.name} · {trend}" if model.name == model.cell else f"{model.name}, {model.cell} · {trend}"


def _described(model: Measured) -> str:
    lines = [f"{model.name}, {model.cell} · {model.trend}"]
    for i, layer in enumerate(model.layers, 1):
        radii = ", ".join(f"{name} {radius:.2f}" for name, radius in layer.spectral_radii.items())
        lines.append(f"  layer {i}  {layer.trend}")
        lines.append(f"           norm of one step {layer.step_norm:.2f} · spectral radius {radii}")
    return "".join(f"{line}\n" for line in lines)


def _as_json(model: Measured) -> dict[str, Any]:
    layers = [
        _trend_as_json(layer.trend)
        | {
            "step_norm": _short(layer.step_norm),
            "spectral_radii": {name: _short(radius) for name, radius in layer.spectral_radii.items()},
            "norms": [_short(norm) for norm in layer.norms],
            "mean_norms": [_short(norm) for norm in layer.mean_norms],
            "h_norms": [_short(norm) for norm in layer.h_norms],
        }
        for layer in model.layers
    ]
    return {"model": model.name, "cell": model.cell} | _trend_as_json(model.trend) | {"layers": layers}


def _trend_as_json(trend: Trend) -> dict[str, Any]:
    steps = {"half_life": trend.half_life, "doubling": trend.doubling}
    return {"verdict": trend.verdict} | {
        name: None if count is None else _short(count) for name, count in steps.items()
    }


def _short(value: float) -> float:
    """As many digits as fp32 holds."""
    return float(f"{value:.6g}")
