"""Text files to text: found, opened, decoded a block at a time, and refused by file and line when they are not text."""

from __future__ import annotations

import codecs
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from pathlib import Path

from seqgen.errors import DataError
from seqgen.wording import counted

BLOCK = 2**20
NEWLINE = "\n"


def text_files(paths: Iterable[str], warn: Callable[[str], None]) -> list[str]:
    """The files behind some paths: folders are searched, `-` is standard input.

    Hidden files are passed over; files in a folder that are not UTF-8 text are passed over with a warning.

    Raises:
        DataError: a path does not exist, or a folder holds no text.
    """
    files: list[str] = []
    for path in paths:
        if path == "-" or Path(path).is_file() or Path(path).is_fifo():
            files.append(path)
        elif Path(path).is_dir():
            text: list[str] = []
            other: list[str] = []
            for p in sorted(Path(path).rglob("*")):
                if p.is_file() and not _hidden(p, Path(path)):
                    (text if _looks_like_text(p) else other).append(str(p))
            if not text:
                raise DataError(f"{path}: no UTF-8 text in this folder ({counted(len(other), 'file')} examined)")
            if other:
                warn(f"{path}: {counted(len(other), 'file')} passed over, not being text: {other[0]} first")
            files += text
        else:
            raise DataError(f"{path}: no such file or folder")
    return files


def _hidden(path: Path, below: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(below).parts)


def _looks_like_text(path: Path) -> bool:
    try:
        for _ in itertools.islice(
            read_text(str(path)), 2
        ):  # what comes before a fault in the first block is given first
            pass
    except DataError:
        return False
    return True


def read_text(path: str, name: str = "") -> Iterator[str]:
    """The text of one file in blocks; a byte order mark at its start is dropped.

    What comes through a pipe or from a terminal is there as soon as it is written: a line is given before the next one
    is waited for. Of a text with a fault all that stands before it is given first.

    Args:
        path (str): the file; `-` is standard input.
        name (str): what errors call it; empty for the path.

    Raises:
        DataError: it cannot be opened, is not UTF-8, or holds NUL characters. The message names the line.
    """
    name = name or shown_name(path)
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines, first = 1, True
    fault: DataError | None = None
    with open_source(path) as file:
        while fault is None:
            block = file.read1(BLOCK)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                text = error.object[: error.start].decode()
                fault = DataError(
                    f"{name}, line {lines + text.count(NEWLINE)}: not UTF-8 (byte 0x{error.object[error.start]:02x})",
                    hint=f"if its encoding is known: iconv -f ENCODING -t UTF-8{'' if path == '-' else f' {path}'}",
                )
            if "\0" in text:
                text = text[: text.index("\0")]
                line = lines + text.count(NEWLINE)
                fault = DataError(f"{name}, line {line}: a NUL character; this is binary data, not text")
            lines += text.count(NEWLINE)
            if text:
                yield text.removeprefix("\N{BYTE ORDER MARK}") if first else text
                first = False
            if not block:
                break
    if fault is not None:
        raise fault


def shown_name(path: str) -> str:
    """What errors call a file that is given as a path, or as `-`."""
    return "standard input" if path == "-" else path


def open_source(path: str) -> BufferedReader:
    """A file opened for bytes; `-` is standard input.

    Raises:
        DataError: it cannot be opened.
    """
    if path == "-" and sys.stdin is None:  # its number may belong to one of our own files by now
        raise DataError("standard input is closed")
    try:
        if path != "-":
            return open(path, "rb")
        return open(os.dup(0), "rb")
    except OSError as error:
        raise DataError(f"{shown_name(path)} cannot be read: {error.strerror}") from None


def read_lines(blocks: Iterable[str]) -> Iterator[str]:
    """Lines of a text that comes in blocks, line feeds kept."""
    pieces: list[str] = []  # of a line that has not ended
    for block in blocks:
        *whole, rest = block.split("\n")
        for line in whole:
            yield "".join((*pieces, line, "\n"))
            pieces.clear()
        if rest:
            pieces.append(rest)
    if pieces:
        yield "".join(pieces)


def parts(blocks: Iterable[str], most: int) -> Iterator[str]:
    """A text in parts that cut no word, save words that are longer than a part.

    Args:
        blocks (Iterable[str]): the text, cut anywhere.
        most (int): characters of a part.

    Yields:
        str: at most so many characters; each part but the first begins with white space.
    """
    rest = ""
    for block in blocks:
        rest += block
        start = 0
        while len(rest) - start > most:
            stop = start + most
            border = next((i for i in range(stop, start, -1) if rest[i].isspace()), stop)
            yield rest[start:border]
            start = border
        rest = rest[start:]
    if rest:
        yield rest


def join_files(files: Iterable[Iterable[str]]) -> Iterator[str]:
    """The blocks of several texts as one text, in which the end of a text ends a line."""
    last = "\n"
    for blocks in files:
        first = True
        for block in filter(None, blocks):
            if first and last != "\n":
                yield "\n"
            yield block
            first, last = False, block[-1]
