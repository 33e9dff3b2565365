"""`seqgen train-transformer`: a language model from text, or an encoder-decoder from sentence pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from seqgen.cli import options
from seqgen.cli.commands.train_lm import text_directory
from seqgen.cli.commands.train_seq2seq import pairs_directory
from seqgen.cli.output import Terminal
from seqgen.cli.settings import field_names, stored_data
from seqgen.cli.training import Command, Recipe
from seqgen.cli.training_options import training_options
from seqgen.config import (
    Activation,
    Keep,
    LossSteps,
    Norm,
    Order,
    Positions,
    Tokens,
    TransformerPairsSettings,
    TransformerTextSettings,
)
from seqgen.errors import UsageError

NAME = "train-transformer"
TEXT, PAIRS = TransformerTextSettings(), TransformerPairsSettings()
NETWORK, TRAIN = TEXT.network, TEXT.train
FIELDS = {kind: frozenset(field_names(settings)) for kind, settings in ((False, TEXT), (True, PAIRS))}


def _either(name: str, part: str) -> str:
    """How a default is shown that the two kinds of data do not share."""
    text, pairs = getattr(getattr(TEXT, part), name), getattr(getattr(PAIRS, part), name)
    return f"{text:g}; pairs: {pairs:g}" if isinstance(text, int | float) else f"{text}; pairs: {pairs}"


@training_options(TRAIN)
def train_transformer(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA | SOURCE TARGET",
            help="A text (file, folder or -), or two aligned files, or one TSV, CSV or JSONL with both sides.",
        ),
    ] = None,
    valid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH|FRACTION | SOURCE TARGET",
            help="Validate on these, else on the tail: 10 % of a text, 2 % of pairs.",
            rich_help_panel=options.DATA,
        ),
    ] = None,
    tokens: Annotated[
        Tokens, typer.Option(help="Text: what a token is.", rich_help_panel=options.DATA)
    ] = TEXT.text.tokens,
    vocab_size: Annotated[
        int,
        typer.Option(
            help="Sentencepiece pieces.", show_default=_either("vocab_size", "text"), rich_help_panel=options.DATA
        ),
    ] = TEXT.text.vocab_size,
    source_key: options.SourceKey = PAIRS.text.source_key,
    target_key: options.TargetKey = PAIRS.text.target_key,
    joint: Annotated[
        bool,
        typer.Option(
            "--joint/--separate", help="Pairs: one vocabulary, or one for each side.", rich_help_panel=options.DATA
        ),
    ] = PAIRS.network.joint,
    max_tokens: Annotated[
        int, typer.Option(help="Pairs: pass over those with a longer side.", rich_help_panel=options.DATA)
    ] = PAIRS.text.max_tokens,
    order: Annotated[
        Order, typer.Option(help="Pairs: batches of like length, or drawn at random.", rich_help_panel=options.DATA)
    ] = PAIRS.text.order,
    num_layers: Annotated[
        int,
        typer.Option(
            "--layers",
            help="Layers; of pairs, on each side.",
            show_default=_either("num_layers", "network"),
            rich_help_panel=options.MODEL,
        ),
    ] = NETWORK.num_layers,
    decoder_layers: Annotated[
        int, typer.Option(help="Pairs: layers of the decoder; 0: as many.", rich_help_panel=options.MODEL)
    ] = PAIRS.network.decoder_layers,
    num_heads: Annotated[
        int, typer.Option("--heads", help="Attention heads.", rich_help_panel=options.MODEL)
    ] = NETWORK.num_heads,
    num_kv_heads: Annotated[
        int,
        typer.Option(
            "--kv-heads", help="Heads of keys and values, shared by groups; 0: as many.", rich_help_panel=options.MODEL
        ),
    ] = NETWORK.num_kv_heads,
    embed_size: Annotated[
        int,
        typer.Option(
            help="Size of a token's vector in all layers.",
            show_default=_either("embed_size", "network"),
            rich_help_panel=options.MODEL,
        ),
    ] = NETWORK.embed_size,
    ffn_size: Annotated[
        int, typer.Option(help="Inner size of the feed-forward part.", rich_help_panel=options.MODEL)
    ] = NETWORK.ffn_size,
    dropout: Annotated[
        float,
        typer.Option(
            help="Share of values dropped.",
            show_default=_either("dropout", "network"),
            rich_help_panel=options.MODEL,
        ),
    ] = NETWORK.dropout,
    positions: Annotated[
        Positions,
        typer.Option(
            help="How places are told apart.",
            show_default=_either("positions", "network"),
            rich_help_panel=options.MODEL,
        ),
    ] = NETWORK.positions,
    norm: Annotated[
        Norm, typer.Option(help="Normalise before each part of a layer, or after.", rich_help_panel=options.MODEL)
    ] = NETWORK.norm,
    activation: Annotated[
        Activation,
        typer.Option(
            help="Nonlinearity of the feed-forward part.",
            show_default=_either("activation", "network"),
            rich_help_panel=options.MODEL,
        ),
    ] = NETWORK.activation,
    causal: Annotated[
        bool,
        typer.Option(help="Hide what is to be predicted; without it the loss leaks.", rich_help_panel=options.MODEL),
    ] = NETWORK.causal,
    tied: Annotated[
        bool,
        typer.Option("--tied/--untied", help="Embeddings serve as output layer too.", rich_help_panel=options.MODEL),
    ] = NETWORK.tied,
    context: Annotated[
        int, typer.Option(help="Tokens that are seen at once.", rich_help_panel=options.MODEL)
    ] = NETWORK.context,
    label_smoothing: Annotated[
        float, typer.Option(help="Pairs: probability spread over all tokens.", rich_help_panel=options.TRAINING)
    ] = PAIRS.text.label_smoothing,
    subword_sampling: Annotated[
        float,
        typer.Option(
            metavar="ALPHA",
            help="Pairs: words cut into other pieces each time, by probability to this power; 0: never.",
            rich_help_panel=options.TRAINING,
        ),
    ] = PAIRS.text.subword_sampling,
    loss_steps: Annotated[
        LossSteps, typer.Option(help="Pairs: positions of a target that count.", rich_help_panel=options.TRAINING)
    ] = PAIRS.text.loss_steps,
    keep: Annotated[
        Keep, typer.Option(help="Pairs: what makes a model the best.", rich_help_panel=options.TRAINING)
    ] = PAIRS.text.keep,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Train for this long; the length in steps is measured.",
            show_default=_either("minutes", "train"),
            rich_help_panel=options.TRAINING,
        ),
    ] = TRAIN.minutes,
    batch_size: Annotated[
        int,
        typer.Option(
            help="Contexts of text, or pairs, per step.",
            show_default=_either("batch_size", "train"),
            rich_help_panel=options.TRAINING,
        ),
    ] = TRAIN.batch_size,
    lr: Annotated[
        float,
        typer.Option(help="Peak learning rate.", show_default=_either("lr", "train"), rich_help_panel=options.TRAINING),
    ] = TRAIN.lr,
    warmup_steps: Annotated[
        int,
        typer.Option(
            "--warmup",
            help="Steps in which the learning rate rises.",
            show_default=_either("warmup_steps", "train"),
            rich_help_panel=options.TRAINING,
        ),
    ] = TRAIN.warmup_steps,
    ema: Annotated[
        float,
        typer.Option(
            help="Decay of the averaged weights; 0: none.",
            show_default=_either("ema", "train"),
            rich_help_panel=options.TRAINING,
        ),
    ] = TRAIN.ema,
    **shared: Any,
) -> None:
    """Train a Transformer: a language model on text, or an encoder-decoder on sentence pairs.

    One path is a text, two are pairs, and so is a table, which is known by its content. Without a bound a text takes
    ten minutes, pairs thirty. Ctrl-C saves and stops; --resume goes on bit for bit.

    ```sh
    seqgen train-transformer data.txt
    seqgen train-transformer data.txt --positions learned --minutes 3 --out m
    seqgen train-transformer train.de train.en --valid val.de val.en
    ```
    """
    chosen = options.given(ctx)
    if paths:
        pairs = _are_pairs(paths, source_key, target_key)
    else:
        pairs = "max_tokens" in stored_data(shared["out"] if shared["resume"] else shared["config"])
    elsewhere = FIELDS[not pairs] - FIELDS[pairs]
    options.refuse_idle(ctx, dict.fromkeys(elsewhere, f"on {'sentence pairs' if pairs else 'a text'}"))
    if valid and not pairs:
        if len(valid) > 1:
            raise UsageError("a text is validated on one path or fraction", hint="two paths go with sentence pairs")
        chosen["valid"] = valid[0]
    COMMANDS[pairs].run(ctx, chosen)


def _are_pairs(paths: list[str], source_key: str, target_key: str) -> bool:
    from seqgen.data.kinds import kind_of
    from seqgen.data.tables import Keys

    keys = Keys(source_key, target_key)
    return len(paths) > 1 or any(keys) or kind_of(paths[0], keys) == "table"


def _text_recipe(settings: TransformerTextSettings, terminal: Terminal) -> Recipe:
    from seqgen.tasks.language.recipe import LanguageModelRecipe

    return LanguageModelRecipe(settings, terminal.warn)


def _pairs_recipe(settings: TransformerPairsSettings, terminal: Terminal) -> Recipe:
    from seqgen.tasks.translation.recipe import TranslationRecipe

    return TranslationRecipe(settings, terminal.warn)


MISSING = UsageError("nothing to train on", hint=f"seqgen {NAME} FILE, or SOURCE TARGET, or - to read standard input")

COMMANDS: Mapping[bool, Command[Any]] = {
    False: Command(
        name=NAME,
        defaults=TEXT,
        missing=MISSING,
        directory=lambda settings: text_directory(settings.text, "transformer"),
        recipe=_text_recipe,
        try_it="seqgen sample",
    ),
    True: Command(
        name=NAME,
        defaults=PAIRS,
        missing=MISSING,
        directory=lambda settings: pairs_directory(settings.text, "transformer"),
        recipe=_pairs_recipe,
        try_it="seqgen translate",
    ),
}
