"""Sentence pairs from their files: two aligned files, or one table with both sides (`seqgen.data.tables`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from seqgen.data.contents import refuse_images
from seqgen.data.sides import NO_KEYS, Keys
from seqgen.data.tables import Format, NumberedPair, read_table
from seqgen.data.text import read_lines, read_text, shown_name
from seqgen.errors import DataError

# What a table is where its first line does not tell.
ENDINGS: dict[str, Format] = {".jsonl": "json", ".ndjson": "json", ".json": "json", ".csv": "csv"}


def read_pairs(paths: tuple[str, ...], keys: Keys = NO_KEYS, names: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Source and target of every pair, in order; a blank line of a table is a pair of empty sentences.

    Args:
        paths (tuple[str, ...]): two files of which line i of one translates line i of the other, or one table with
            both sides. `-` is standard input, whose pairs are given as its lines come.
        keys (Keys): which columns or keys of a table are the two sides.
        names (tuple[str, ...]): what errors call the paths; empty for themselves.

    Raises:
        DataError: a file cannot be read, the files differ in length, or a line is no pair. The message names it.
    """
    return (pair for _, pair in read_numbered_pairs(paths, keys, names))


def read_numbered_pairs(
    paths: tuple[str, ...], keys: Keys = NO_KEYS, names: tuple[str, ...] = ()
) -> Iterator[NumberedPair]:
    """The same pairs, each with the line where it begins, counted from 1."""
    names = names or tuple(map(shown_name, paths))
    check_paths(paths, names, keys)
    texts = [read_lines(read_text(path, name)) for path, name in zip(paths, names, strict=True)]
    if len(paths) == 2:
        yield from _aligned(texts[0], texts[1], names[0], names[1])
    else:
        yield from read_table(texts[0], names[0], keys, ENDINGS.get(Path(names[0]).suffix.lower(), "tabs"))


def check_paths(paths: tuple[str, ...], names: tuple[str, ...], keys: Keys) -> None:
    """Look at paths without reading them.

    Raises:
        DataError: they cannot hold sentence pairs.
    """
    if len(paths) not in (1, 2):
        raise DataError(f"sentence pairs come from two aligned files or one table with both sides, not {len(paths)}")
    if paths == ("-", "-"):
        raise DataError("standard input can be one side only", hint="give a table of both on it, or name two files")
    if len(paths) == 2 and any(keys.given):
        raise DataError("--source-key and --target-key name columns of a table, but there are two files")
    for path, name in zip(paths, names, strict=True):
        if path != "-" and (Path(path).is_dir() or not Path(path).exists()):
            raise DataError(f"{name}: {'a folder, not a file' if Path(path).is_dir() else 'no such file'}")
    refuse_images(paths)


def _aligned(
    source_lines: Iterator[str], target_lines: Iterator[str], source_name: str, target_name: str
) -> Iterator[NumberedPair]:
    sources, targets = (_without_ends(lines) for lines in (source_lines, target_lines))
    for number, (source, target) in enumerate(itertools.zip_longest(sources, targets)):
        if source is None or target is None:
            counts = [number + sum(1 for _ in rest) for rest in (sources, targets)]
            counts[source is None] += 1  # the line just read belongs to the longer file
            raise DataError(
                f"{source_name} has {counts[0]} lines, but {target_name} has {counts[1]}",
                hint="line i of one file must be the translation of line i of the other",
            )
        yield number + 1, (source, target)


def _without_ends(lines: Iterator[str]) -> Iterator[str]:
    return (line.removesuffix("\n").removesuffix("\r") for line in lines)
