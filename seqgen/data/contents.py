"""What a path holds: images, a table of sentence pairs, or running text. Every command asks here.

The content decides, as far as its beginning tells. The name of a file decides where the content leaves it open: a file
called `.csv` whose first line has one column is a table with a fault, not a text.
"""

from __future__ import annotations

import itertools
import math
import os
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from seqgen.data.image_signs import GZIP, is_image_file
from seqgen.data.sides import NO_KEYS, Keys
from seqgen.data.tables import table_format
from seqgen.data.text import open_source, read_lines, read_text
from seqgen.errors import DataError

Content = Literal["images", "table", "text"]

TABLE_ENDINGS = (".tsv", ".csv", ".jsonl", ".ndjson")
SAMPLED_BYTES = 2**13  # bytes of a file
FILES_SAMPLED = 100  # of a folder
# Nearly all lines of tab-separated pairs have as many tabs as the first; a line may be faulty.
ALIKE = 0.9
# How much the lengths of lines and of their translations go together: about 0.9 for translations, 0 for other texts.
CORRELATED, ENOUGH_LINES, MOST_LINES = 0.5, 10, 10_000


def content_of(path: str, keys: Keys = NO_KEYS) -> Content | None:
    """What a path holds; None if that cannot be told, as of a pipe, which could not be read again.

    Args:
        path (str): a file or a folder.
        keys (Keys): which columns of a table are the two sides.
    """
    where = Path(path)
    try:
        if where.is_dir():
            files = list(itertools.islice(_files(where), FILES_SAMPLED))
            return "images" if 2 * sum(map(is_image_file, files)) > len(files) else "text"
        if not where.is_file():
            return None
        if is_image_file(where):
            return "images"
        with open_source(path) as file:
            begin = file.read(SAMPLED_BYTES)
    except (OSError, DataError):
        return None
    if begin.startswith(GZIP):  # whoever reads it says what is wrong
        return "text"
    lines = [line for line in begin.decode("utf-8-sig", errors="replace").splitlines(keepends=True) if line.strip()]
    is_table = _is_table(lines, keys) if lines else False
    return "table" if is_table or where.suffix.lower() in TABLE_ENDINGS else "text"


def _files(folder: Path) -> Iterator[Path]:
    """The files of a folder and its subfolders, hidden ones left out."""
    for where, subfolders, names in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield from (
            file for name in sorted(names) if not name.startswith(".") and (file := Path(where, name)).is_file()
        )


def _is_table(lines: Sequence[str], keys: Keys) -> bool:
    """Whether the lines at the beginning of a file are those of a table."""
    form = table_format(lines[0], keys)
    if form != "tabs":
        return form is not None
    rows = [line.rstrip("\r\n").split("\t") for line in lines]
    alike = [len(row) == len(rows[0]) and all(field.strip() for field in row) for row in rows]
    return sum(alike) >= ALIKE * len(rows)


# What a command cannot use ------------------------------------------------------------------------------------


def check_running_text(paths: Sequence[str], warn: Callable[[str], None]) -> None:
    """Refuse what is no text for a language model, before it is read.

    Raises:
        DataError: a path holds images, or two files are translations of each other.
    """
    refuse_images(paths)
    if len(paths) == 2 and are_aligned(paths[0], paths[1]):
        raise DataError(
            f"{paths[0]} and {paths[1]} look like sentence pairs, but a language model reads one text",
            hint=f"a translation model takes them as pairs; as one text they are given by cat {' '.join(paths)} and -",
        )
    for path in paths:
        if content_of(path) == "table":
            warn(f"{path} looks like a table; a language model reads it as running text, line by line")


def refuse_images(paths: Iterable[str]) -> None:
    """Refuse images where text is expected.

    Raises:
        DataError: a path holds images.
    """
    for path in paths:
        if content_of(path) == "images":
            raise DataError(f"{path} looks like images, not text", hint="gan-train learns from images")


def refuse_text(path: str) -> None:
    """Refuse text where images are expected.

    Raises:
        DataError: the path is a file of text.
    """
    kind = content_of(path)
    if Path(path).is_file() and kind in ("text", "table") and _is_utf8(path):
        uses = "train-lm learns from text" if kind == "text" else "train-transformer and train-seq2seq learn from pairs"
        raise DataError(f"{path} looks like {'text' if kind == 'text' else 'a table'}, not images", hint=uses)


def _is_utf8(path: str) -> bool:
    try:
        begin = "".join(itertools.islice(read_text(path), 2))  # what comes before a fault is kept
    except DataError:
        return False
    return bool(begin.strip())


def are_aligned(one: str, two: str) -> bool:
    """Whether two files look like a text and its translation.

    They have the same number of lines, and either short lines stand opposite short ones, or, where there are too few
    lines to tell, the names differ in their endings only, such as `t.de` and `t.en`.
    """
    if not (Path(one).is_file() and Path(two).is_file()) or Path(one).resolve() == Path(two).resolve():
        return False
    lengths: tuple[list[float], list[float]] = ([], [])
    try:
        for pair in itertools.zip_longest(*(read_lines(read_text(path)) for path in (one, two))):
            if pair[0] is None or pair[1] is None:
                return False
            if len(lengths[0]) < MOST_LINES:
                for line, side in zip(pair, lengths, strict=True):
                    side.append(math.sqrt(len(line.strip())))  # the root, so that one long line does not decide
    except DataError:
        return False
    if len(lengths[0]) < ENOUGH_LINES:
        return bool(lengths[0]) and Path(one).stem == Path(two).stem
    if len(set(lengths[0])) == 1 or len(set(lengths[1])) == 1:
        return Path(one).stem == Path(two).stem
    return statistics.correlation(*lengths) > CORRELATED
