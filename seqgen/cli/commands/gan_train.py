"""`seqgen gan-train`: a generator and a discriminator from images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seqgen.cli import options
from seqgen.cli.output import Terminal
from seqgen.cli.training import Command, Recipe
from seqgen.cli.training_options import training_options
from seqgen.config import Augment, Channels, Fit, GanArchitecture, GanBody, GanLoss, GanSettings, OnCollapse
from seqgen.errors import UsageError
from seqgen.gan.presets import PRESETS, Preset

DEFAULTS = GanSettings()
IMAGES, NETWORK, GAME, TRAIN = DEFAULTS.images, DEFAULTS.network, DEFAULTS.game, DEFAULTS.train


@training_options(TRAIN, without=("grad_accumulation", "processes"))
def gan_train(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="DATA", help="A folder, zip or tar of images, an idx(.gz) file, or an npz file."),
    ] = None,
    labels: Annotated[
        str, typer.Option(help="Label file of an idx file, if its name does not tell.", rich_help_panel=options.DATA)
    ] = IMAGES.labels,
    image_size: Annotated[
        str, typer.Option(metavar="N|HxW", help="28, or 32x48; else as the images.", rich_help_panel=options.DATA)
    ] = IMAGES.image_size,
    channels: Annotated[
        Channels, typer.Option(help="Grey or colour; auto: as the images.", rich_help_panel=options.DATA)
    ] = IMAGES.channels,
    fit: Annotated[
        Fit, typer.Option(help="What becomes of images of another shape.", rich_help_panel=options.DATA)
    ] = IMAGES.fit,
    arch: Annotated[
        GanArchitecture, typer.Option(help="cgan: both networks know the label.", rich_help_panel=options.MODEL)
    ] = NETWORK.arch,
    preset: Annotated[
        Preset, typer.Option(help="Networks, loss and schedule at once; options win.", rich_help_panel=options.MODEL)
    ] = "quick",
    body: Annotated[GanBody, typer.Option(help="The kind of network.", rich_help_panel=options.MODEL)] = NETWORK.body,
    latent_size: Annotated[
        int, typer.Option("--latent-size", "--nz", help="Size of the noise.", rich_help_panel=options.MODEL)
    ] = NETWORK.latent_size,
    generator_size: Annotated[
        int, typer.Option("--generator-size", "--ngf", help="Its channels.", rich_help_panel=options.MODEL)
    ] = NETWORK.generator_size,
    discriminator_size: Annotated[
        int, typer.Option("--discriminator-size", "--ndf", help="Its channels.", rich_help_panel=options.MODEL)
    ] = NETWORK.discriminator_size,
    loss: Annotated[GanLoss, typer.Option(help="What the two play for.", rich_help_panel=options.TRAINING)] = GAME.loss,
    r1: Annotated[
        float,
        typer.Option("--r1", help="Weight of D's squared slope at real images.", rich_help_panel=options.TRAINING),
    ] = GAME.r1,
    r2: Annotated[
        float, typer.Option("--r2", help="The same at fake images.", rich_help_panel=options.TRAINING)
    ] = GAME.r2,
    gradient_penalty: Annotated[
        float, typer.Option(help="Weight of the penalty of wasserstein-gp.", rich_help_panel=options.TRAINING)
    ] = GAME.gradient_penalty,
    lr_ratio: Annotated[
        float, typer.Option(help="D's learning rate over G's.", rich_help_panel=options.TRAINING)
    ] = GAME.lr_ratio,
    discriminator_steps: Annotated[
        int, typer.Option(help="Steps of D for one of G.", rich_help_panel=options.TRAINING)
    ] = GAME.discriminator_steps,
    augment: Annotated[
        Augment, typer.Option(help="Change what D sees: for few images.", rich_help_panel=options.TRAINING)
    ] = GAME.augment,
    features: Annotated[
        str,
        typer.Option(help="Feature network for Fréchet distances, or pixels.", rich_help_panel=options.TRAINING),
    ] = GAME.features,
    on_collapse: Annotated[
        OnCollapse, typer.Option(help="What to do when it goes wrong.", rich_help_panel=options.TRAINING)
    ] = GAME.on_collapse,
    batch_size: Annotated[
        int, typer.Option(help="Images per step.", rich_help_panel=options.TRAINING)
    ] = TRAIN.batch_size,
    weight_decay: Annotated[
        float, typer.Option(help="AdamW decay of both networks.", rich_help_panel=options.TRAINING)
    ] = TRAIN.weight_decay,
    **shared: Any,
) -> None:
    """Train a generator against a discriminator, and hear how they are doing.

    In a folder, zip or tar the names of the subfolders are the labels. Without a bound it trains for fifteen minutes.
    Each evaluation says whether the run is healthy, and if not what to try. Ctrl-C saves and stops; --resume goes on
    bit for bit.

    Presets: quick (minutes on a CPU), classic (the DCGAN paper), spectral (spectral norm, hinge loss), r3 (no norm,
    relativistic pairs, R1 and R2: slow steps).

    ```sh
    seqgen gan-train train-images-idx3-ubyte.gz --arch cgan --minutes 15 --out digits
    seqgen gan-train photos/ --image-size 32 --augment all
    seqgen gan-train photos.zip --image-size 32x48 --preset classic --loss minimax
    ```
    """
    chosen = options.given(ctx)
    for other in ("config", "resume"):
        if shared[other]:
            options.refuse_idle(ctx, {"preset": f"with --{other}, which has all settings"})
    COMMAND.run(ctx, {**PRESETS[preset], **chosen})


def _directory(settings: GanSettings) -> Path:
    name = Path(settings.paths[0]).resolve().name.split(".")[0]
    return Path("models") / f"{name}-{settings.network.arch}"


def _recipe(settings: GanSettings, terminal: Terminal) -> Recipe:
    from seqgen.tasks.gan.recipe import GanRecipe

    return GanRecipe(settings, terminal.warn)


COMMAND = Command(
    name="gan-train",
    defaults=DEFAULTS,
    missing=UsageError("no images to train on", hint="seqgen gan-train FOLDER, or a zip, tar, idx or npz file"),
    directory=_directory,
    recipe=_recipe,
    try_it="seqgen gan-sample",
    unit="images",
)
