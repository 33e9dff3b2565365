"""What the data of a run was made from: by size and hash, so that lost data is made again from the same bytes only.

A run reads its text or its images once and goes on with what it made of them. What they were is kept in the run's
`training.json`, for the made data may be lost, and the originals may have changed by then.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqgen.data.text import shown_name
from seqgen.errors import DataError

NEW = "or begin anew with --overwrite"


@dataclass(frozen=True)
class Source:
    """A file, or the files of a folder, as they were when they were read.

    Args:
        path (str): as it was typed.
        files (int): how many files; none if this can be read only once, like standard input.
        bytes (int): how many bytes they have together.
        listing (str): a hash of their names, sizes and times: while it is the same nothing need be read.
        sha256 (str): a hash of their names and contents; of one file, of its content alone.
    """

    path: str
    files: int
    bytes: int
    listing: str
    sha256: str

    @classmethod
    def of(cls, path: str) -> Source:
        """A source as it is now; what cannot be read is left to the reader that comes next."""
        try:
            found = list(_files(path))
            total = hashlib.sha256()
            for name, file in found:
                with file.open("rb") as content:
                    total.update(name + b"\0" + hashlib.file_digest(content, "sha256").digest())
            size = sum(file.stat().st_size for _, file in found)
            return cls(path, len(found), size, _listing(path), total.hexdigest() if found else "")
        except (OSError, ValueError):
            return cls(path, 0, 0, "", "")

    @property
    def exists(self) -> bool:
        """Whether something is there under its name."""
        return bool(self.files) and os.path.exists(self.path)

    @property
    def changed(self) -> bool:
        """Whether what is there is something else; asked of a source that exists."""
        try:
            if _listing(self.path) == self.listing:
                return False
        except OSError:
            return True
        return Source.of(self.path).sha256 != self.sha256


def as_json(sources: Iterable[Source]) -> list[dict[str, Any]]:
    """Sources as they stand in `training.json`."""
    return [dataclasses.asdict(source) for source in sources]


def from_json(settings: Mapping[str, Any]) -> list[Source]:
    """The sources in a `training.json`; none if they are not whole."""
    try:
        return [Source(**entry) for entry in settings["sources"]]
    except (KeyError, TypeError):
        return []


def require_unchanged(sources: list[Source], lost: Path) -> None:
    """See that data that is lost can be made again.

    Args:
        sources (list[Source]): what it was made from.
        lost (Path): where it was.

    Raises:
        DataError: a source is gone, has changed, or could be read only once.
    """
    gone = f"the data of this run is gone ({lost})"
    if not sources:
        raise DataError(f"{gone}, and the run does not say what it was made from", hint="begin anew with --overwrite")
    for source in sources:
        name = shown_name(source.path)
        if not source.files:
            raise DataError(f"{gone}, and {name} can be read only once", hint="begin anew with --overwrite")
        if not source.exists:
            raise DataError(f"{gone}, and so is {name}, which it was made from", hint=f"put it back, {NEW}")
        if source.changed:
            raise DataError(f"{gone}, and {name} is not what it was made from", hint=f"put it back as it was, {NEW}")


def _files(path: str) -> Iterator[tuple[bytes, Path]]:
    """The regular files behind a path, with their names below it; hidden ones are left out."""
    if not os.path.isdir(path):
        if path != "-" and stat.S_ISREG(os.stat(path).st_mode):
            yield b"", Path(path)
        return
    seen = {os.path.realpath(path)}
    for folder, subfolders, names in os.walk(path, followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        real = {name: os.path.realpath(os.path.join(folder, name)) for name in subfolders}
        subfolders[:] = [name for name in subfolders if real[name] not in seen]  # links may lead in circles
        seen.update(real.values())
        for file in (Path(folder, name) for name in sorted(names) if not name.startswith(".")):
            if file.is_file():
                yield os.fsencode(file.relative_to(path)), file


def _listing(path: str) -> str:
    """A hash of names, sizes and times.

    Raises:
        OSError: something is gone.
    """
    total = hashlib.sha256()
    for name, file in _files(path):
        status = file.stat()
        total.update(name + f"\0{status.st_size} {status.st_mtime_ns}\n".encode())
    return total.hexdigest()
