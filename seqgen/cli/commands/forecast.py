"""`seqgen forecast`: what comes next of a series."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen.cli import options, streams
from seqgen.cli.answering import note_shipped, ready
from seqgen.cli.pictures import ChartFile
from seqgen.cli.terminal import Terminal
from seqgen.config import DATA, SeriesConfig, in_words
from seqgen.errors import UsageError
from seqgen.wording import counted

if TYPE_CHECKING:
    from seqgen.tasks.forecasting.forecast import Forecast

DEFAULT = "sunspots"
BANDS = (80, 90)
DIGITS = 6
PLOTTED_BEFORE = 3  # times the steps that are forecast: what is drawn of the past


def forecast(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="CSV", help="A table to go on with; else the series that the model learned from."),
    ] = None,
    model: Annotated[str, options.model(DEFAULT)] = DEFAULT,
    steps: Annotated[int, typer.Option(min=1, max=10_000, help="Steps ahead.")] = 12,
    sampled: Annotated[
        int, typer.Option("--paths", min=0, max=10_000, metavar="N", help="Columns of N sampled paths.")
    ] = 0,
    seed: options.SamplingSeed = None,
    columns: Annotated[
        list[str] | None, typer.Option("--column", metavar="NAME", help="Column to go on with.", rich_help_panel=DATA)
    ] = None,
    extra: Annotated[
        list[str] | None, typer.Option("--with", metavar="NAME", help="Column that is read too.", rich_help_panel=DATA)
    ] = None,
    time_column: Annotated[str, typer.Option(metavar="NAME", help="Column of dates.", rich_help_panel=DATA)] = "",
    group: Annotated[
        str, typer.Option(metavar="NAME", help="Column that tells series apart.", rich_help_panel=DATA)
    ] = "",
    plot: Annotated[bool, typer.Option("--plot", help="Draw it in the terminal instead.")] = False,
    png: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw it as a picture too: a .png, .svg or .pdf.")
    ] = None,
    font: options.Font = None,
    as_json: options.Json = False,
    device: options.Device = "cpu",
    threads: options.Threads = 0,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Go on with a series: CSV with date, forecast, and the ends of bands that cover 80 and 90 percent.

    The dates go on as those of the series do; holidays are not known before. Beyond the steps that the model says at
    once (--horizon of train-forecaster) it reads its own forecasts. JSON, one object for each series: series, dates,
    forecast, low_80, high_80, low_90, high_90, paths.

    ```sh
    seqgen forecast --steps 24
    seqgen forecast -m f sales.csv --steps 30 --png forecast.png > forecast.csv
    seqgen forecast --steps 36 --plot
    ```
    """
    terminal = Terminal(quiet=quiet, verbose=verbose)
    options.refuse_idle(
        ctx,
        options.idle_unless(bool(sampled), ("seed",), "without --paths")
        | options.idle_unless(png is not None, ("font",), "without --png")
        | options.idle_unless(bool(paths), ("columns", "extra", "time_column", "group"), "without a table")
        | options.idle_unless(not plot, ("as_json", "sampled"), "with --plot"),
    )
    if paths and len(paths) > 1:
        raise UsageError(f"one table, not {len(paths)}", hint="--group tells the series of one table apart")
    chart = ChartFile("--png", png, font, terminal)

    from seqgen.seeds import fresh
    from seqgen.tasks.forecasting.forecast import forecast as go_on
    from seqgen.tasks.forecasting.forecast import known_series
    from seqgen.tasks.forecasting.model import ForecasterModel

    used, count = ready(device, threads or 1)
    note_shipped(model, named="model" in options.given(ctx), terminal=terminal)
    loaded = ForecasterModel.load(model, used)
    terminal.detail(f"{loaded.directory}; {used}, {counted(count, 'thread')}; {in_words(loaded.network.config)}")
    if sampled and seed is None:
        seed = fresh()
        terminal.note(f"seed {seed}")
    config = SeriesConfig(columns=tuple(columns or ()), extra=tuple(extra or ()), time_column=time_column, group=group)
    series, fitted = known_series(loaded, paths or [], config, terminal.warn)
    found = [go_on(loaded, one, own, steps, sampled, seed or 0) for one, own in zip(series, fitted, strict=True)]
    if chart.path is not None:
        from seqgen.figures.forecast_chart import draw_forecasts

        chart.write(partial(draw_forecasts, forecasts=[_drawn(one) for one in found]))
        terminal.note(f"{chart.path}: {counted(steps, 'step')} of {', '.join(one.series.name for one in found)}")
    if plot:
        from seqgen.figures.forecast_text import forecast_text

        width = shutil.get_terminal_size().columns
        streams.show("\n".join(forecast_text(_drawn(one), width) for one in found))
    elif as_json:
        for one in found:
            streams.write_json(_described(one))
    else:
        streams.write(_table(found))


def _table(found: Sequence[Forecast]) -> str:
    """CSV of all series, below each other."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    several = len(found) > 1
    paths = [f"path_{i}" for i in range(1, len(found[0].paths) + 1)]
    ends = [f"{end}_{percent}" for percent in BANDS for end in ("low", "high")]
    writer.writerow([*(["series"] if several else []), "step", "date", "forecast", *ends, *paths])
    for one in found:
        rows = zip(one.dates(), one.median.tolist(), *_ends(one), *one.paths.tolist(), strict=True)
        for step, (date, *values) in enumerate(rows, 1):
            numbers = [f"{value:.{DIGITS}g}" for value in values]
            writer.writerow([*([one.series.name] if several else []), step, date, *numbers])
    return text.getvalue()


def _ends(one: Forecast) -> Iterator[list[float]]:
    for percent in BANDS:
        yield from (end.tolist() for end in one.band(percent))


def _described(one: Forecast) -> dict[str, Any]:
    names = [f"{end}_{percent}" for percent in BANDS for end in ("low", "high")]
    numbers = {"forecast": one.median.tolist(), **dict(zip(names, _ends(one), strict=True))}
    described = {name: [float(f"{value:.{DIGITS}g}") for value in values] for name, values in numbers.items()}
    paths = [[float(f"{value:.{DIGITS}g}") for value in path] for path in one.paths.tolist()]
    return {"series": one.series.name, "dates": one.dates(), **described, "paths": paths}


def _drawn(one: Forecast) -> Any:
    """What the pictures are drawn of."""
    from seqgen.figures.forecasts import Drawn

    past = one.series.tail(max(24, PLOTTED_BEFORE * len(one.median)))
    dates = [past.text(i) for i in range(len(past))] + one.dates()
    bands = {percent: (low.tolist(), high.tolist()) for percent in BANDS for low, high in [one.band(percent)]}
    return Drawn(one.series.name, dates, past.values.tolist(), one.median.tolist(), bands, one.paths.tolist())
