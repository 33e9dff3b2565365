"""Pictures as files: the suffix of a path says what is written, by one rule for all commands; folders of pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqgen.errors import OutputError, UsageError

PNG = {".png": "PNG"}
SVG = {".svg": "SVG"}
STILL = {**PNG, ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
MOVING = {".gif": "GIF", ".webp": "WEBP", ".apng": "PNG"}
NPZ = {".npz": "NPZ"}

_OURS = re.compile(r"[0-9]{5,}\.png")


def format_of(path: Path | None, option: str, formats: Mapping[str, str]) -> str:
    """The format that a path asks for by its suffix, the first one if it has none.

    Args:
        path (Path | None): where to; None and `-` have no suffix.
        option (str): the option that names the path.
        formats (Mapping[str, str]): formats by suffix, those that can be written.

    Raises:
        UsageError: it asks for another one.
    """
    suffix = path.suffix.lower() if path else ""
    if not suffix:
        return next(iter(formats.values()))
    if suffix not in formats:
        *others, last = formats
        known = f"{', '.join(others)} or {last}" if others else last
        raise UsageError(f"{option} {path} ends in {suffix}, but this is written as {known}")
    return formats[suffix]


def begin_folder(folder: Path, *, overwrite: bool) -> None:
    """Make a folder for numbered pictures, `00000.png` and so on, in it or in folders of classes in it.

    Args:
        folder (Path): made if needed; what stands there must not be mixed with what comes.
        overwrite (bool): pictures with such names go first. Nothing else is ever taken away.

    Raises:
        UsageError: something stands there.
        OutputError: the folder cannot be made or emptied.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = sorted(folder.iterdir())
        if not found:
            return
        if not overwrite:
            raise UsageError(
                f"{folder} is not empty, and its images would be mixed with these",
                hint="--overwrite takes their place, or choose another --out",
            )
        _empty(folder, found)
    except OSError as error:
        raise OutputError(f"{error.filename or folder} cannot be written: {error.strerror}") from None


def _empty(folder: Path, found: Sequence[Path]) -> None:
    """Remove numbered pictures and the folders that hold nothing else; a link is neither."""
    classes = [path for path in found if path.is_dir() and not path.is_symlink()]
    pictures = [path for path in found if path not in classes]
    for place in classes:
        pictures += sorted(place.iterdir())
    for path in pictures:
        if path.is_symlink() or not path.is_file() or not _OURS.fullmatch(path.name):
            raise UsageError(
                f"{path} is no image that gan-sample made, so {folder} is left as it is", hint="choose another --out"
            )
    for path in pictures:
        path.unlink()
    for place in classes:
        place.rmdir()
