"""Sentence pairs from their files: two aligned files, tab-separated lines, or JSON objects.

A line is a pair, whatever the format, so a line number names it; an error says which line it was.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqgen.data.text import read_lines, read_text
from seqgen.errors import DataError

JSON_ENDINGS = (".jsonl", ".ndjson", ".json")


def read_pairs(paths: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Source and target of every line, in order; a blank line of a single file is a pair of empty sentences.

    Args:
        paths (tuple[str, ...]): two files of which line i of one translates line i of the other, or one file with
            both sides: JSON objects with `source` and `target` when its name ends so, else source, tab, target.

    Raises:
        DataError: a file cannot be read, the files differ in length, or a line is no pair. The message names it.
    """
    if len(paths) not in (1, 2):
        raise DataError(f"sentence pairs come from two aligned files or one file with both sides, not {len(paths)}")
    for path in paths:
        if not Path(path).is_file():
            hint = "pairs are read more than once: write them to a file first"
            if path == "-" or Path(path).is_fifo():
                raise DataError(f"{path}: sentence pairs cannot come from a pipe", hint=hint)
            raise DataError(f"{path}: {'a folder, not a file' if Path(path).is_dir() else 'no such file'}")
    if len(paths) == 2:
        yield from _aligned(*paths)
        return
    parse = _parse_json if paths[0].lower().endswith(JSON_ENDINGS) else parse_tabs
    for number, line in enumerate(_lines(paths[0]), 1):
        yield parse(line, f"{paths[0]}, line {number}") if line.strip() else ("", "")


def _lines(path: str) -> Iterator[str]:
    return (line.removesuffix("\n").removesuffix("\r") for line in read_lines(read_text(path)))


def _aligned(source_path: str, target_path: str) -> Iterator[tuple[str, str]]:
    sources, targets = _lines(source_path), _lines(target_path)
    for number, (source, target) in enumerate(itertools.zip_longest(sources, targets)):
        if source is None or target is None:
            counts = [number + sum(1 for _ in rest) for rest in (sources, targets)]
            counts[source is None] += 1  # the line just read belongs to the longer file
            raise DataError(
                f"{source_path} has {counts[0]} lines, but {target_path} has {counts[1]}",
                hint="line i of one file must be the translation of line i of the other",
            )
        yield source, target


def parse_tabs(line: str, where: str) -> tuple[str, str]:
    """Source and target of a line `source TAB target`.

    Raises:
        DataError: there is not exactly one tab; `where` is the line's file and number.
    """
    fields = line.split("\t")
    if len(fields) != 2:
        raise DataError(f"{where}: {len(fields) - 1} tabs, but source and target are parted by exactly one")
    return fields[0], fields[1]


def _parse_json(line: str, where: str) -> tuple[str, str]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise DataError(f"{where}: not a JSON object", hint='each line looks like {"source": "...", "target": "..."}')
    return _field(data, "source", where), _field(data, "target", where)


def _field(data: dict[str, Any], name: str, where: str) -> str:
    text = data.get(name)
    if not isinstance(text, str):
        raise DataError(f"{where}: {name} is {'not a string' if name in data else 'missing'}")
    # What JSON can spell and a line of UTF-8 text cannot hold.
    if "\0" in text or re.search("[\ud800-\udfff]", text):
        raise DataError(f"{where}: {name} holds a NUL character or half a surrogate pair")
    return text.replace("\r\n", " ").replace("\n", " ")
