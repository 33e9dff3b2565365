"""`seqgen train-lm`: a language model from text files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen.cli.training import Command
from seqgen.cli.training_options import training_options
from seqgen.config import LanguageModelSettings
from seqgen.errors import UsageError

if TYPE_CHECKING:
    from seqgen.train.recipe import Recipe

DEFAULTS = LanguageModelSettings()


@training_options({"": DEFAULTS})
def train_lm(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="DATA", help="UTF-8 text files, folders of them, or - for stdin."),
    ] = None,
    **chosen: Any,
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


def _recipe(settings: LanguageModelSettings, warn: Callable[[str], None]) -> Recipe[Any]:
    from seqgen.tasks.language.recipe import LanguageModelRecipe

    return LanguageModelRecipe(settings, warn)


COMMAND = Command(
    DEFAULTS,
    missing=UsageError("no text to train on", hint="seqgen train-lm FILE..., or - to read standard input"),
    recipe=_recipe,
)
