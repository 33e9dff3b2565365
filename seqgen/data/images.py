"""Images of any kind to one memory-mapped array: decoded once, made alike, and read a batch at a time.

A folder, zip, tar, idx or npz file is scanned first, headers only, to settle size and channels. Then each image
is decoded, made to fit and appended to a flat file; one image is held at a time. `seqgen.data.image_folders` finds the
files, `seqgen.data.image_files` and `seqgen.data.image_arrays` read them, `seqgen.data.image_fit` makes them alike.
"""

from __future__ import annotations

import itertools
import json
import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqgen import modeldir
from seqgen.config import Fit, ImageConfig
from seqgen.config.images import MAX_IMAGE, MIN_IMAGE
from seqgen.data.contents import refuse_text
from seqgen.data.image_arrays import first_bytes, is_npz, label_path_of, open_idx, open_npz
from seqgen.data.image_files import Faults, ImageFiles, ImageSource, Picture
from seqgen.data.image_fit import fitted
from seqgen.data.image_folders import ImageFile, in_file, in_folder, in_tar, in_zip, is_tar
from seqgen.data.image_pixels import Form
from seqgen.errors import DataError, UsageError
from seqgen.names import on_one_line

NAMED = 3
INDEX, PIXELS, LABELS, NAMES = "images.json", "pixels.bin", "labels.bin", "names.json"
WANTED = "give a folder, zip or tar of image files, an idx file or an npz file"


