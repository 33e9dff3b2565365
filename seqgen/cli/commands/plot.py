"""`seqgen plot`: what runs logged, as curves in one picture."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from seqgen.cli import options, streams
from seqgen.cli.pictures import ChartFile
from seqgen.cli.terminal import Terminal
from seqgen.errors import ModelError, UsageError
from seqgen.tasks import kinds


def plot(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Model or run directories, or names.")],
    measure: Annotated[
        str, typer.Option("--measure", "-m", help="Which number of metrics.jsonl; a usual one if none is named.")
    ] = "",
    log: Annotated[bool, typer.Option("--log", help="A logarithmic scale.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A .png, .svg or .pdf; - is standard output, as is a pipe, and takes a PNG."),
    ] = None,
    font: options.Font = None,
) -> None:
    """Draw a measure of one or more runs over their steps, as PNG, SVG or PDF.

    A run that goes on is drawn as far as it is. A measure that no run has is answered with those that there are.

    ```sh
    seqgen plot shakespeare-lstm --out loss.png
    seqgen plot shakespeare-lstm --measure grad_norm --log --out gradients.png
    ```
    """
    from seqgen import modeldir
    from seqgen.figures.curves import Curve, Panel
    from seqgen.figures.curves_chart import draw_curves

    runs = list(dict.fromkeys(runs))
    logs = {run: modeldir.run_directory(run) / modeldir.METRICS for run in runs}
    measure = measure or _usual(logs[runs[0]])
    piped = out == Path("-") or (out is None and not streams.stdout_is_a_terminal())
    chart = ChartFile(
        "--out", Path("-") if piped else out or Path(f"{measure}.png"), font, Terminal(quiet=False, verbose=False)
    )
    curves = [Curve(run, *_logged(path, measure)) for run, path in logs.items()]
    for run, curve in zip(runs, curves, strict=True):
        if not curve.values:
            known = ", ".join(sorted({name for record in _records(logs[run]) for name in record}))
            if not known:
                raise UsageError(f"{run} has logged nothing yet")
            raise UsageError(f"{run} has no measure {measure!r}", hint=f"known: {known}")
        if log and min(curve.values) <= 0:
            raise UsageError(f"{measure} of {run} is not always above 0, as a logarithmic scale needs it")
    title = measure.replace("_", " ")
    draw = partial(draw_curves, panels=[Panel("", curves)], title=title, across="step", log=log)
    if piped:
        streams.write_bytes(chart.drawn(draw))
    else:
        chart.write(draw)


def _usual(path: Path) -> str:
    """The measure that a run of its kind is usually judged by."""
    known = {name for record in _records(path) for name in record}
    return next((kind.curve for kind in kinds.KINDS if kind.curve in known), kinds.KINDS[0].curve)


def _logged(path: Path, measure: str) -> tuple[list[float], list[float]]:
    """Finite values, and the steps after which they were logged.

    The judgement of the finished model, which is of an earlier step, is left out.
    """
    values, steps = [], []
    for record in _records(path):
        value = record.get(measure)
        if isinstance(value, float | int) and math.isfinite(value) and "step" in record and "final" not in record:
            values.append(float(value))
            steps.append(float(record["step"]))
    return values, steps


def _records(path: Path) -> Iterator[dict[str, float]]:
    """The lines of a log; the last one may be half written by a run that goes on."""
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n") and isinstance(record := json.loads(line, parse_int=float), dict):
                    yield record
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from None
