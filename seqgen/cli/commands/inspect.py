"""`seqgen inspect`: what is inside a model, and what it looks at."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen.cli import options, streams
from seqgen.cli.answering import ready
from seqgen.cli.commands import inspect_gradients
from seqgen.cli.pictures import ChartFile
from seqgen.cli.terminal import Terminal
from seqgen.config import LEAST_DISTANCE, in_words
from seqgen.errors import UsageError
from seqgen.tasks.kind import Kind
from seqgen.wording import counted

if TYPE_CHECKING:
    from seqgen.tasks.attention_maps import AttentionMaps
    from seqgen.tasks.inspection import PositionMatrix
    from seqgen.tasks.language.model import LanguageModel
    from seqgen.tasks.translation.model import TranslationModel

DEFAULT, GRADIENTS_DEFAULT = "multi30k-de-en", "shakespeare-lstm"
MOST_DISTANCE = 500  # every step stays in memory, 3.5 MiB each of a network of the default size
WHAT = "What to look at"


def inspect(
    ctx: typer.Context,
    model: Annotated[str, options.model(DEFAULT)] = DEFAULT,
    attention: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="What the tokens of a text look at; of a captioner, those of its caption of a clip (a file).",
            rich_help_panel=WHAT,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="A translation of --attention TEXT; else the model's own, by beam search.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    positions: Annotated[
        bool, typer.Option("--positions", help="How positions are told apart.", rich_help_panel=WHAT)
    ] = False,
    gradients: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATA",
            help="How the gradient of a recurrent network comes back through time, on a text or labelled texts.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL...", help="More models for --gradients, in one picture.", rich_help_panel=WHAT),
    ] = None,
    max_distance: Annotated[
        int,
        typer.Option(
            min=LEAST_DISTANCE, max=MOST_DISTANCE, help="How many steps back --gradients looks.", rich_help_panel=WHAT
        ),
    ] = 100,
    png: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw it as a picture: a .png, .svg or .pdf.", rich_help_panel=WHAT),
    ] = None,
    font: options.Font = None,
    as_json: options.Json = False,
    device: options.Device = "cpu",
    threads: options.Threads = 1,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Show what is inside a model: its sizes and parameters, its attention, its positions, its gradient through time.

    --attention shows one map per layer and head: of a language model what each token of the text looks at; of a
    translation model what the tokens of source and target look at; of a captioner which frames of a clip each token of
    its caption looked at. A row sums to one. With --png nothing is printed.

    --gradients follows the gradient of a token's loss J(t) back to the states s(t-d) before it (s is h, and of an
    LSTM h and c): its norm by distance d, the mean of the logarithms over 64 places of the text. The line through
    these says in how many steps it halves or doubles. Vanishing: it halves within fewer than 3; exploding: it doubles
    within fewer than 20; healthy: neither. A model is as healthy as the layer that keeps its gradient longest. Of a
    classifier J is the loss of a text's label, or of its last word's, and s the state of the forward direction. Without
    -m and --compare it is shakespeare-lstm that is looked at.

    JSON keys: model, task, architecture, parameters, vocab_size, source_vocab_size, network, parts.
    Of --attention: maps, a list of kind, rows, columns and weights (by layer, head, row, column). Of --positions: kind
    and values (by position). Of --gradients: models, a list of model, cell, verdict, half_life, doubling (steps, or
    null) and layers: verdict, half_life, doubling, step_norm (of the Jacobian of one step), spectral_radii (by gate),
    and by distance norms, mean_norms (the mean of the norms) and h_norms (with regard to h alone).

    ```sh
    seqgen inspect
    seqgen inspect --attention "Ein Hund rennt." --target "A dog runs." --png attention.png
    seqgen inspect --gradients data.txt --max-distance 50
    ```
    """
    terminal = Terminal(quiet=quiet, verbose=verbose)
    chosen = options.given(ctx).keys()
    views = [name for name in ("attention", "positions", "gradients") if name in chosen]
    if len(views) > 1:
        raise UsageError(f"--{views[0]} and --{views[1]}: choose one")
    options.refuse_idle(
        ctx,
        options.idle_unless("attention" in views, ("target",), "without --attention")
        | options.idle_unless("gradients" in views, ("compare", "max_distance"), "without --gradients")
        | options.idle_unless(bool(views), ("png",), "without --attention, --positions or --gradients")
        | options.idle_unless(png is not None, ("font",), "without --png"),
    )
    chart = ChartFile("--png", png, font, terminal)

    from seqgen.tasks import inspection as inspecting

    used, count = ready(device, threads)
    if gradients:
        models = [*([model] if "model" in chosen else []), *(compare or [])] or [GRADIENTS_DEFAULT]
        terminal.detail(f"{', '.join(models)}; {used}, {counted(count, 'thread')}")
        inspect_gradients.show(models, gradients, max_distance, used, chart, terminal, as_json=as_json)
        return
    kind, loaded = inspecting.load(model, used)
    terminal.detail(f"{loaded.directory}; {used}, {counted(count, 'thread')}; {in_words(loaded.network.config)}")
    if attention is not None:
        _show_attention(_attention_maps(kind, loaded, attention, target), chart, as_json=as_json)
    elif positions:
        _show_positions(inspecting.position_matrix(loaded), chart, as_json=as_json)
    else:
        _show_parts(_described(loaded), as_json=as_json)


