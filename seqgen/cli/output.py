"""The two streams and the way out.

stdout carries the result and nothing else, as plain UTF-8 bytes whatever the locale; it is written here only.
stderr carries everything for people. A terminal obeys control codes, and models and file names come from strangers:
what a person reads has them spelled out. Every way in which a command can end passes through `run`.

    0    done                           130  Ctrl-C
    1    failed                         141  the reader of our output went away
    2    bad usage or bad input         143  TERM
    129  the terminal went away
"""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, TextIO, cast

from seqgen.errors import OutputError, SeqgenError, UsageError
from seqgen.names import shown

if TYPE_CHECKING:
    from rich.console import Console


def run(app: Callable[[], object]) -> NoReturn:
    """Run the application and exit with the code of the table above; tracebacks only with `SEQGEN_DEBUG=1`."""
    # A shell lets its background jobs ignore INT; a person who sends one means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        try:
            app()
        except SystemExit as ending:
            if isinstance(
                ending.__context__, BrokenPipeError
            ):  # Rich and Typer end with 1 when a help text's reader left
                raise SystemExit(141) from None
            flush()
            raise
    except SeqgenError as error:
        _debug(error)
        say(f"error: {error.message}" if error.exit_code < 128 else error.message)
        if error.hint:
            say(f"hint: {error.hint}" if error.exit_code < 128 else error.hint)
        _leave(error.exit_code)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second one has nothing to hurry
        show_cursor()
        _leave(130)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            _unexpected(error)
        _debug(error)  # a help text into a full disk: everything else goes through `write`
        _discard_stdout()
        say(f"error: standard output cannot be written: {error.strerror}")
        _leave(1)
    except Exception as error:
        _unexpected(error)
    _leave(0)


def _unexpected(error: Exception) -> NoReturn:
    _debug(error)
    say(f"error: unexpected {type(error).__name__}: {error}")
    say("hint: SEQGEN_DEBUG=1 shows where; please report it")
    _leave(1)


def _debug(error: Exception) -> None:
    if os.environ.get("SEQGEN_DEBUG", "0") not in ("", "0"):
        raise error


def _leave(code: int) -> NoReturn:
    """Exit; what a broken stdout still buffers must not raise again on the way out."""
    try:
        flush()
    except (OutputError, SystemExit):
        code = code or 1
    raise SystemExit(code)


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
        _discard_stdout()
        raise SystemExit(141) from None
    except OSError as error:
        _discard_stdout()
        if error.errno == errno.EBADF:
            raise OutputError("standard output is closed") from None
        raise OutputError(f"standard output cannot be written: {error.strerror}") from None


def _discard_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's own flush at exit succeeds."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)


def say(message: str) -> None:
    """One line for the person, on stderr, control codes spelled out; lost if stderr is gone."""
    draw(shown(message))


def draw(picture: str) -> None:
    """A picture in letters and colours of our own making, on stderr as it is; lost if stderr is gone."""
    if sys.stderr is not None:
        try:
            print(picture, file=sys.stderr, flush=True)
        except (OSError, ValueError):
            sys.stderr = None


class Terminal:
    """How much a command tells the person who runs it.

    Args:
        quiet (bool): only errors.
        verbose (bool): settings, device and sizes too.
    """

    def __init__(self, *, quiet: bool, verbose: bool) -> None:
        if quiet and verbose:
            raise UsageError("--quiet and --verbose exclude each other")
        self.quiet, self.verbose = quiet, verbose

    def note(self, message: str) -> None:
        """Something worth knowing."""
        if not self.quiet:
            say(message)

    def warn(self, message: str) -> None:
        """Something that was not as expected."""
        self.note(f"warning: {message}")

    def detail(self, message: str) -> None:
        """Something for those who asked."""
        if self.verbose:
            say(message)

    @property
    def animated(self) -> bool:
        """Whether a progress bar makes sense."""
        return not self.quiet and sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class _Forgiving:
    """A terminal that may go away, as when a line drops: what cannot be written then is lost, and the work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def console() -> Console:
    """A Rich console on stderr, made when it is needed: its width and colours are those of that moment."""
    from rich.console import Console

    return Console(file=cast("IO[str]", _Forgiving(sys.stderr)), highlight=False)


def show_cursor() -> None:
    """Bring the cursor back, which bars hide, on a way out that may pass by their own clean-up."""
    if (
        os.isatty(2) and os.environ.get("TERM") != "dumb"
    ):  # a bar that is shown has put itself in the place of sys.stderr
        with suppress(OSError):
            os.write(2, b"\r\x1b[K\x1b[?25h")


@contextmanager
def progress(terminal: Terminal, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar for a length that is known, on a terminal only.

    Yields:
        Callable[[int], None]: to be told how much was done.
    """
    if not terminal.animated:
        yield lambda done: None
        return
    from rich.progress import Progress

    before = signal.signal(signal.SIGTERM, _ended)
    try:
        with Progress(console=console(), transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.advance(task, done)
    finally:
        signal.signal(signal.SIGTERM, before)


def _ended(number: int, _: object) -> None:
    """End by a signal as one does without a handler, but not without the cursor."""
    show_cursor()
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


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


def read_prompt() -> str:
    """What was piped in, whole; nothing when stdin is a terminal, closed, or a device.

    Raises:
        DataError: it is not text.
    """
    import stat

    from seqgen.data.text import read_text

    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return ""
    return "".join(read_text("-")) if stat.S_ISFIFO(mode) or stat.S_ISREG(mode) else ""


def stdout_is_a_terminal() -> bool:
    """Whether a person looks at the result."""
    return sys.stdout is not None and sys.stdout.isatty()


def colourful() -> bool:
    """Whether stderr shows colours, and nobody asked for none."""
    dull = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stderr is not None and sys.stderr.isatty() and not dull


def stdin_is_a_person() -> bool:
    """Whether somebody types what is read."""
    return sys.stdin is not None and sys.stdin.isatty()


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
