"""Arrays of images: the idx files of MNIST, gzipped or not, and npz files.

Both are a header and then one image after the other, and are read that way, however large they are. A header is
believed only as far as bytes follow it, and there is no pickle. Image files are read in `seqgen.data.image_files`.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import math
import struct
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from seqgen.data.image_files import Faults, Picture
from seqgen.data.image_folders import reading
from seqgen.data.image_pixels import MAX_PIXELS, Form
from seqgen.errors import DataError
from seqgen.names import on_one_line

BLOCK = 2**20
GZIP = b"\x1f\x8b"
IDX_BYTES = 8  # the code of the one idx type that pixels and labels come in
MAX_DIMENSIONS = 4
NPY_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class Header(NamedTuple):
    """How many bytes the header itself takes, the shape of the array behind it, and the type of its numbers."""

    num_bytes: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


class ImageArray:
    """Images of one size, one after the other.

    Args:
        path (str): the file.
        open_array (Callable[[], IO[bytes]]): opens it where the header begins.
        header (Header): says `(images, height, width)` or `(images, height, width, channels)`.
        labels (NDArray[np.int64] | None): one for each image.

    Raises:
        DataError: this is not the shape of images.
    """

    def __init__(
        self, path: str, open_array: Callable[[], IO[bytes]], header: Header, labels: NDArray[np.int64] | None
    ) -> None:
        self.path, self._open, self._skip, self._labels = path, open_array, header.num_bytes, labels
        self._form = _form(path, header.shape)
        self.empty: tuple[str, ...] = ()
        self.forms = Counter({self._form: header.shape[0]} if header.shape[0] else {})

    def read(self, size: tuple[int, int], faults: Faults) -> Iterator[Picture]:
        """See `seqgen.data.image_files.ImageSource.read`."""
        count, num_bytes = self.forms.total(), math.prod(self._form)
        with reading(self.path), self._open() as file:
            file.read(self._skip)
            for i in range(count):
                content = file.read(num_bytes)
                if len(content) < num_bytes:
                    raise DataError(f"{self.path} is truncated: {count:,} images in its header, {i:,} in the file")
                label = None if self._labels is None else str(self._labels[i])
                yield Picture(np.frombuffer(content, np.uint8).reshape(self._form), label, str(i))
            if file.read(1):
                raise DataError(f"{self.path} is damaged: more follows after the {count:,} images of its header")


def _form(path: str, shape: tuple[int, ...]) -> Form:
    said = f"{path} holds an array of {' x '.join(map(str, shape))}"
    if len(shape) not in (3, 4):
        hint = "give the file with the images: the one with their labels is found beside it" if len(shape) == 1 else ""
        raise DataError(f"{said}, but images have 3 dimensions, or 4 with channels", hint=hint)
    form = Form(shape[1], shape[2], shape[3] if len(shape) == 4 else 1)
    if form.channels not in (1, 2, 3, 4):
        raise DataError(f"{said}, but the last of 4 dimensions is that of the channels, 1 to 4", hint="transpose it")
    if not 1 <= form.height * form.width <= MAX_PIXELS:
        raise DataError(f"{said}, but an image has 1 to {MAX_PIXELS:,} pixels")
    return form


def _read_labels(path: str, file: IO[bytes], header: Header, count: int) -> NDArray[np.int64]:
    """The labels behind a header that ends where the file stands."""
    if math.prod(header.shape) != count:
        raise DataError(f"{path}: {math.prod(header.shape):,} labels for {count:,} images")
    if header.dtype.kind not in "iu":
        raise DataError(f"{path}: labels are of type {header.dtype}, not whole numbers")
    labels = np.frombuffer(file.read(count * header.dtype.itemsize), header.dtype)
    if len(labels) != count:
        raise DataError(f"{path} is truncated: {count:,} labels in its header, {len(labels):,} in the file")
    return labels.astype(np.int64)


# idx ----------------------------------------------------------------------------------------------------------


def first_bytes(path: str) -> bytes:
    """The four bytes that a file begins with; if it is gzipped, that its content begins with.

    Raises:
        DataError: it cannot be read.
    """
    with reading(path), _unzipped(path) as file:
        return file.read(4)


def open_idx(path: str, label_path: str) -> ImageArray:
    """The images of an idx file.

    Args:
        path (str): the file.
        label_path (str): its label file; empty: the one beside it that its name tells of, if there is one.

    Raises:
        DataError: a file is damaged or holds something else.
    """
    with reading(path), _unzipped(path) as file:
        header = _idx_header(path, file)
    labels = None
    if label_path := label_path or label_path_of(path):
        with reading(label_path), _unzipped(label_path) as file:
            labels = _read_labels(label_path, file, _idx_header(label_path, file), header.shape[0])
    return ImageArray(path, partial(_unzipped, path), header, labels)


def _unzipped(path: str) -> IO[bytes]:
    with open(path, "rb") as file:
        zipped = file.read(2) == GZIP
    # Buffered once more: gzip's own small reads take longer than the small images that they fetch.
    return BufferedReader(gzip.open(path, "rb"), BLOCK) if zipped else open(path, "rb")


def _idx_header(path: str, file: IO[bytes]) -> Header:
    """Two zeros, the type, the number of dimensions, and each of them in 4 bytes, the highest first."""
    zeros, kind, dimensions = struct.unpack(">HBB", file.read(4))
    if zeros or kind != IDX_BYTES or not 1 <= dimensions <= MAX_DIMENSIONS:
        raise DataError(f"{path} is not an idx file of bytes")
    num_bytes = 4 * dimensions
    return Header(4 + num_bytes, struct.unpack(f">{dimensions}I", file.read(num_bytes)), np.dtype(np.uint8))


def label_path_of(path: str) -> str:
    """`train-labels-idx1-ubyte.gz` for `train-images-idx3-ubyte.gz`, gzipped or not; empty if it is not there."""
    image_path = Path(path)
    name = image_path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    plain = name.removesuffix(".gz")
    beside = [image_path.with_name(n) for n in dict.fromkeys((name, plain, f"{plain}.gz")) if n != image_path.name]
    return next((str(p) for p in beside if p.is_file()), "") if "images" in image_path.name else ""


# npz ----------------------------------------------------------------------------------------------------------


def is_npz(path: str) -> bool:
    """Whether a file is a zip of nothing but arrays."""
    if not zipfile.is_zipfile(path):
        return False
    with reading(path), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return bool(names) and all(name.endswith(".npy") for name in names)


def open_npz(path: str) -> ImageArray:
    """The images of an npz file, unsigned bytes, and their labels if it has some.

    They are its arrays `images` and `labels`. Without these names: its only array of bytes that has the dimensions of
    images, and its only one of as many whole numbers.

    Raises:
        DataError: the file is damaged, or holds something else.
    """
    with reading(path), zipfile.ZipFile(path) as archive:
        headers = _headers(path, archive)
        name = _named(path, "images", headers, [n for n, header in headers.items() if _may_be_images(header)])
        if name is None:
            raise DataError(f"{path} holds no array named images, only {_some(headers)}")
        header = headers[name]
        if header.dtype != np.uint8:
            raise DataError(f"{path}: images are of type {header.dtype}, not uint8", hint="0 is black, 255 white")
        _form(path, header.shape)  # before labels are counted by it
        fitting = [n for n in headers if n != name and _may_be_labels(headers[n], header)]
        labels, label_name = None, _named(path, "labels", headers, fitting)
        if label_name is not None:
            with archive.open(f"{label_name}.npy") as file:
                labels = _read_labels(path, file, _npy_header(path, file), header.shape[0])
    return ImageArray(path, lambda: zipfile.ZipFile(path).open(f"{name}.npy"), header, labels)


def _headers(path: str, archive: zipfile.ZipFile) -> dict[str, Header]:
    """The headers of all arrays by name; None for an array whose format only objects or named fields need."""
    headers = {}
    for name in archive.namelist():
        plain = name.removesuffix(".npy")
        with archive.open(name) as file, contextlib.ExitStack() as faults:
            if plain not in ("images", "labels"):  # the faults of other arrays do not matter here
                faults.enter_context(contextlib.suppress(DataError))
            headers[plain] = _npy_header(path, file)
    return headers


def _may_be_images(header: Header) -> bool:
    return len(header.shape) in (3, 4) and header.dtype == np.uint8


def _may_be_labels(header: Header, images: Header) -> bool:
    one_each = header.shape[:1] == images.shape[:1] == (math.prod(header.shape),)
    return one_each and header.dtype.kind in "iu"


def _named(path: str, name: str, headers: Collection[str], fitting: Sequence[str]) -> str | None:
    """The array with a name, else the only one that fits; None if none does."""
    if name in headers:
        return name
    if len(fitting) > 1:
        raise DataError(
            f"{path} holds several arrays that may be {name}: {_some(fitting)}", hint=f"call one of them {name}"
        )
    return fitting[0] if fitting else None


def _some(names: Iterable[str]) -> str:
    shown = [on_one_line(name) for name in itertools.islice(names, 9)]
    return ", ".join(shown) or "nothing"


def _npy_header(path: str, file: IO[bytes]) -> Header:
    read_header = NPY_HEADERS.get(npy.read_magic(file))
    if read_header is None:
        raise DataError(f"{path}: arrays in a format that only objects and named fields need")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy tells of headers that it has to read twice
        shape, fortran_order, dtype = read_header(file)
    if min(shape, default=0) < 0:
        raise DataError(f"{path}: an array cannot be of size {min(shape)}")
    if fortran_order and len(shape) > 1:
        raise DataError(f"{path}: its arrays are in Fortran order", hint="save them through np.ascontiguousarray")
    return Header(file.tell(), shape, dtype)
