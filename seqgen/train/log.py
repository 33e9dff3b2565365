"""What a run tells: `metrics.jsonl` always, TensorBoard on request, and whoever listens."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from importlib import import_module
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
        waiting (str): lines that follow them, and were not in the file when the checkpoint was saved.
        held (bool): the file belongs to a finished model, and stays as it is until `release`.
    """

    def __init__(self, path: Path, *, every: int, size: int, waiting: str = "", held: bool = False) -> None:
        self._every = every
        self._pending = bytearray(waiting.encode())
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self._kept = os.pread(self._descriptor, size, 0).rfind(b"\n") + 1
        self._held = True
        if not held:
            self.release()

    def release(self) -> None:
        """Take back what does not belong to the run, and write from now on."""
        if self._held:
            os.ftruncate(self._descriptor, self._kept)
            os.lseek(self._descriptor, 0, os.SEEK_END)
            self._held = False
            with contextlib.suppress(OSError):  # a full disk: tried again with the next line, reported when saving
                self.flush()

    @property
    def size(self) -> int:
        """Bytes of the run that are in the file, or will be after a `flush`."""
        return self._kept if self._held else os.fstat(self._descriptor).st_size + len(self._pending)

    @property
    def waiting(self) -> str:
        """Lines of the run that come after those, for as long as the file is held."""
        return self._pending.decode() if self._held else ""

    def content(self) -> bytes:
        """All lines of the run, once what can be written is written."""
        return os.pread(self._descriptor, self.size, 0) + self.waiting.encode()

    def stepped(self, record: Record, total_steps: int | None) -> None:
        """Keep the line of a step that is due."""
        if record["step"] % self._every == 0 or not RARE.isdisjoint(record):
            self._append(record)

    def evaluated(self, record: Record, *, best: bool) -> None:
        """Keep the line of an evaluation."""
        self._append(record)

    def flush(self) -> None:
        """Write what is pending, unless the file is held.

        Raises:
            OSError: the disk is full; the lines wait for the next call.
        """
        while self._pending and not self._held:
            del self._pending[: os.write(self._descriptor, self._pending)]

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        """Close; a failure that is on its way says more than that the last lines cannot be written either."""
        with contextlib.suppress(OutputError) if failure else contextlib.nullcontext():
            self.close()

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


def require_tensorboard() -> None:
    """See that TensorBoard's writer is there.

    Raises:
        UsageError: the extra is not installed.
    """
    try:
        import_module("torch.utils.tensorboard")
    except ImportError:
        raise UsageError("tensorboard is not installed", hint="pip install 'seqgen[tensorboard]'") from None


class TensorBoardLog(Listener):
    """The same numbers as event files.

    Args:
        directory (Path): where the event files go.

    Raises:
        UsageError: the extra is not installed.
    """

    def __init__(self, directory: Path) -> None:
        require_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

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
