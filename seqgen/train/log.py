"""What a run tells: `metrics.jsonl` always, TensorBoard on request, and whoever listens."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seqgen.errors import OutputError, UsageError

# Numbers by name, and now and then a word.
Record = Mapping[str, Any]


class Listener:
    """Hears of a run while it goes on: the progress bar, the log file, TensorBoard."""

    def started(self, step: int, total_steps: int | None) -> None:
        """The run begins, or goes on, at a step; the total may not be known yet."""

    def stepped(self, record: Record, total_steps: int | None) -> None:
        """A step was taken. Every record has `step`, `epoch`, `lr`, `seconds` and the task's measures."""

    def evaluated(self, record: Record, *, best: bool) -> None:
        """The model was judged on held-out data."""

    def sampled(self, text: str) -> None:
        """What the model makes at this moment."""

    def noted(self, message: str) -> None:
        """Something that a person should know."""


class Listeners(Listener):
    """Several listeners as one.

    Args:
        listeners (Iterable[Listener]): told in this order.
    """

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self._listeners = list(listeners)

    def started(self, step: int, total_steps: int | None) -> None:
        """Pass on."""
        for listener in self._listeners:
            listener.started(step, total_steps)

    def stepped(self, record: Record, total_steps: int | None) -> None:
        """Pass on."""
        for listener in self._listeners:
            listener.stepped(record, total_steps)

    def evaluated(self, record: Record, *, best: bool) -> None:
        """Pass on."""
        for listener in self._listeners:
            listener.evaluated(record, best=best)

    def sampled(self, text: str) -> None:
        """Pass on."""
        for listener in self._listeners:
            listener.sampled(text)

    def noted(self, message: str) -> None:
        """Pass on."""
        for listener in self._listeners:
            listener.noted(message)


# What is measured at a few steps only; these have their line, whichever steps are written.
RARE = frozenset({"gradient_flow"})


class MetricsLog(Listener):
    """`metrics.jsonl`: one JSON object a line, every `every`-th step, what is `RARE` and every evaluation.

    A line is never lost and never there twice: what cannot be written now (a full disk) waits, and a resumed run
    first takes back what was written after its checkpoint.

    Args:
        path (Path): the file.
        every (int): which steps are written.
        size (int): how many bytes belong to the run so far; the rest is taken back.
    """

    def __init__(self, path: Path, *, every: int, size: int) -> None:
        self._every = every
        self._pending = bytearray()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        kept = os.pread(self._descriptor, size, 0)
        os.ftruncate(self._descriptor, kept.rfind(b"\n") + 1)
        os.lseek(self._descriptor, 0, os.SEEK_END)

    @property
    def size(self) -> int:
        """Bytes of the run so far, those that wait included."""
        return os.fstat(self._descriptor).st_size + len(self._pending)

    def stepped(self, record: Record, total_steps: int | None) -> None:
        """Keep the line of a step that is due."""
        if record["step"] % self._every == 0 or not RARE.isdisjoint(record):
            self._append(record)

    def evaluated(self, record: Record, *, best: bool) -> None:
        """Keep the line of an evaluation."""
        self._append(record)

    def flush(self) -> None:
        """Write what is pending.

        Raises:
            OSError: the disk is full; the lines wait for the next call.
        """
        while self._pending:
            del self._pending[: os.write(self._descriptor, self._pending)]

    def close(self) -> None:
        """Write what is pending and close the file.

        Raises:
            OutputError: the last lines cannot be written.
        """
        try:
            self.flush()
        except OSError as error:
            raise OutputError(f"metrics.jsonl: the last lines cannot be written: {error.strerror}") from None
        finally:
            os.close(self._descriptor)

    def _append(self, record: Record) -> None:
        rounded = {k: float(f"{v:.7g}") if isinstance(v, float) else v for k, v in record.items()}
        self._pending += json.dumps(rounded).encode() + b"\n"
        with contextlib.suppress(OSError):  # a full disk: tried again with the next line, reported when saving
            self.flush()


class TensorBoardLog(Listener):
    """The same numbers as event files.

    Args:
        directory (Path): where the event files go.

    Raises:
        UsageError: the extra is not installed.
    """

    def __init__(self, directory: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UsageError("tensorboard is not installed", hint="pip install 'seqgen[tensorboard]'") from None
        self._writer = SummaryWriter(str(directory))

    def stepped(self, record: Record, total_steps: int | None) -> None:
        """Write the scalars of a step."""
        self._scalars(record)

    def evaluated(self, record: Record, *, best: bool) -> None:
        """Write the scalars of an evaluation."""
        self._scalars(record)

    def close(self) -> None:
        """Finish the event file."""
        self._writer.close()

    def _scalars(self, record: Record) -> None:
        for name, value in record.items():
            if name != "step" and not isinstance(value, str):
                self._writer.add_scalar(name, value, int(record["step"]))
