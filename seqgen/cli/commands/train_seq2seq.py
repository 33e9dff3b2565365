"""`seqgen train-seq2seq`: a recurrent encoder-decoder from sentence pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seqgen.cli import options
from seqgen.cli.output import Terminal
from seqgen.cli.training import Command, Recipe
from seqgen.cli.training_options import training_options
from seqgen.config import Attention, Keep, LossSteps, Order, ParallelConfig, RecurrentCell, Start, TranslationSettings
from seqgen.errors import UsageError

DEFAULTS = TranslationSettings()
TEXT, NETWORK, TRAIN = DEFAULTS.text, DEFAULTS.network, DEFAULTS.train


@training_options(TRAIN)
def train_seq2seq(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE TARGET", help="Two aligned files, or one TSV, CSV or JSONL; - is stdin."),
    ] = None,
    valid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE TARGET",
            help="Validate on these, or on one file with both sides; else on 2 % held out.",
            rich_help_panel=options.DATA,
        ),
    ] = None,
    source_key: options.SourceKey = TEXT.source_key,
    target_key: options.TargetKey = TEXT.target_key,
    vocab_size: Annotated[
        int, typer.Option(help="Sentencepiece pieces.", rich_help_panel=options.DATA)
    ] = TEXT.vocab_size,
    joint: Annotated[
        bool,
        typer.Option("--joint/--separate", help="One vocabulary, or one for each side.", rich_help_panel=options.DATA),
    ] = NETWORK.joint,
    max_tokens: Annotated[
        int, typer.Option(help="Pass over pairs with a longer side.", rich_help_panel=options.DATA)
    ] = TEXT.max_tokens,
    order: Annotated[
        Order, typer.Option(help="Batches of like length, or drawn at random.", rich_help_panel=options.DATA)
    ] = TEXT.order,
    cell: Annotated[
        RecurrentCell, typer.Option(help="The recurrent cell.", rich_help_panel=options.MODEL)
    ] = NETWORK.cell,
    peephole: options.Peephole = NETWORK.peephole,
    embed_size: Annotated[
        int, typer.Option(help="Size of a token's vector.", rich_help_panel=options.MODEL)
    ] = NETWORK.embed_size,
    hidden_size: Annotated[
        int, typer.Option(help="Size of the state of a layer.", rich_help_panel=options.MODEL)
    ] = NETWORK.hidden_size,
    num_layers: Annotated[
        int, typer.Option("--layers", help="Recurrent layers on each side.", rich_help_panel=options.MODEL)
    ] = NETWORK.num_layers,
    dropout: Annotated[
        float, typer.Option(help="Share of values dropped.", rich_help_panel=options.MODEL)
    ] = NETWORK.dropout,
    bidirectional: Annotated[
        bool,
        typer.Option("--bidirectional/--unidirectional", help="How the source is read.", rich_help_panel=options.MODEL),
    ] = NETWORK.bidirectional,
    attention: Annotated[
        Attention, typer.Option(help="How the decoder looks back at the source.", rich_help_panel=options.MODEL)
    ] = NETWORK.attention,
    attention_size: Annotated[
        int, typer.Option(help="Hidden size of additive attention.", rich_help_panel=options.MODEL)
    ] = NETWORK.attention_size,
    input_feeding: Annotated[
        bool, typer.Option(help="Give the decoder what it attended to last.", rich_help_panel=options.MODEL)
    ] = NETWORK.input_feeding,
    tied: Annotated[
        bool,
        typer.Option("--tied/--untied", help="Embeddings serve as output layer too.", rich_help_panel=options.MODEL),
    ] = NETWORK.tied,
    reverse_source: Annotated[
        bool, typer.Option("--reverse-source", help="Read the source backwards.", rich_help_panel=options.MODEL)
    ] = NETWORK.reverse_source,
    start: Annotated[
        Start, typer.Option(help="What the decoder is given first.", rich_help_panel=options.MODEL)
    ] = NETWORK.start,
    label_smoothing: Annotated[
        float, typer.Option(help="Probability spread over all tokens.", rich_help_panel=options.TRAINING)
    ] = TEXT.label_smoothing,
    subword_sampling: Annotated[
        float,
        typer.Option(
            metavar="ALPHA",
            help="Words cut into other pieces each time, by probability to this power, such as 0.3; 0: never.",
            rich_help_panel=options.TRAINING,
        ),
    ] = TEXT.subword_sampling,
    loss_steps: Annotated[
        LossSteps, typer.Option(help="Positions of a target that count.", rich_help_panel=options.TRAINING)
    ] = TEXT.loss_steps,
    keep: Annotated[
        Keep, typer.Option(help="What makes a model the best.", rich_help_panel=options.TRAINING)
    ] = TEXT.keep,
    decay_recurrent: options.DecayRecurrent = TRAIN.decay_recurrent,
    **shared: Any,
) -> None:
    """Train an encoder-decoder on sentence pairs, watch it translate, and keep the best.

    Line i of SOURCE is translated by line i of TARGET. Without a bound it trains for thirty minutes. Ctrl-C saves and
    stops; --resume goes on bit for bit.

    ```sh
    seqgen train-seq2seq train.de train.en --valid val.de val.en
    seqgen train-seq2seq pairs.csv --source-key de --target-key en --minutes 10 --out m
    paste train.de train.en | seqgen train-seq2seq - --attention none --reverse-source
    ```
    """
    COMMAND.run(ctx)


def pairs_directory(text: ParallelConfig, architecture: str) -> Path:
    """The default run directory of a model of some sentence pairs."""
    first, *others = ("stdin" if path == "-" else Path(path).name for path in text.paths)
    languages = "-".join(Path(name).suffix[1:] or name for name in (first, *others))
    name = f"{Path(first).stem}-{languages}" if others else Path(first).stem
    return Path("models") / f"{name}-{architecture}"


def _recipe(settings: TranslationSettings, terminal: Terminal) -> Recipe:
    from seqgen.tasks.translation.recipe import TranslationRecipe

    return TranslationRecipe(settings, terminal.warn)


COMMAND = Command(
    name="train-seq2seq",
    defaults=DEFAULTS,
    missing=UsageError("no sentence pairs to train on", hint="seqgen train-seq2seq SOURCE TARGET, or one table"),
    directory=lambda settings: pairs_directory(settings.text, "seq2seq"),
    recipe=_recipe,
    try_it="seqgen translate",
)
