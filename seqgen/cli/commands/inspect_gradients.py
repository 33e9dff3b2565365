"""`seqgen inspect --gradients`: how far back the gradient of recurrent language models reaches."""

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
    from seqgen.tasks.language.gradient_flow import LayerFlow, Trend
    from seqgen.tasks.language.model import LanguageModel

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
    """Measure models on a text, and print or draw what was found."""
    measured = _measure([_load(name, place) for name in models], paths, max_distance, terminal)
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


def _load(name: str, place: torch.device) -> LanguageModel:
    """A recurrent language model.

    Raises:
        ModelError: it is something else.
    """
    from seqgen.nets.recurrent.network import RecurrentNetwork
    from seqgen.nets.recurrent.window import WindowNetwork
    from seqgen.tasks import inspection as inspecting
    from seqgen.tasks.language.model import LanguageModel

    _, loaded = inspecting.load(name, place)
    if not isinstance(loaded, LanguageModel):
        raise ModelError(f"{loaded.directory} translates: --gradients looks at recurrent language models")
    if not isinstance(loaded.network, RecurrentNetwork):
        kind = "a window" if isinstance(loaded.network, WindowNetwork) else "a Transformer"
        raise ModelError(f"{loaded.directory} is {kind}: it has no state that a gradient comes back through")
    return loaded


def _measure(
    models: Sequence[LanguageModel], paths: Sequence[str], max_distance: int, terminal: Terminal
) -> list[Measured]:
    from seqgen.data.corpus import open_text, spool
    from seqgen.nets.recurrent.network import RecurrentNetwork
    from seqgen.tasks.language.gradient_flow import gradient_flow

    names = [model.directory.resolve().name for model in models]
    measured = []
    with tempfile.TemporaryDirectory() as folder, terminal.progress("measuring", len(models)) as advance:
        files = [spool(path, Path(folder, f"input-{i}.txt")) for i, path in enumerate(paths)]
        for name, model in zip(names, models, strict=True):
            assert isinstance(model.network, RecurrentNetwork)  # `_load` takes no other
            span = open_text(files, model.tokenizer, Path(folder), warn=terminal.warn)
            shown = name if names.count(name) == 1 else str(model.directory)
            layers = gradient_flow(model.network, span, max_distance)
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
