"""The files of a folder, a zip or a tar archive, one at a time.

Nothing is unpacked to disk, so a name can lead nowhere, and no member is read that says it is very large.
`seqgen.data.image_files` decodes what is found here.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from PIL import UnidentifiedImageError

from seqgen.errors import DataError
from seqgen.names import shown

MAX_MEMBER_BYTES = 2**27

# What readers of damaged archives raise; NotImplementedError is that of a zip whose compression nobody here knows.
DAMAGE = (
    *(OSError, EOFError, ValueError, NotImplementedError, struct.error),
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
)


class ImageFile(NamedTuple):
    """One file: its name for people, the folders that it lies in below the path, and how to open it."""

    name: str
    folders: tuple[str, ...]
    open: Callable[[], IO[bytes]]


def in_file(path: str) -> Iterator[ImageFile]:
    """The one file that the path names."""
    yield ImageFile(path, (), partial(_open, path))


def in_folder(path: str) -> Iterator[ImageFile]:
    """The files of a folder and its subfolders in order of name, hidden ones left out.

    Raises:
        DataError: a folder cannot be read.
    """
    with reading(path):
        seen = {os.path.realpath(path)}
        for folder, subfolders, names in os.walk(path, onerror=_raise, followlinks=True):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            subfolders[:] = [name for name in subfolders if _is_new(os.path.join(folder, name), seen)]
            below = Path(folder).relative_to(path).parts
            for name in sorted(name for name in names if not name.startswith(".")):
                full = os.path.join(folder, name)
                yield ImageFile(full, below, partial(_open, full))


def _is_new(folder: str, seen: set[str]) -> bool:
    """Whether a folder is met for the first time: links may lead in circles."""
    before = len(seen)
    seen.add(os.path.realpath(folder))
    return len(seen) > before


def _raise(error: OSError) -> None:
    raise error


def _open(path: str) -> IO[bytes]:
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a named pipe would wait for a writer
        raise ValueError("not a regular file")
    return open(path, "rb")


def in_zip(path: str) -> Iterator[ImageFile]:
    """The files of a zip archive in its order, hidden ones left out.

    Raises:
        DataError: it is damaged.
    """
    with reading(path), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                yield from _member(path, member.filename, member.file_size, partial(archive.read, member))


def is_tar(path: str) -> bool:
    """Whether a file is a tar archive, compressed or not."""
    with reading(path):
        return tarfile.is_tarfile(path)


def in_tar(path: str) -> Iterator[ImageFile]:
    """The files of a tar archive, compressed or not, in its order, hidden ones left out.

    Raises:
        DataError: it is damaged.
    """
    with reading(path), tarfile.open(path) as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
            if not member.isdir():
                yield from _member(path, member.name, member.size, partial(_from_tar, archive, member))


def _from_tar(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(member) if member.isfile() else None
    if content is None:
        raise ValueError("a link or a device, not a file")
    return content.read()


def _member(path: str, name: str, size: int, read: Callable[[], bytes]) -> Iterator[ImageFile]:
    *folders, _ = parts = PurePosixPath(name).parts or ("",)
    if any(part == "__MACOSX" or (part.startswith(".") and part != "..") for part in parts):
        return
    yield ImageFile(f"{path}: {name}", tuple(folders), partial(_content, folders, size, read))


def _content(folders: list[str], size: int, read: Callable[[], bytes]) -> IO[bytes]:
    if ".." in folders or "/" in folders:
        raise ValueError("its name leads out of the archive")
    if size > MAX_MEMBER_BYTES:
        raise ValueError(f"{size:,} bytes unpacked, more than {MAX_MEMBER_BYTES:,}")
    return BytesIO(read())


# What went wrong ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn what the readers of a file raise into an error that names it.

    Raises:
        DataError: the file is damaged or cannot be opened.
    """
    try:
        yield
    except DAMAGE as error:
        where = error.filename if isinstance(error, OSError) and error.filename else path
        raise DataError(f"{where} cannot be read: {cause(error)}") from None


def cause(error: Exception) -> str:
    """What went wrong, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return shown(str(error).partition("\n")[0]) or type(error).__name__
