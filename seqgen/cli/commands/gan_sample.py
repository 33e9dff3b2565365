"""`seqgen gan-sample`: images from noise."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from seqgen.cli import options, pictures, streams
from seqgen.cli.answering import ready
from seqgen.cli.terminal import Terminal, colourful, draw
from seqgen.config import in_words
from seqgen.errors import OutputError, UsageError
from seqgen.names import folder_names
from seqgen.wording import counted

if TYPE_CHECKING:
    import torch

    from seqgen.tasks.gan.imagine import Pixels

DEFAULT = "mnist-cgan"
SAMPLES = Path("samples")
MILLISECONDS = 60

Format = Literal["grid", "files", "npz"]


def gan_sample(
    ctx: typer.Context,
    model: Annotated[str, options.model(DEFAULT)] = DEFAULT,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many images.")] = 64,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class", "-c", metavar="NAME", help="A class, a list such as 3,5,8, or all, in turn; may be repeated."
        ),
    ] = None,
    seed: options.SamplingSeed = None,
    grid: Annotated[str, typer.Option(metavar="RxC", help="Rows and columns of the grid; else about square.")] = "",
    form: Annotated[Format, typer.Option("--format", "-f", help="One picture, a file each, or an array.")] = "grid",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to; - is standard output, as is a pipe.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="With --format files: in used of the images in the folder.")
    ] = False,
    interpolate: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="A B", help="The way from image A to image B of the seed, in --n images."),
    ] = None,
    stages: Annotated[
        bool, typer.Option("--stages", help="Of a LapGAN: a row for each level, the coarsest first.")
    ] = False,
    truncation: Annotated[
        float, typer.Option("--truncation", "--trunc", min=0.01, help="Largest latent value: less is more typical.")
    ] = math.inf,
    precision: options.UsePrecision = "fp32",
    device: options.Device = "cpu",
    threads: options.Threads = 1,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make images with a GAN.

    Into a pipe goes a PNG. On a terminal the images go to samples.png, and a small preview is drawn. --out may end in
    .png, .jpg or .webp. With --format files each image is a PNG of its own in the folder --out, or in one for its class
    there; with npz they are one array, with their labels. --interpolate makes an animation if --out ends in .gif,
    .webp or .apng; only a GIF in colour loses something.

    Without --class the classes are drawn at random. A value of --class is the name of a class; else a list of names
    with commas between them; else all. So any name can be asked for, such as "red, ripe" or a class called all.

    Image i of a seed is the same, byte for byte, however many others are made with it.

    ```sh
    seqgen gan-sample --n 64 > grid.png
    seqgen gan-sample --n 100 --class all --grid 10x10 --seed 1 > digits.png
    seqgen gan-sample --interpolate 0 1 --n 24 --class 3,8 --out way.gif
    ```
    """
    from seqgen.seeds import fresh
    from seqgen.tasks.gan.imagine import Imagination, class_indices, grown
    from seqgen.tasks.gan.model import GanModel
    from seqgen.train import machine

    terminal = Terminal(quiet=quiet, verbose=verbose)
    animated = interpolate is not None and out is not None and out.suffix.lower() in pictures.MOVING
    options.refuse_idle(
        ctx,
        options.idle_unless(form == "files", ("overwrite",), "without --format files")
        | options.idle_unless(not animated, ("grid",), f"on an animation ({out})")
        | options.idle_unless(form == "grid", ("grid", "stages"), f"with --format {form}")
        | options.idle_unless(not interpolate, ("stages",), "with --interpolate")
        | options.idle_unless(not stages, ("grid",), "with --stages, which has a row for each level"),
    )
    shape = _shape(grid, n)
    kind = _kind(form, out, moving=interpolate is not None)
    used, _ = ready(device, threads)
    loaded = GanModel.load(model, used)
    terminal.detail(f"{loaded.directory}; {used}; {in_words(loaded.config)}")
    wanted = class_indices(loaded, classes or ())
    if seed is None:
        seed = fresh()
        terminal.note(f"seed {seed}")
    maker = Imagination(loaded, seed, truncation, machine.DTYPES[precision])
    if stages:
        images = loaded.config.images
        rows = [grown(level, images.height, images.width) for level in maker.stages(range(n), wanted)]
        batches, labels, shape = iter(rows), None, (len(rows), n)
    elif interpolate:
        batches, labels = maker.between(*interpolate, n, wanted), None
        shape = shape if grid else (1, n)
    else:
        batches, labels = maker.images(range(n), wanted), maker.labels(range(n), wanted)
    if form == "files":
        pictures.begin_folder(out or SAMPLES, overwrite=overwrite)
        _write_files(batches, labels, loaded.classes, out or SAMPLES, terminal)
    elif form == "npz":
        _write_array(batches, labels, out)
    elif animated and out is not None:
        _write_animation(batches, out, kind)
    else:
        _write_grid(batches, shape, out, kind, terminal)


