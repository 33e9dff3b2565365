"""`seqgen gan-train`: a generator and a discriminator from images, or from pairs of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seqgen.cli import options
from seqgen.cli.settings import stored_part
from seqgen.cli.training import Command
from seqgen.cli.training_options import training_options
from seqgen.config import MODEL, GanSettings, LapGanSettings, PairedSettings, UnpairedSettings
from seqgen.errors import UsageError
from seqgen.gan.presets import PRESETS, Preset

if TYPE_CHECKING:
    from seqgen.train.recipe import Recipe

Of = Literal["images", "levels", "pairs", "domains"]
Arch = Literal["dcgan", "cgan", "lapgan", "pix2pix", "cyclegan"]

IMAGES, LEVELS, PAIRS, DOMAINS = GanSettings(), LapGanSettings(), PairedSettings(), UnpairedSettings()
# What has settings of its own.
OF: Mapping[str, Of] = {"lapgan": "levels", "pix2pix": "pairs", "cyclegan": "domains"}


@training_options({"dcgan, cgan": IMAGES, "lapgan": LEVELS, "pix2pix": PAIRS, "cyclegan": DOMAINS})
def gan_train(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA",
            help="A folder, zip or tar of images, an idx(.gz) file, or an npz file. For pix2pix: pairs side by side, "
            "A and B as two paths, or images with --condition. For cyclegan: A and B.",
        ),
    ] = None,
    arch: Annotated[
        Arch,
        typer.Option(
            help="dcgan: from noise; cgan: both networks know the label; lapgan: from noise, coarse to fine; "
            "pix2pix: images from images, by pairs; cyclegan: the same without pairs.",
            rich_help_panel=MODEL,
        ),
    ] = "dcgan",
    preset: Annotated[
        Preset, typer.Option(help="Networks, loss and schedule at once; options win.", rich_help_panel=MODEL)
    ] = "quick",
    **chosen: Any,
) -> None:
    """Train a generator against a discriminator, and hear how they are doing.

    In a folder, zip or tar the names of the subfolders are the labels. Without a bound it trains for fifteen minutes.
    Each evaluation says whether the run is healthy, and if not what to try. Ctrl-C saves and stops; --resume goes on
    bit for bit.

    With --arch lapgan a small image is made first, and each larger size of --levels adds what the one below it lacks.
    The levels learn in turn, or one by itself (--level), and a run may go on with another one (--resume --level 2).

    With --arch pix2pix it learns to make an image of another one. Pairs of both lie side by side, A | B, in each file;
    or A and B are two paths, paired by the names of files or the order in arrays; or the first one is derived from the
    second: its edges, a sketch, grey, or a low resolution. A tenth of the pairs is held out and judged.

    With --arch cyclegan it learns to make images of B from those of A, and back, from two sets that are not paired.

    Presets of dcgan and cgan: quick (minutes on a CPU), classic (the DCGAN paper), spectral (spectral norm, hinge
    loss), r3 (no norm, relativistic pairs, R1 and R2: slow steps).

    ```sh
    seqgen gan-train train-images-idx3-ubyte.gz --arch cgan --minutes 15 --out digits
    seqgen gan-train photos/ --arch pix2pix --condition edges --image-size 64 --flip
    seqgen gan-train horses/ zebras/ --arch cyclegan --image-size 64 --identity 0.5
    ```
    """
    of, typed = _data(arch, **chosen), options.given(ctx)
    if "arch" in typed and OF.get(arch, "images") != of:
        raise UsageError(f"--arch {arch}: the settings that are there are of another one", hint="leave --arch out")
    known = {name for command in COMMANDS.values() for name in command.defaults.options()} - {"arch"}
    options.refuse_idle(ctx, dict.fromkeys(known - COMMANDS[of].defaults.options().keys(), f"with --arch {arch}"))
    if of != "images":
        options.refuse_idle(ctx, {"preset": f"with --arch {arch}, which has no presets"})
    for other in ("config", "resume"):
        if chosen[other]:
            options.refuse_idle(ctx, {"preset": f"with --{other}, which has all settings"})
    COMMANDS[of].run(ctx, {**(PRESETS[preset] if of == "images" else {}), **typed})


def _data(arch: Arch, *, resume: bool, **chosen: Any) -> Of:
    """Of what an architecture learns: as is said, or as a run that goes on has it."""
    stored = stored_part(chosen["out" if resume else "config"], "network")
    return OF.get(arch) or OF.get(stored.get("arch", ""), "images")


def _image_recipe(settings: GanSettings | LapGanSettings, warn: Callable[[str], None]) -> Recipe[Any]:
    from seqgen.tasks.gan.recipe import GanRecipe

    return GanRecipe(settings, warn)


def _pair_recipe(settings: PairedSettings, warn: Callable[[str], None]) -> Recipe[Any]:
    from seqgen.tasks.image_translation.recipe import PairedRecipe

    return PairedRecipe(settings, warn)


def _domain_recipe(settings: UnpairedSettings, warn: Callable[[str], None]) -> Recipe[Any]:
    from seqgen.tasks.image_translation.unpaired_recipe import UnpairedRecipe

    return UnpairedRecipe(settings, warn)


MISSING = UsageError("no images to train on", hint="seqgen gan-train FOLDER, or a zip, tar, idx or npz file")
COMMANDS: Mapping[Of, Command[Any]] = {
    "images": Command(IMAGES, MISSING, _image_recipe),
    "levels": Command(LEVELS, MISSING, _image_recipe),
    "pairs": Command(PAIRS, MISSING, _pair_recipe),
    "domains": Command(DOMAINS, MISSING, _domain_recipe),
}
