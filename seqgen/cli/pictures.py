"""Pictures as files: the suffix of a path says what is written, by one rule for all commands; folders of pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from seqgen.cli.streams import write_file
from seqgen.cli.terminal import Terminal
from seqgen.errors import OutputError, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from seqgen.figures.chart import Format

PNG = {".png": "PNG"}
SVG = {".svg": "SVG"}
STILL = {**PNG, ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
MOVING = {".gif": "GIF", ".webp": "WEBP", ".apng": "PNG"}
NPZ = {".npz": "NPZ"}
CHART: dict[str, Format] = {".png": "PNG", ".svg": "SVG", ".pdf": "PDF"}

F = TypeVar("F", bound=str)

_OURS = re.compile(r"[0-9]{5,}\.png")


def format_of(path: Path | None, option: str, formats: Mapping[str, F]) -> F:
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


@dataclass(frozen=True)
class ChartFile:
    """Where a chart goes, checked before anything is computed.

    Args:
        option (str): the option that names the path.
        path (Path | None): a .png, .svg or .pdf; None if no chart is wanted.
        font (Path | None): of `--font`.
        terminal (Terminal): told about characters that no font has.

    Raises:
        UsageError: the suffix is none of a chart's.
    """

    option: str
    path: Path | None
    font: Path | None
    terminal: Terminal

    def __post_init__(self) -> None:
        format_of(self.path, self.option, CHART)

    def drawn(self, draw: Callable[[Figure], None]) -> bytes:
        """The bytes of the file; `draw` is that of `seqgen.figures.chart.render`.

        Raises:
            UsageError: the font cannot be used.
        """
        from seqgen.figures.chart import render

        try:
            chart = render(draw, format_of(self.path, self.option, CHART), self.font)
        except (OSError, RuntimeError) as error:
            raise UsageError(f"--font {self.font} cannot be used: {error}") from None
        if chart.missing:
            self.terminal.warn(f"no font here has {' '.join(chart.missing[:20])}: --font FILE names one that does")
        return chart.content

    def write(self, draw: Callable[[Figure], None]) -> None:
        """Draw it into its file.

        Raises:
            UsageError: the font cannot be used.
            OutputError: the file cannot be written.
        """
        assert self.path is not None
        write_file(self.path, self.drawn(draw))


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