def _kind(form: Format, out: Path | None, *, moving: bool) -> str:
    """The format of what is written."""
    if form == "npz":
        return pictures.format_of(out, "--out", pictures.NPZ)
    if form == "grid":
        return pictures.format_of(out, "--out", pictures.STILL | pictures.MOVING if moving else pictures.STILL)
    if moving:
        raise UsageError("--interpolate makes a row, an array or an animation, not files")
    if out == Path("-"):
        raise UsageError("--format files needs a folder, not standard output")
    if out is not None and out.suffix.lower() in pictures.STILL | pictures.MOVING | pictures.NPZ:
        raise UsageError(f"--format files makes a folder, but {out} is the name of a file", hint="leave out its suffix")
    return "PNG"


def _shape(grid: str, n: int) -> tuple[int, int]:
    """Rows and columns; about square unless told."""
    if not grid:
        columns = math.ceil(math.sqrt(n))
        return math.ceil(n / columns), columns
    sides = grid.lower().split("x")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() and 0 < int(side) <= 10_000 for side in sides):
        raise UsageError(f"--grid {grid} is not rows x columns", hint="such as --grid 4x16")
    rows, columns = map(int, sides)
    if rows * columns < n:
        raise UsageError(f"--grid {grid} has {rows * columns} places for {n} images", hint=f"--n {rows * columns}")
    return rows, columns


def _write_grid(
    batches: Iterator[Pixels], shape: tuple[int, int], out: Path | None, kind: str, terminal: Terminal
) -> None:
    """A picture to a file, or a PNG to whoever reads; for a person a file and a preview."""
    from seqgen.figures import mosaic

    whole = mosaic.grid([picture for pixels in batches for picture in mosaic.pictures(pixels)], *shape)
    shown = streams.stdout_is_a_terminal()
    if (out is None and not shown) or out == Path("-"):
        streams.write_bytes(mosaic.encoded(whole, kind))
        return
    path = out or SAMPLES.with_suffix(".png")
    streams.write_file(path, mosaic.encoded(whole, kind))
    terminal.note(f"{path}: {whole.width}x{whole.height} pixels")
    if shown and not terminal.quiet:
        draw(mosaic.preview(whole, min(80, shutil.get_terminal_size().columns), colour=colourful()))


def _write_files(
    batches: Iterator[Pixels], labels: torch.Tensor | None, classes: tuple[str, ...], folder: Path, terminal: Terminal
) -> None:
    """One PNG each, as they are made, into a folder that is empty; those of a class in a folder like its name."""
    from seqgen.figures import mosaic

    index, names = 0, folder_names(classes)
    for pixels in batches:
        for picture in mosaic.pictures(pixels):
            used = folder / names[int(labels[index])] if labels is not None else folder
            try:
                used.mkdir(exist_ok=True)
            except OSError as error:
                raise OutputError(f"{used} cannot be made: {error.strerror}") from None
            streams.write_file(used / f"{index:05d}.png", mosaic.encoded(picture, "PNG"))
            index += 1
    terminal.note(f"{folder}: {counted(index, 'image')}")
    for known, name in zip(classes, names, strict=True):
        if known != name:
            terminal.note(f"the class {known} is in {folder / name}: its own name would not do everywhere")


def _write_array(batches: Iterator[Pixels], labels: torch.Tensor | None, out: Path | None) -> None:
    """An npz file with `images` `(n, height, width, channels)` and, of a conditional model, `labels` `(n,)`."""
    import io

    import numpy as np

    images, file = np.concatenate(list(batches)).transpose(0, 2, 3, 1), io.BytesIO()
    if labels is None:
        np.savez_compressed(file, images=images)
    else:
        np.savez_compressed(file, images=images, labels=labels.cpu().numpy())
    if out is None and streams.stdout_is_a_terminal():
        out = SAMPLES.with_suffix(".npz")
    if out is None or out == Path("-"):
        streams.write_bytes(file.getvalue())
    else:
        streams.write_file(out, file.getvalue())


def _write_animation(batches: Iterator[Pixels], out: Path, kind: str) -> None:
    """A GIF, WebP or PNG that goes there and back, for ever."""
    from seqgen.figures import mosaic

    frames = [picture for pixels in batches for picture in mosaic.pictures(pixels)]
    streams.write_file(out, mosaic.animation([*frames, *frames[-2:0:-1]], kind, MILLISECONDS))
