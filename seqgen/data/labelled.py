"""Labelled texts from their files: a table, a folder with a class in each file or subfolder, files named by class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from seqgen.data.contents import content_of, refuse_images
from seqgen.data.pair_files import ENDINGS
from seqgen.data.sides import LABELS, Keys
from seqgen.data.tables import read_table
from seqgen.data.text import read_lines, read_text, shown_name
from seqgen.errors import DataError


class Example(NamedTuple):
    """A text and its label, or a sentence with a label for each word.

    Args:
        place (str): where it stands: the file and the line.
        text (str): as it stands there; of tagged words, these with a space between.
        labels (tuple[str, ...]): one, or one for each word.
    """

    place: str
    text: str
    labels: tuple[str, ...]


def read_labelled(
    paths: Sequence[str], text_column: str = "", label_column: str = "", names: Sequence[str] = ()
) -> Iterator[Example]:
    """Every text with its label, in order; a row without a text, or without a label, has an empty one.

    Args:
        paths (Sequence[str]): one table, one folder, or several files whose names are the labels of their lines.
        text_column (str): the table's column or key of texts, if it has not one of the usual names; or its number.
        label_column (str): that of labels.
        names (Sequence[str]): what errors call the paths; empty for themselves.

    Raises:
        DataError: something cannot be read, or a line is no row. The message names it.
    """
    names = names or [shown_name(path) for path in paths]
    refuse_images(paths)
    for path, name in zip(paths, names, strict=True):
        if path != "-" and not Path(path).exists():
            raise DataError(f"{name}: no such file or folder")
    folders = [path for path in paths if path != "-" and Path(path).is_dir()]
    if len(paths) == 1 and not folders:
        yield from _table(paths[0], names[0], Keys(text_column, label_column, LABELS))
        return
    if text_column or label_column:
        raise DataError("--text-column and --label-column name columns of a table, but the labels are names of files")
    if folders and len(paths) > 1:
        raise DataError(f"{folders[0]} is a folder: give it alone, or one table, or a file for each class")
    yield from _folder(Path(paths[0])) if folders else _files([Path(path) for path in paths])


def _table(path: str, name: str, keys: Keys) -> Iterator[Example]:
    lines = read_lines(read_text(path, name))
    for number, (text, label) in read_table(lines, name, keys, ENDINGS.get(Path(name).suffix.lower(), "tabs")):
        yield Example(f"{name}, line {number}", text, (label.strip(),))


def _folder(folder: Path) -> Iterator[Example]:
    """The texts of a folder: each subfolder is a class and each of its files a text, or each line of a file is one."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    subfolders = [entry for entry in entries if entry.is_dir()]
    if not subfolders:
        if not entries:
            raise DataError(f"{folder}: an empty folder")
        yield from _files(entries)
        return
    for subfolder in subfolders:
        texts = sorted(file for file in subfolder.rglob("*") if file.is_file() and not file.name.startswith("."))
        for file in texts:
            yield Example(str(file), "".join(read_text(str(file))), (subfolder.name,))


def _files(files: Sequence[Path]) -> Iterator[Example]:
    """The lines of some files, each a text of the class that its file is named by."""
    for file in files:
        if file.is_file() and content_of(str(file)) == "table":
            raise DataError(f"{file} is a table, not the lines of one class", hint="give one table alone, and --valid")
    if len(files) < 2:
        raise DataError(f"{files[0]} is the only file: there is one class, and nothing to tell apart")
    labels = [file.stem for file in files]
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise DataError(f"two files are named {twice!r}, and their names are the labels")
    for file, label in zip(files, labels, strict=True):
        for number, line in enumerate(read_lines(read_text(str(file))), 1):
            if line.strip():
                yield Example(f"{file}, line {number}", line, (label,))
