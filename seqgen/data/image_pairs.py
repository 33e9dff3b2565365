"""Pairs of images, an input and its target: side by side in one file, in two folders, or one derived from the other."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqgen import modeldir
from seqgen.config import ImageConfig, PairConfig
from seqgen.config.images import MIN_IMAGE
from seqgen.data.conditions import derived
from seqgen.data.image_domains import SIDES, build_domains
from seqgen.data.images import NAMES, build_images
from seqgen.errors import DataError
from seqgen.names import on_one_line
from seqgen.wording import counted

INDEX = "pairs.json"
# Images that are derived or copied together.
BLOCK = 256
NAMED = 3

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class PairSet:
    """Inputs and targets of one size.

    Args:
        sources (NDArray[np.uint8]): `(pairs, channels, height, width)`, 0 to 255, memory-mapped.
        targets (NDArray[np.uint8]): likewise, of channels of their own.
    """

    sources: NDArray[np.uint8]
    targets: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.targets)

    def read(self, indices: Indices) -> tuple[Tensor, Tensor]:
        """Inputs and targets, bytes `(batch, channels, height, width)` each."""
        return torch.from_numpy(self.sources[indices]), torch.from_numpy(self.targets[indices])


def build_pairs(images: ImageConfig, pairs: PairConfig, directory: Path, warn: Callable[[str], None]) -> PairSet:
    """Decode the pairs of a run into `directory`, or reopen what an earlier session decoded there.

    Args:
        images (ImageConfig): paths, size, channels and fit; the size is that of an input and of a target.
        pairs (PairConfig): how the pairs lie in them.
        directory (Path): created if needed.
        warn (Callable[[str], None]): told what was done to images that are not alike, and what was passed over.

    Raises:
        DataError: a path cannot be read, or there are no pairs.
    """
    whole = (directory / INDEX).is_file()
    if not whole:
        shutil.rmtree(directory, ignore_errors=True)
    warn = _unheard if whole else warn  # it was said when they were made
    if pairs.condition != "none":
        found = _derived(images, pairs, directory, warn)
    elif len(images.paths) == 1:
        found = _halves(images, directory, warn)
    else:
        found = _matched(images, directory, warn)
    if not whole:
        modeldir.write_file(directory / INDEX, modeldir.json_bytes({"pairs": len(found)}))
    return found if pairs.direction == "a2b" or pairs.condition != "none" else PairSet(found.targets, found.sources)


def _unheard(message: str) -> None:
    """Nobody listens."""


# One path: targets, or pairs side by side ---------------------------------------------------------------------


def _derived(images: ImageConfig, pairs: PairConfig, directory: Path, warn: Callable[[str], None]) -> PairSet:
    targets = build_images(images, directory / "targets", warn).pixels
    blocks = (derived(targets[i : i + BLOCK], pairs.condition) for i in range(0, len(targets), BLOCK))
    channels = derived(targets[:1], pairs.condition).shape[1]
    shape = (len(targets), channels, *targets.shape[2:])
    return PairSet(_written(directory / "sources.bin", blocks, shape), targets)


def _halves(images: ImageConfig, directory: Path, warn: Callable[[str], None]) -> PairSet:
    """Left and right halves."""
    if images.size is not None:
        images = dataclasses.replace(images, image_size=f"{images.size[0]}x{2 * images.size[1]}")
    pixels = build_images(images, directory / "halves", warn).pixels
    height, width = pixels.shape[2:]
    if width % 2 or width < 2 * MIN_IMAGE:
        raise DataError(
            f"pairs side by side have an even width of {2 * MIN_IMAGE} pixels at least, not {width}",
            hint="for single images: --condition edges, or two folders; or choose an --image-size",
        )
    if width <= height:
        warn(
            f"each image of {width}x{height} pixels is taken for a pair side by side, {width // 2}x{height} each: "
            "--condition makes the input of each image from itself"
        )
    return PairSet(pixels[..., : width // 2], pixels[..., width // 2 :])


# Two paths ----------------------------------------------------------------------------------------------------


def _matched(images: ImageConfig, directory: Path, warn: Callable[[str], None]) -> PairSet:
    """The images of two paths that have one name."""
    found = build_domains(images, directory, warn, named=True)
    names = [_names(directory / side / NAMES, path) for side, path in zip(SIDES, images.paths, strict=True)]
    both = [name for name in names[0] if name in names[1]]
    if not both:
        some = [next(iter(known)) for known in names]
        raise DataError(
            f"no image of {images.paths[0]} has the name of one of {images.paths[1]}",
            hint=f"pairs are found by name, and these begin with {some[0]} and {some[1]}",
        )
    alone = sorted(names[0].keys() ^ names[1].keys())
    if alone:
        shown = ", ".join(map(on_one_line, alone[:NAMED])) + (", ..." if len(alone) > NAMED else "")
        warn(f"{counted(len(alone), 'image')} without a partner of the same name left out: {shown}")
    rows = [np.array([known[name] for name in both]) for known in names]
    sides = zip((found.a, found.b), rows, SIDES, strict=True)
    return PairSet(*(_in_order(side.pixels, which, directory / name / "matched.bin") for side, which, name in sides))


def _names(path: Path, of: str) -> dict[str, int]:
    """The place of each image by its name.

    Raises:
        DataError: two have the same.
    """
    names: list[str] = json.loads(path.read_bytes())
    places = {name: place for place, name in enumerate(names)}
    if len(places) < len(names):
        twice = next(name for place, name in enumerate(names) if places[name] != place)
        raise DataError(f"{of} holds two images named {on_one_line(twice)}, so their partners cannot be told apart")
    return places


def _in_order(pixels: NDArray[np.uint8], rows: Indices, path: Path) -> NDArray[np.uint8]:
    """Some images in the order of `rows`: as they are if that is their own."""
    if np.array_equal(rows, np.arange(len(pixels))):
        return pixels
    blocks = (pixels[rows[i : i + BLOCK]] for i in range(0, len(rows), BLOCK))
    return _written(path, blocks, (len(rows), *pixels.shape[1:]))


def _written(path: Path, blocks: Iterable[NDArray[np.uint8]], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An array in a file; one that is there already is opened."""
    if not (path.is_file() and path.stat().st_size == int(np.prod(shape))):
        with path.open("wb") as file:
            for block in blocks:
                file.write(block.tobytes())
    return np.asarray(np.memmap(path, np.uint8, mode="r", shape=shape))
