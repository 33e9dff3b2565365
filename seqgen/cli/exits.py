"""The way out: every way in which a command can end passes through `run`.

0    done                           130  Ctrl-C
1    failed                         141  the reader of our output went away
2    bad usage or bad input         143  TERM
129  the terminal went away
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from typing import NoReturn

from seqgen.cli.streams import discard, flush
from seqgen.cli.terminal import say, show_cursor
from seqgen.errors import OutputError, SeqgenError


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
        discard()
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
