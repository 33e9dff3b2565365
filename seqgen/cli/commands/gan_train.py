"""`seqgen gan-train`: a generator and a discriminator from images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen.cli import options
from seqgen.cli.training import Command
from seqgen.cli.training_options import training_options
from seqgen.config import MODEL, GanSettings
from seqgen.errors import UsageError
from seqgen.gan.presets import PRESETS, Preset

if TYPE_CHECKING:
    from seqgen.train.recipe import Recipe

DEFAULTS = GanSettings()


@training_options({"": DEFAULTS}, without=("processes",))
def gan_train(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="DATA", help="A folder, zip or tar of images, an idx(.gz) file, or an npz file."),
    ] = None,
    preset: Annotated[
        Preset, typer.Option(help="Networks, loss and schedule at once; options win.", rich_help_panel=MODEL)
    ] = "quick",
    **chosen: Any,
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
    for other in ("config", "resume"):
        if chosen[other]:
            options.refuse_idle(ctx, {"preset": f"with --{other}, which has all settings"})
    COMMAND.run(ctx, {**PRESETS[preset], **options.given(ctx)})


def _recipe(settings: GanSettings, warn: Callable[[str], None]) -> Recipe[Any]:
    from seqgen.tasks.gan.recipe import GanRecipe

    return GanRecipe(settings, warn)


COMMAND = Command(
    DEFAULTS,
    missing=UsageError("no images to train on", hint="seqgen gan-train FOLDER, or a zip, tar, idx or npz file"),
    recipe=_recipe,
)
