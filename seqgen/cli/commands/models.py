"""`seqgen models`: what there is to use."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from seqgen.cli import options, streams, terminal
from seqgen.errors import ModelError
from seqgen.names import on_one_line
from seqgen.tasks import kinds
from seqgen.tasks.kind import Kind


def models(
    ctx: typer.Context,
    card: Annotated[str, typer.Argument(metavar="[MODEL]", help="Print the card of this model instead.")] = "",
    as_json: options.Json = False,
) -> None:
    """List the models and runs below ./models and the models that are shipped, or print the card of one.

    With --json each is one object: name, path, task, architecture, parameters, bytes, measures, shipped, finished, and
    step, which is that of the newest checkpoint of a run that is not finished.

    ```sh
    seqgen models
    seqgen models shakespeare-lstm
    seqgen models --json
    ```
    """
    from seqgen import modeldir

    options.refuse_idle(ctx, options.idle_unless(not card, ("as_json",), "with MODEL, whose card is printed"))
    if card:
        path = modeldir.locate(card) / modeldir.CARD
        if not path.is_file():
            raise ModelError(f"{card} has no card: it is a run that is not finished")
        streams.show(path.read_text(encoding="utf-8", errors="surrogateescape"))
        return
    rows = [_describe(path) for path in modeldir.find_models()]
    for row in rows:
        if as_json:
            streams.write_json(row)
    if as_json:
        return
    for row in rows:
        name, place = on_one_line(row["name"]), on_one_line(row["path"])
        measures = " · ".join(f"{name} {value:.4g}" for name, value in row["measures"].items()) or "not judged"
        size = f"{row['bytes'] / 2**20:.1f} MiB"
        where = "shipped" if row["shipped"] else place
        where += "" if row["finished"] else f", not finished: {_stands(row['step'])}"
        streams.show(f"{name:<24} {row['task']:<16} {row['parameters']:>11,} {size:>9}  {measures}  ({where})\n")
    if not rows:
        terminal.say("no models here; train one, a text for example: seqgen train-lm FILE")


def _stands(step: int | None) -> str:
    return "nothing is saved" if step is None else f"step {step} is saved"


def _describe(path: Path) -> dict[str, Any]:
    """One row of the list, from the directory's small files only."""
    from seqgen import modeldir

    row: dict[str, Any] = {"name": path.name, "path": str(path)}
    shipped = modeldir.shipped_directory()
    finished = (path / modeldir.MANIFEST).is_file()
    saved = [] if finished else modeldir.checkpoints(path)
    place = saved[0] if saved else path
    try:
        config = modeldir.read_config(place)
        row |= {"task": config.task, "architecture": config.architecture}
        row["parameters"] = modeldir.count_parameters(place / modeldir.WEIGHTS) if finished or saved else 0
    except ModelError as error:
        begun = not finished and modeldir.training_command(path)
        row |= {"task": begun or "damaged", "architecture": "", "parameters": 0}
        row |= {} if begun else {"problem": error.message}
    row["bytes"] = sum(file.stat().st_size for file in place.iterdir() if file.is_file())
    row["measures"] = _last_measures(path / "metrics.jsonl", kinds.of(row["task"]))
    row["shipped"] = shipped is not None and path.resolve().parent == shipped.resolve()
    row |= {"finished": finished, "step": modeldir.step_of(saved[0]) if saved else None}
    return row


def _last_measures(path: Path, kind: Kind | None) -> dict[str, float]:
    """The exact measures at the end of a run, or while it is not finished its best evaluation so far."""
    if kind is None:
        return {}
    names = [measure.name for measure in kind.measures if measure.shown]
    best: dict[str, float] = {}
    lowest = math.inf
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
            measures = {name: float(record[name]) for name in names if name in record}
            rank = measures[kind.rank]
            final = record.get("final", False)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue  # a line of a training step, or one that a kill cut short
        if final or rank < lowest:
            best, lowest = measures, rank
    return best
