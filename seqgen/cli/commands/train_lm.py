"""`seqgen train-lm`: a language model from text files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seqgen.cli import options
from seqgen.cli.output import Terminal
from seqgen.cli.training import Command, Recipe
from seqgen.cli.training_options import training_options
from seqgen.config import Cell, Connections, LanguageModelSettings, TextConfig, Tokens
from seqgen.errors import UsageError

DEFAULTS = LanguageModelSettings()
TEXT, NETWORK, TRAIN = DEFAULTS.text, DEFAULTS.network, DEFAULTS.train


@training_options(TRAIN)
def train_lm(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="DATA", help="UTF-8 text files, folders of them, or - for stdin."),
    ] = None,
    valid: Annotated[
        str, typer.Option(help="Validate on the tail (a fraction) or on a file.", rich_help_panel=options.DATA)
    ] = TEXT.valid,
    tokens: Annotated[Tokens, typer.Option(help="What a token is.", rich_help_panel=options.DATA)] = TEXT.tokens,
    vocab_size: Annotated[
        int, typer.Option(help="Sentencepiece pieces, or words.", rich_help_panel=options.DATA)
    ] = TEXT.vocab_size,
    bptt: Annotated[
        int, typer.Option(help="Tokens the gradient flows back through.", rich_help_panel=options.DATA)
    ] = TEXT.bptt,
    cell: Annotated[
        Cell, typer.Option(help="The recurrent cell, or window: the last tokens only.", rich_help_panel=options.MODEL)
    ] = NETWORK.cell,
    peephole: options.Peephole = NETWORK.peephole,
    window: Annotated[
        int, typer.Option(help="Tokens that --cell window sees.", rich_help_panel=options.MODEL)
    ] = NETWORK.window,
    embed_size: Annotated[
        int, typer.Option(help="Size of a token's vector.", rich_help_panel=options.MODEL)
    ] = NETWORK.embed_size,
    hidden_size: Annotated[
        int, typer.Option(help="Size of the state of a layer.", rich_help_panel=options.MODEL)
    ] = NETWORK.hidden_size,
    num_layers: Annotated[
        int, typer.Option("--layers", help="Recurrent layers.", rich_help_panel=options.MODEL)
    ] = NETWORK.num_layers,
    connections: Annotated[
        Connections, typer.Option(help="Paths around a layer: added to, or beside, it.", rich_help_panel=options.MODEL)
    ] = NETWORK.connections,
    layer_norm: Annotated[
        bool, typer.Option("--layer-norm", help="Normalise what layers read.", rich_help_panel=options.MODEL)
    ] = NETWORK.layer_norm,
    tied: Annotated[
        bool,
        typer.Option("--tied/--untied", help="One matrix for embedding and output.", rich_help_panel=options.MODEL),
    ] = NETWORK.tied,
    init_scale: Annotated[
        float, typer.Option(help="Size of the recurrent matrices at first.", rich_help_panel=options.MODEL)
    ] = NETWORK.init_scale,
    embed_dropout: Annotated[
        float, typer.Option(help="Share of values dropped after the embedding.", rich_help_panel=options.MODEL)
    ] = NETWORK.embed_dropout,
    dropout: Annotated[
        float, typer.Option(help="Share of values dropped after each layer.", rich_help_panel=options.MODEL)
    ] = NETWORK.dropout,
    variational: Annotated[
        bool, typer.Option("--variational", help="Drop the same units at all steps.", rich_help_panel=options.MODEL)
    ] = NETWORK.variational,
    weight_drop: Annotated[
        float, typer.Option(help="Share of recurrent weights dropped in each chunk.", rich_help_panel=options.MODEL)
    ] = NETWORK.weight_drop,
    decay_recurrent: options.DecayRecurrent = TRAIN.decay_recurrent,
    watch_gradients: Annotated[
        int,
        typer.Option(
            help="Steps between looks at the gradient through time; each takes less time than a step; 0: none.",
            rich_help_panel=options.SAVING,
        ),
    ] = DEFAULTS.watch.watch_gradients,
    **shared: Any,
) -> None:
    """Train a language model on text, watch it learn, and keep the best.

    Ctrl-C saves and stops; --resume goes on bit for bit. Without a bound it trains for ten minutes.

    ```sh
    seqgen train-lm data.txt
    seqgen train-lm data.txt --cell gru --hidden-size 128 --minutes 3 --out m
    cat *.txt | seqgen train-lm - --tokens sentencepiece --out m
    ```
    """
    COMMAND.run(ctx)


def text_directory(text: TextConfig, architecture: str) -> Path:
    """The default run directory of a model of some text."""
    name = "stdin" if text.paths[0] == "-" else Path(text.paths[0]).resolve().stem
    return Path("models") / f"{name}-{architecture}"


def _recipe(settings: LanguageModelSettings, terminal: Terminal) -> Recipe:
    from seqgen.tasks.language.recipe import LanguageModelRecipe

    return LanguageModelRecipe(settings, terminal.warn)


COMMAND = Command(
    name="train-lm",
    defaults=DEFAULTS,
    missing=UsageError("no text to train on", hint="seqgen train-lm FILE..., or - to read standard input"),
    directory=lambda settings: text_directory(settings.text, settings.network.cell),
    recipe=_recipe,
    try_it="seqgen sample",
)
