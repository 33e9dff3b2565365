"""`seqgen train-classifier`: a network that tells texts apart, or labels each word."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen.cli.training import Command
from seqgen.cli.training_options import training_options
from seqgen.config import ClassifierSettings
from seqgen.errors import UsageError

if TYPE_CHECKING:
    from seqgen.train.recipe import Recipe

DEFAULTS = ClassifierSettings()


@training_options({"": DEFAULTS})
def train_classifier(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA",
            help="A TSV, CSV or JSONL of texts and labels; a folder with a file or a folder for each class; files "
            "named by their class; with --per-token, lines of word TAB tag. - is stdin.",
        ),
    ] = None,
    **chosen: Any,
) -> None:
    """Train a network to tell texts apart, or to label each word, and keep the best.

    Exact repeats are left out, and copies of a text are never on both sides of the split. Without a bound it trains for
    five minutes. Ctrl-C saves and stops; --resume goes on bit for bit.

    ```sh
    seqgen train-classifier names/ --bidirectional --out n
    seqgen train-classifier train.tsv --valid dev.tsv --balance sqrt --keep macro-f1
    seqgen train-classifier train.conll --per-token --valid dev.conll --out tags
    ```
    """
    COMMAND.run(ctx)


def _recipe(settings: ClassifierSettings, warn: Callable[[str], None]) -> Recipe[Any]:
    from seqgen.tasks.classification.recipe import ClassifierRecipe

    return ClassifierRecipe(settings, warn)


COMMAND = Command(
    DEFAULTS,
    missing=UsageError("no labelled texts to train on", hint="seqgen train-classifier TABLE, or a folder of classes"),
    recipe=_recipe,
)
