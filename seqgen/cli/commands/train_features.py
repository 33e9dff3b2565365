"""`seqgen train-features`: a network to compare images by, from labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seqgen.cli import options
from seqgen.cli.output import Terminal
from seqgen.cli.training import Command, Recipe
from seqgen.cli.training_options import training_options
from seqgen.config import Channels, FeatureSettings, Fit
from seqgen.errors import UsageError

DEFAULTS = FeatureSettings()
IMAGES, LABELLED, NETWORK, TRAIN = DEFAULTS.images, DEFAULTS.labelled, DEFAULTS.network, DEFAULTS.train


@training_options(TRAIN)
def train_features(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="DATA", help="Labelled images: a folder of folders, zip, tar, idx(.gz) or npz."),
    ] = None,
    labels: Annotated[
        str,
        typer.Option(help="Label file of an idx file, if not beside it.", rich_help_panel=options.DATA),
    ] = IMAGES.labels,
    image_size: Annotated[
        str,
        typer.Option(
            metavar="SIZE",
            help="Pixels of a side, or HEIGHTxWIDTH; as the images are if absent.",
            rich_help_panel=options.DATA,
        ),
    ] = IMAGES.image_size,
    channels: Annotated[Channels, typer.Option(help="Grey or colour.", rich_help_panel=options.DATA)] = IMAGES.channels,
    fit: Annotated[Fit, typer.Option(help="What becomes of another shape.", rich_help_panel=options.DATA)] = IMAGES.fit,
    valid: Annotated[
        float, typer.Option(help="Share of the images held out.", rich_help_panel=options.DATA)
    ] = LABELLED.valid,
    shift: Annotated[
        float, typer.Option(help="Move images at random by up to this share of a side.", rich_help_panel=options.DATA)
    ] = LABELLED.shift,
    base_size: Annotated[
        int, typer.Option(help="Channels of the first stage.", rich_help_panel=options.MODEL)
    ] = NETWORK.base_size,
    feature_size: Annotated[
        int, typer.Option(help="Features of an image.", rich_help_panel=options.MODEL)
    ] = NETWORK.feature_size,
    hidden_size: Annotated[
        int, typer.Option(help="Size of the layer behind them.", rich_help_panel=options.MODEL)
    ] = NETWORK.hidden_size,
    dropout: Annotated[
        float, typer.Option(help="Share of that layer's values dropped.", rich_help_panel=options.MODEL)
    ] = NETWORK.dropout,
    **shared: Any,
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


def _directory(settings: FeatureSettings) -> Path:
    name = Path(settings.paths[0]).resolve().name.partition(".")[0]
    return Path("models") / f"{name}-features"


def _recipe(settings: FeatureSettings, terminal: Terminal) -> Recipe:
    from seqgen.tasks.features.recipe import FeatureRecipe

    return FeatureRecipe(settings, terminal.warn)


COMMAND = Command(
    name="train-features",
    defaults=DEFAULTS,
    missing=UsageError("no images to train on", hint="seqgen train-features FOLDER, a folder for each class in it"),
    directory=_directory,
    recipe=_recipe,
    try_it="seqgen evaluate DATA",
)
