"""Standard input and output, and the files that a command writes.

stdout carries the result and nothing else, as plain UTF-8 bytes whatever the locale; it is written here only. A
terminal obeys control codes, and models and file names come from strangers: what a person reads has them spelled out.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from seqgen.errors import OutputError, UsageError
from seqgen.names import shown


def write(text: str) -> None:
    """Put a piece of the result on stdout: byte for byte, but with control codes spelled out on a terminal.

    Raises:
        OutputError: it cannot be written, as on a full disk.
        SystemExit: 141, silently, when the reader went away.
    """
    content = (shown(text) if stdout_is_a_terminal() else text).encode("utf-8", errors="surrogateescape")
    _stdout(lambda: sys.stdout.buffer.write(content))


def show(text: str) -> None:
    """Put a text for people on stdout, control codes spelled out; raises as `write` does."""
    write(shown(text))


def write_bytes(content: bytes) -> None:
    """Put a result that is not text on stdout; raises as `write` does."""
    _stdout(lambda: sys.stdout.buffer.write(content))


def write_json(value: object) -> None:
    """Put one JSON object on stdout, on a line of its own; JSON itself leaves some control codes as they are."""
    line = json.dumps(value, ensure_ascii=False)
    write(re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", line) + "\n")


def flush() -> None:
    """Hand over what was written so far; raises as `write` does."""
    if sys.stdout is not None:
        _stdout(lambda: sys.stdout.flush())


def _stdout(action: Callable[[], object]) -> None:
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    try:
        action()
    except BrokenPipeError:
        discard()
        raise SystemExit(141) from None
    except OSError as error:
        discard()
        if error.errno == errno.EBADF:
            raise OutputError("standard output is closed") from None
        raise OutputError(f"standard output cannot be written: {error.strerror}") from None


def discard() -> None:
    """Point stdout at nothing, so that the interpreter's own flush at exit succeeds."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)


def stdout_is_a_terminal() -> bool:
    """Whether a person reads the result."""
    return sys.stdout is not None and sys.stdout.isatty()


def write_file(path: Path, content: bytes) -> None:
    """Write a picture or another result that is not for stdout.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None


def read_lines() -> Iterator[str]:
    """Lines of standard input as they come, without their ends.

    Raises:
        DataError: stdin is closed, or a line is not text; the lines before it have been given.
    """
    from seqgen.data import text

    return (line.removesuffix("\n").removesuffix("\r") for line in text.read_lines(text.read_text("-")))


def read_bytes() -> bytes:
    """All of standard input.

    Raises:
        DataError: it is closed, or cannot be read.
    """
    from seqgen.errors import DataError

    try:
        return sys.stdin.buffer.read()
    except (AttributeError, OSError) as error:
        raise DataError(f"standard input cannot be read: {error}") from None


def read_prompt() -> str:
    """What was piped in, whole; nothing when stdin is a terminal, closed, or a device.

    Raises:
        DataError: it is not text.
    """
    from seqgen.data.text import read_text

    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return ""
    return "".join(read_text("-")) if stat.S_ISFIFO(mode) or stat.S_ISREG(mode) else ""


def stdin_is_a_person() -> bool:
    """Whether somebody types what is read."""
    return sys.stdin is not None and sys.stdin.isatty()


def typed(text: str, what: str) -> str:
    """An argument as the UTF-8 that was typed, whatever the locale made of it, and without a byte order mark.

    Raises:
        UsageError: it is not UTF-8.
    """
    try:
        return os.fsencode(text).decode("utf-8").removeprefix("\N{BYTE ORDER MARK}")
    except UnicodeError:
        raise UsageError(f"{what} is not UTF-8") from None


def refuse_file(text: str, command: str) -> None:
    """Refuse the name of a file where a text is expected.

    Raises:
        UsageError: there is a file of this name.
    """
    if Path(text).is_file():
        raise UsageError(f"{text} is a file, but a text is expected", hint=f"{command} < {shlex.quote(text)}")
