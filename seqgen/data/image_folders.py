"""The files of a folder, a zip or a tar archive, one at a time.

Nothing is unpacked to disk, so a name can lead nowhere, and no member is read that says it is very large. Folders are
listed too, for a class folder without images is worth a word.
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
from tokenize import TokenError
from typing import IO, NamedTuple

from PIL import UnidentifiedImageError

from seqgen.errors import DataError
from seqgen.names import shown

MAX_MEMBER_BYTES = 2**27
MAX_NAME = 255
UTF8_NAME = 0x800

# What readers of damaged archives raise; RuntimeError is that of a zip that is encrypted, or compressed by a method
# that Python does not know; SyntaxError and TokenError come from the header of an npy array, which is Python.
DAMAGE = (
    *(OSError, EOFError, ValueError, RuntimeError, struct.error, SyntaxError, TokenError),
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
)


class ImageFile(NamedTuple):
    """One file, or a folder that may be empty.

    Args:
        name (str): for people.
        folders (tuple[str, ...]): those that it lies in below the path; of a folder, with itself.
        open (Callable[[], IO[bytes]] | None): opens a file; None of a folder.
    """

    name: str
    folders: tuple[str, ...]
    open: Callable[[], IO[bytes]] | None


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
            yield ImageFile(folder, below, None)
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
            name = _zip_name(member)
            is_folder = name.endswith("/")
            yield from _member(path, name, member.file_size, None if is_folder else partial(archive.read, member))


def _zip_name(member: zipfile.ZipInfo) -> str:
    """A name with slashes, which some programs on Windows write the other way round, and in UTF-8 where it is that.

    A zip can say that its names are in UTF-8; some that are do not say it, and Python takes them for code page 437.
    """
    name = member.filename
    if not member.flag_bits & UTF8_NAME:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


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
            read = None if member.isdir() else partial(_from_tar, archive, member)
            yield from _member(path, member.name, member.size, read)


def _from_tar(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(member) if member.isfile() else None
    if content is None:
        raise ValueError("a link or a device, not a file")
    return content.read()


def _member(path: str, name: str, size: int, read: Callable[[], bytes] | None) -> Iterator[ImageFile]:
    parts = PurePosixPath(name).parts
    if any(part == "__MACOSX" or (part.startswith(".") and part != "..") for part in parts):
        return
    if read is None:
        yield ImageFile(f"{path}: {name}", parts, None)
    else:
        folders = parts[:-1]
        yield ImageFile(f"{path}: {name}", folders, partial(_content, folders, size, read))


def _content(folders: tuple[str, ...], size: int, read: Callable[[], bytes]) -> IO[bytes]:
    if ".." in folders or "/" in folders:
        raise ValueError("its name leads out of the archive")
    if any(len(folder) > MAX_NAME for folder in folders):
        raise ValueError("the name of its folder is longer than any folder's")
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
