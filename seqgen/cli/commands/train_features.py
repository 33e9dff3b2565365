"""`seqgen train-features`: a network to compare images by."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen.cli.training import Command
from seqgen.cli.training_options import training_options
from seqgen.config import FeatureSettings
from seqgen.errors import UsageError

if TYPE_CHECKING:
    from seqgen.train.recipe import Recipe

DEFAULTS = FeatureSettings()


@training_options({"": DEFAULTS})
def train_features(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="DATA", help="Labelled images: a folder of folders, zip, tar, idx(.gz) or npz."),
    ] = None,
    **chosen: Any,
) -> None:
    """Train a network to compare images by: what it learns to see is what counts.

    It is a small classifier of labelled images; `seqgen evaluate --features` measures distances in a layer of it.
    Without a bound it trains for ten epochs. Ctrl-C saves and stops; --resume goes on bit for bit.

    ```sh
    seqgen train-features train-images-idx3-ubyte.gz
    seqgen train-features photos/ --image-size 32 --minutes 10 --out photo-features
    ```
    """
    COMMAND.run(ctx)


def _recipe(settings: FeatureSettings, warn: Callable[[str], None]) -> Recipe[Any]:
    from seqgen.tasks.features.recipe import FeatureRecipe

    return FeatureRecipe(settings, warn)


COMMAND = Command(
    DEFAULTS,
    missing=UsageError("no images to train on", hint="seqgen train-features FOLDER, a folder for each class in it"),
    recipe=_recipe,
)
