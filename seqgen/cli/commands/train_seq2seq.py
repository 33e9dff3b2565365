"""`seqgen train-seq2seq`: a recurrent encoder-decoder from sentence pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen.cli.training import Command
from seqgen.cli.training_options import training_options
from seqgen.config import TranslationSettings
from seqgen.errors import UsageError

if TYPE_CHECKING:
    from seqgen.train.recipe import Recipe

DEFAULTS = TranslationSettings()


@training_options({"": DEFAULTS})
def train_seq2seq(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE TARGET", help="Two aligned files, or one TSV, CSV or JSONL; - is stdin."),
    ] = None,
    **chosen: Any,
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


def _recipe(settings: TranslationSettings, warn: Callable[[str], None]) -> Recipe[Any]:
    from seqgen.tasks.translation.recipe import TranslationRecipe

    return TranslationRecipe(settings, warn)


COMMAND = Command(
    DEFAULTS,
    missing=UsageError("no sentence pairs to train on", hint="seqgen train-seq2seq SOURCE TARGET, or one table"),
    recipe=_recipe,
)
