"""`seqgen gan-translate`: images from images."""

from __future__ import annotations

import io
import itertools
import shutil
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, assert_never

import typer

from seqgen.cli import options, pictures, streams
from seqgen.cli.answering import note_shipped, ready
from seqgen.cli.terminal import Terminal, colourful, draw
from seqgen.config import Direction, Fit, ImageConfig, in_words
from seqgen.errors import DataError, OutputError, UsageError
from seqgen.wording import counted

if TYPE_CHECKING:
    from PIL import Image

    from seqgen.tasks.image_translation.inputs import Inputs
    from seqgen.tasks.image_translation.translate import ImageTranslator, Pixels

DEFAULT = "edges-emoji"
TRANSLATED = Path("translated")
# An image so many times larger or smaller than those of the training is worth a word.
FAR = 1.5

Form = Literal["picture", "files", "npz"]


def gan_translate(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="IMAGE", help="Image files, folders, archives, npz files; - is standard input."),
    ] = None,
    model: Annotated[str, options.model(DEFAULT)] = DEFAULT,
    direction: Annotated[Direction | None, typer.Option(help="Of a CycleGAN: a2b, if nothing is said.")] = None,
    derive: Annotated[
        bool, typer.Option("--derive", help="Derive the input from each image first, as in training: its edges, say.")
    ] = False,
    pair: Annotated[
        bool, typer.Option("--pair", help="Each image is a pair side by side, as in training: its input is taken.")
    ] = False,
    image_size: Annotated[str, typer.Option(metavar="N|HxW", help="Make each image of this size first.")] = "",
    fit: Annotated[Fit, typer.Option(help="With --image-size: what becomes of other shapes.")] = "crop",
    seed: Annotated[int, typer.Option(help="Of the noise: the same for each image.")] = 0,
    noise: Annotated[bool, typer.Option("--noise/--no-noise", help="With dropout, as in training.")] = True,
    tile: Annotated[
        int, typer.Option(min=0, metavar="N", help="Large pictures in tiles of N x N pixels, in less memory.")
    ] = 0,
    compare: Annotated[
        bool, typer.Option("--compare", help="Show input | output, and the target where there is one.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A file for one image, a folder or .npz for several; - is standard output."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files in the folder --out.")] = False,
    device: options.Device = "cpu",
    threads: options.Threads = 1,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make an image of each image: of a drawing, an emoji.

    Into a pipe goes a PNG; on a terminal it goes to translated.png, and a small preview is drawn. Several images go to
    a folder, a PNG each, named as they were, or to an .npz with one array, as do the images of an npz.

    An image may have any size; what the network needs beyond it is reflected and cut off again. What comes out does not
    depend on what else goes in. An image that cannot be used is named, and the command fails when the others are done.

    ```sh
    seqgen gan-translate drawing.png > emoji.png
    cat photo.png | seqgen gan-translate --derive --image-size 64 --compare - --out strip.png
    seqgen gan-translate -m maps-pix2pix maps/ --compare --out translated/
    ```
    """
    terminal, paths = Terminal(quiet=quiet, verbose=verbose), _inputs(paths)
    options.refuse_idle(
        ctx,
        options.idle_unless(bool(image_size), ("fit",), "without --image-size")
        | options.idle_unless(noise, ("seed",), "with --no-noise")
        | options.idle_unless(not pair, ("derive",), "with --pair, which has inputs"),
    )
    size, form = ImageConfig(image_size=image_size).size, _form(paths, out)
    options.refuse_idle(ctx, options.idle_unless(form == "files", ("overwrite",), "unless a folder is written"))
    used, _ = ready(device, threads)

    from seqgen.tasks.image_translation.inputs import Inputs
    from seqgen.tasks.image_translation.model import TranslatorModel
    from seqgen.tasks.image_translation.translate import ImageTranslator

    note_shipped(model, named="model" in options.given(ctx), terminal=terminal)
    loaded = TranslatorModel.load(model, used)
    terminal.detail(f"{loaded.directory}; {used}; {in_words(loaded.config)}")
    way = loaded.way(direction)
    idle = options.idle_unless(way.generator.random, ("seed", "noise"), "on a model without noise")
    options.refuse_idle(ctx, idle)
    inputs = Inputs(loaded, way, size, fit, derive, pair)
    if tile and not way.generator.local:
        terminal.warn("the norm of this model sees a whole picture: the tiles may not fit together")
    translator = ImageTranslator(way, seed=seed if noise else None, tile=tile)
    made = _translated(paths, inputs, translator, terminal, alone=form == "picture")
    match form:
        case "picture":
            _write_picture(next(made), out, terminal, compare=compare)
            for _ in made:  # there is no other; what could not be read is told at the end
                pass
        case "files":
            _write_files(made, out or TRANSLATED, terminal, compare=compare, overwrite=overwrite)
        case "npz":
            _write_array(made, out)
        case _:
            assert_never(form)


class _Made(NamedTuple):
    """An image `(channels, height, width)`, and what it was made of."""

    name: str
    source: Pixels
    image: Pixels
    target: Pixels | None


def _inputs(paths: list[str] | None) -> list[str]:
    """What is translated: what was named, or what comes through a pipe."""
    if not paths:
        if streams.stdin_is_a_person():
            raise UsageError("no image to translate", hint="seqgen gan-translate drawing.png > emoji.png")
        return ["-"]
    if paths.count("-") > 1:
        raise UsageError("- stands for standard input, which is read once")
    return paths


def _form(paths: Sequence[str], out: Path | None) -> Form:
    """What is written: one picture, a file each, or an array."""
    from seqgen.data.images import kind_of

    suffix = out.suffix.lower() if out else ""
    for path in paths:
        if path != "-" and not Path(path).exists():
            raise DataError(f"{path}: no such file or folder")
    kinds = {"file" if path == "-" else kind_of(path) for path in paths}
    if suffix in pictures.NPZ or (kinds <= {"npz", "idx"} and not suffix and out in (None, Path("-"))):
        return "npz"
    if len(paths) == 1 and kinds == {"file"} and not (out and out.is_dir()):
        pictures.format_of(out if out != Path("-") else None, "--out", pictures.STILL | pictures.NPZ)
        return "picture"
    if out == Path("-") or (out is None and not streams.stdout_is_a_terminal()):
        raise UsageError("several images are several files, which no pipe takes", hint="--out FOLDER, or FILE.npz")
    if suffix in pictures.STILL:
        raise UsageError(f"--out {out} is the name of one picture, but there are several", hint="--out FOLDER")
    return "files"


def _translated(
    paths: Sequence[str], inputs: Inputs, translator: ImageTranslator, terminal: Terminal, *, alone: bool
) -> Iterator[_Made]:
    """What is made of each image, one at a time; what cannot be used is named, and is an error where it is alone."""
    from seqgen.data.image_inputs import read_images

    advised, faults = False, 0
    for picture in read_images(paths, streams.read_bytes, terminal.warn):
        try:
            source, target = inputs.of(picture.pixels)
            image = translator.translate(source)
        except DataError as error:
            if alone:
                raise
            terminal.warn(f"{picture.name}: {error.message}")
            faults += 1
            continue
        trained, sides = inputs.way.images, source.shape[1:]
        scale = max(sides) / max(trained.height, trained.width)
        if not advised and not 1 / FAR <= scale <= FAR:
            size = f"{trained.height}x{trained.width}"
            terminal.note(
                f"an image of {sides[1]}x{sides[0]}; the model learned from {trained.width}x{trained.height}: "
                f"--image-size {trained.height if trained.height == trained.width else size} makes it of this size"
            )
            advised = True
        yield _Made(picture.name, source, image, target)
    if faults:
        raise DataError(f"{counted(faults, 'image')} cannot be translated")


def _drawn(made: _Made, *, compare: bool) -> Image.Image:
    """The picture that is written of an image: itself, or a strip with what it was made of."""
    from seqgen.figures import mosaic

    shown = [made.source, made.image, made.target] if compare else [made.image]
    images = [mosaic.pictures(pixels[None])[0] for pixels in shown if pixels is not None]
    if len({image.mode for image in images}) > 1:
        images = [image.convert("RGB") for image in images]
    return mosaic.grid(images, 1, len(images))


def _write_picture(made: _Made, out: Path | None, terminal: Terminal, *, compare: bool) -> None:
    """To a file, or as a PNG to whoever reads; for a person a file and a preview."""
    from seqgen.figures import mosaic

    picture, shown = _drawn(made, compare=compare), streams.stdout_is_a_terminal()
    if (out is None and not shown) or out == Path("-"):
        streams.write_bytes(mosaic.encoded(picture, "PNG"))
        return
    path = out or TRANSLATED.with_suffix(".png")
    streams.write_file(path, mosaic.encoded(picture, pictures.format_of(path, "--out", pictures.STILL)))
    terminal.note(f"{path}: {picture.width}x{picture.height} pixels")
    if shown and not terminal.quiet:
        draw(mosaic.preview(picture, min(80, shutil.get_terminal_size().columns), colour=colourful()))


def _write_files(images: Iterator[_Made], folder: Path, terminal: Terminal, *, compare: bool, overwrite: bool) -> None:
    """A PNG each, named like what it was made of, in folders like those that this was in."""
    from seqgen.figures import mosaic

    written = set[Path]()
    for made in images:
        path = _free(folder / f"{made.name}.png", written)
        if path.exists() and not overwrite:
            raise UsageError(f"{path} stands there already", hint="--overwrite takes its place, or another --out")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{path.parent} cannot be made: {error.strerror}") from None
        streams.write_file(path, mosaic.encoded(_drawn(made, compare=compare), "PNG"))
        written.add(path)
    terminal.note(f"{folder}: {counted(len(written), 'image')}")


def _free(path: Path, taken: Container[Path]) -> Path:
    """A path that no image of this run has: that of the second `a.png` is `a-2.png`."""
    paths = itertools.chain([path], (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2)))
    return next(path for path in paths if path not in taken)


def _write_array(images: Iterator[_Made], out: Path | None) -> None:
    """An npz file with `images` `(n, height, width, channels)`."""
    import numpy as np

    made = [image.image.transpose(1, 2, 0) for image in images]
    if len({image.shape for image in made}) > 1:
        raise UsageError("images of several sizes are no array", hint="--image-size makes them of one, or --out FOLDER")
    file = io.BytesIO()
    np.savez_compressed(file, images=np.stack(made))
    if out is None and streams.stdout_is_a_terminal():
        out = TRANSLATED.with_suffix(".npz")
    if out is None or out == Path("-"):
        streams.write_bytes(file.getvalue())
    else:
        streams.write_file(out, file.getvalue())