# Parts --------------------------------------------------------------------------------------------------------


def _described(model: LanguageModel | TranslationModel) -> dict[str, Any]:
    from seqgen import modeldir
    from seqgen.config import to_json
    from seqgen.tasks.inspection import parameters_by_part

    assert model.directory is not None
    config = modeldir.read_config(model.directory)
    parts = parameters_by_part(model.network)
    return {
        "model": str(model.directory),
        "task": config.task,
        "architecture": config.architecture,
        "parameters": sum(parts.values()),
        "vocab_size": config.vocab_size,
        "source_vocab_size": config.source_vocab_size,
        "network": to_json(model.network.config),
        "parts": parts,
    }


def _show_parts(described: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        streams.write_json(described)
        return
    total = described["parameters"]
    streams.show(f"{described['model']}\n{described['task']}, {described['architecture']}, {total:,} parameters\n\n")
    sizes = {name: described[name] for name in ("source_vocab_size", "vocab_size") if described[name]}
    for name, value in (sizes | described["network"]).items():
        streams.show(f"{_words(name):<28}{_words(str(value)):>12}\n")
    streams.show(f"\n{'part':<28}{'parameters':>12}   share\n")
    for part, count in described["parts"].items():
        streams.show(f"{_words(part):<28}{count:>12,}  {count / total:6.1%}\n")


def _words(name: str) -> str:
    return name.replace("_", " ")


# Attention ----------------------------------------------------------------------------------------------------


def _attention_maps(kind: Kind, model: Any, text: str, target: str | None) -> Sequence[AttentionMaps]:
    assert kind.attention is not None  # what has none is not loaded
    typed = None if target is None else streams.typed(target, "the target")
    return kind.attention(model, streams.typed(text, "the text"), typed)


def _show_attention(kinds: Sequence[AttentionMaps], chart: ChartFile, *, as_json: bool) -> None:
    if as_json:
        maps = [
            {"kind": m.kind, "rows": m.rows, "columns": m.columns, "weights": _rounded(m.weights.tolist())}
            for m in kinds
        ]
        streams.write_json({"maps": maps})
    if chart.path is not None:
        from seqgen.figures.maps_chart import draw_maps

        chart.write(partial(draw_maps, kinds=kinds))
        chart.terminal.note(f"{chart.path}: {', '.join(m.kind for m in kinds)}")
    elif not as_json:
        from seqgen.figures.matrix_text import attention_maps_text

        streams.show(attention_maps_text(kinds, shutil.get_terminal_size().columns))


def _rounded(values: Any) -> Any:
    """Numbers in lists of any depth, rounded to what fp32 holds."""
    return [_rounded(value) for value in values] if isinstance(values, list) else round(values, 6)


# Positions ----------------------------------------------------------------------------------------------------


def _show_positions(matrix: PositionMatrix, chart: ChartFile, *, as_json: bool) -> None:
    values = matrix.values.tolist()
    if as_json:
        streams.write_json({"kind": matrix.kind, "values": _rounded(values)})
    if chart.path is not None:
        from seqgen.figures.positions_chart import draw_positions

        chart.write(partial(draw_positions, values=values, title=f"{matrix.kind} positions", legend=matrix.legend))
        chart.terminal.note(f"{chart.path}: {len(values)} {matrix.kind} positions")
    elif not as_json:
        from seqgen.figures.matrix_text import position_matrix_text

        width = shutil.get_terminal_size().columns
        streams.show(f"{matrix.kind} positions\n{position_matrix_text(values, matrix.legend, width)}")
