"""What is said to the person at the terminal, on stderr: messages, and how far a long pass is."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

from seqgen.errors import UsageError
from seqgen.names import shown

if TYPE_CHECKING:
    from rich.console import Console


def say(message: str) -> None:
    """One line for the person, on stderr, control codes spelled out; lost if stderr is gone."""
    draw(shown(message))


def draw(picture: str) -> None:
    """A picture in letters and colours of our own making, on stderr as it is; lost if stderr is gone."""
    if sys.stderr is not None:
        try:
            sys.stderr.write(f"{picture}\n")
            sys.stderr.flush()
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

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar for a length that is known, where a bar makes sense.

        Yields:
            Callable[[int], None]: to be told how much was done.
        """
        if not self.animated:
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


def _ended(number: int, _: object) -> None:
    """End by a signal as one does without a handler, but not without the cursor."""
    show_cursor()
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def colourful() -> bool:
    """Whether stderr shows colours, and nobody asked for none."""
    dull = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stderr is not None and sys.stderr.isatty() and not dull