@dataclass(frozen=True)
class ImageSet:
    """Images of one shape.

    Args:
        pixels (NDArray[np.uint8]): `(images, channels, height, width)`, 0 to 255, memory-mapped.
        labels (NDArray[np.int64] | None): the class of each image, `(images,)`.
        classes (tuple[str, ...]): the names of the classes, none without labels.
        empty (tuple[str, ...]): folders beside those with images that hold none.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]
    empty: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def lacking(self) -> str:
        """What to say of an image set without labels, or of one class: which folders hold no image."""
        return f"; there is no image in {_some(self.empty)}" if self.empty else ""

    def read(self, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor | None]:
        """Some images and their labels.

        Args:
            indices (NDArray[np.int64]): which, `(batch,)`.

        Returns:
            tuple[Tensor, Tensor | None]: floats `(batch, channels, height, width)` in [-1, 1], and int64 `(batch,)`.
        """
        pixels = torch.from_numpy(self.pixels[indices])
        labels = None if self.labels is None else torch.from_numpy(self.labels[indices])
        return pixels.to(torch.float32).div_(127.5).sub_(1.0), labels


def build_images(
    config: ImageConfig,
    directory: Path,
    warn: Callable[[str], None],
    *,
    any_size: bool = False,
    named: bool = False,
) -> ImageSet:
    """Decode the images of a run into `directory`, or reopen what an earlier session decoded there.

    Args:
        config (ImageConfig): paths, size, channels and fit.
        directory (Path): created if needed; holds pixels, labels and an index.
        warn (Callable[[str], None]): told what was done to images that are not alike, and what was passed over.
        any_size (bool): for images that are compared only: small ones are taken as they are, large ones made smaller.
        named (bool): keep the name of each image, in the file `NAMES`.

    Raises:
        DataError: a path cannot be read, holds no image that can be used, or images of a size that cannot.
        UsageError: a label file is named for images that have none of their own.
    """
    if (directory / INDEX).is_file():
        return _reopen(directory)
    sources = open_sources(config)
    form = _settle(config, sum((source.forms for source in sources), Counter()), warn, any_size=any_size)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    faults = Faults()
    pictures = itertools.chain.from_iterable(source.read(form[:2], faults) for source in sources)
    names = list[str]() if named else None
    given, labelled = _write(directory / PIXELS, pictures, form, config.fit, names)
    if not given:
        raise DataError(f"{', '.join(config.paths)}: no images{f'; {faults}' if faults.count else ''}", hint=WANTED)
    if faults.count:
        warn(str(faults))
    labels, classes = _number(given, labelled, warn)
    empty = [on_one_line(folder) for source in sources for folder in source.empty]
    if classes and empty:
        warn(f"no images in {_some(empty)}: {'it is no class' if len(empty) == 1 else 'they are no classes'}")
    (directory / LABELS).write_bytes(b"" if labels is None else labels.tobytes())
    if names is not None:
        modeldir.write_file(directory / NAMES, modeldir.json_bytes(names))
    shape = (len(given), form.channels, form.height, form.width)
    modeldir.write_file(directory / INDEX, modeldir.json_bytes({"shape": shape, "classes": classes, "empty": empty}))
    return _reopen(directory)


def _some(names: Sequence[str]) -> str:
    """The first few of some names."""
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")


def image_sources(config: ImageConfig) -> list[str]:
    """The files and folders that images are read from, with the label file that lies beside an idx file."""
    labels = [config.labels] if config.labels else [label_path_of(path) for path in config.paths]
    return [*config.paths, *filter(None, labels)]


def _reopen(directory: Path) -> ImageSet:
    try:
        index = json.loads((directory / INDEX).read_bytes())
        count, channels, height, width = index["shape"]
        classes, empty = tuple(map(str, index["classes"])), tuple(map(str, index.get("empty", ())))
        sizes = count * channels * height * width, 8 * count if classes else 0
        whole = sizes == tuple((directory / name).stat().st_size for name in (PIXELS, LABELS)) and count > 0
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise DataError(
            f"{directory} does not hold the whole images of this run", hint=f"delete {directory} and start again"
        )
    labels = np.fromfile(directory / LABELS, np.int64) if classes else None
    pixels = np.memmap(directory / PIXELS, np.uint8, mode="r", shape=(count, channels, height, width))
    return ImageSet(np.asarray(pixels), labels, classes, empty)


# Finding ------------------------------------------------------------------------------------------------------


def open_sources(config: ImageConfig) -> list[ImageSource]:
    """What is behind the paths, each scanned once.

    Raises:
        DataError: a path cannot be read.
        UsageError: a label file is named for something else than one idx file.
    """
    if not config.paths:
        raise DataError("no images: no path is given")
    if config.labels and len(config.paths) > 1:
        raise UsageError(f"{config.labels} is the label file of one idx file, but there are {len(config.paths)} paths")
    return [_open_source(path, config.labels) for path in config.paths]


def _open_source(path: str, label_path: str) -> ImageSource:
    """The source that the content of a path asks for."""
    if Path(path).is_fifo() or (path == "-" and not Path(path).exists()):
        raise DataError(
            f"{path}: images cannot come from a pipe", hint="they are read twice: write them to a file first"
        )
    if not Path(path).exists():
        raise DataError(f"{path}: no such file or folder")
    kind = kind_of(path)
    if kind == "idx":
        return open_idx(path, label_path)
    if label_path:
        raise UsageError(f"{label_path} is the label file of an idx file, but {path} is none")
    if kind == "npz":
        return open_npz(path)
    if kind == "file":
        refuse_text(path)
    return ImageFiles(path, partial(_LISTED[kind], path))


Kind = Literal["idx", "npz", "folder", "zip", "tar", "file"]
_LISTED: Mapping[str, Callable[[str], Iterator[ImageFile]]] = {
    "folder": in_folder,
    "zip": in_zip,
    "tar": in_tar,
    "file": in_file,
}


def kind_of(path: str) -> Kind:
    """What a path holds, by content alone: names may say anything."""
    if Path(path).is_dir():
        return "folder"
    begin = first_bytes(path)
    if begin.startswith(b"\0\0"):
        return "idx"
    if is_npz(path):
        return "npz"
    if begin.startswith(b"PK"):
        return "zip"
    return "tar" if is_tar(path) else "file"


# Building -----------------------------------------------------------------------------------------------------


def _settle(config: ImageConfig, forms: Counter[Form], warn: Callable[[str], None], *, any_size: bool) -> Form:
    """The form of all images; says what that does to those of another form."""
    sizes: Counter[tuple[int, int]] = Counter()
    for form, count in forms.items():
        sizes[form.height, form.width] += count
    # Without any image any size will do: reading the files will say what is wrong with them.
    common = config.size or (sizes.most_common(1)[0][0] if sizes else (MIN_IMAGE, MIN_IMAGE))
    height, width = _smaller(common) if any_size else common
    found = f"the images are {common[0]} high and {common[1]} wide"
    if (height, width) != common:
        warn(f"{found}: compared at {height} by {width}")
    if not any_size and not MIN_IMAGE <= min(height, width) <= max(height, width) <= MAX_IMAGE:
        raise DataError(f"{found}, but a side has {MIN_IMAGE} to {MAX_IMAGE} pixels", hint="choose an --image-size")
    if others := forms.total() - sizes[common]:
        how = "resized, and cropped around their centre" if config.fit == "crop" else "resized, and bordered to fit"
        warn(f"{others:,} of {forms.total():,} images are not {common[0]} high and {common[1]} wide: {how}")
    if transparent := sum(count for form, count in forms.items() if form.channels in (2, 4)):
        warn(f"{transparent:,} of {forms.total():,} images have transparency: laid on white")
    grey = all(form.channels <= 2 for form in forms) if config.channels == "auto" else config.channels == "grey"
    return Form(height, width, 1 if grey else 3)


def _smaller(size: tuple[int, int]) -> tuple[int, int]:
    """The same proportions with no side above the largest that there is room for."""
    scale = min(1.0, MAX_IMAGE / max(size))
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


def _write(
    path: Path, pictures: Iterable[Picture], form: Form, fit: Fit, names: list[str] | None
) -> tuple[array[int], list[str | None]]:
    """Append every image to one file; returns the label of each as a position in the list of all labels.

    The name of each is appended to `names`, where these are wanted.
    """
    labels, known = array("q"), dict[str | None, int]()
    with path.open("wb") as file:
        for picture in pictures:
            file.write(fitted(picture.pixels, form, fit).transpose(2, 0, 1).tobytes())
            labels.append(known.setdefault(picture.label, len(known)))
            if names is not None:
                names.append(picture.name)
    return labels, list(known)


def _number(
    given: array[int], names: list[str | None], warn: Callable[[str], None]
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """Labels that count the classes in order of their names, and these names; none if an image has no label."""
    labels = np.asarray(given)
    named = [name for name in names if name is not None]
    if len(named) < len(names):
        if named:
            count = np.count_nonzero(labels == names.index(None))
            warn(f"{count:,} of {len(labels):,} images are in no class: the labels of the others are not used")
        return None, ()
    classes = sorted(named, key=lambda name: (0, len(name), name) if name.isdecimal() else (1, 0, name))  # 2 before 10
    return np.array([classes.index(name) for name in named])[labels], tuple(classes)
