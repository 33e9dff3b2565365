"""How a training run looks on a terminal, and how it reads in a log file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from seqgen.cli.terminal import Terminal, console, say
from seqgen.metrics.measure import Measure
from seqgen.names import shown
from seqgen.train.log import Listener, Record

SECONDS_BETWEEN_LINES = 10.0
UNKNOWN_PACE = "measuring the pace"
_SMOOTHING = 0.98


def phrase(record: Record, measures: Sequence[Measure]) -> str:
    """The measures of a record in words, in the order in which they are declared, then those that are not."""
    known = [measure.said(record[measure.name]) for measure in measures if measure.name in record]
    hidden = {"step", "epoch", "seconds", *(measure.name for measure in measures)}
    return " · ".join(known + [f"{name} {value:.4g}" for name, value in record.items() if name not in hidden])


def clock(seconds: float) -> str:
    """Minutes and seconds, hours when there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _of(total_steps: int | None) -> str:
    return f"/{total_steps}" if total_steps else ""


class _Run:
    """What both displays keep: smoothed measures and the time that is left."""

    def __init__(self, measures: Sequence[Measure]) -> None:
        self.measures = measures
        self._smoothed = {measure.name for measure in measures if measure.smoothed}
        self._smooth: dict[str, float] = {}
        self._begin: tuple[float, float] | None = None

    def smooth(self, record: Record) -> dict[str, float]:
        """The record with loss and speed averaged over the last fifty steps or so."""
        shown = dict(record)
        for name in record.keys() & self._smoothed:
            before = self._smooth[name] if name in self._smooth else record[name]
            shown[name] = self._smooth[name] = _SMOOTHING * before + (1 - _SMOOTHING) * record[name]
        return shown

    def left(self, step: float, total_steps: int | None) -> str:
        """Time left at the pace of this session."""
        now = time.monotonic()
        begin = self._begin = self._begin or (now, step)
        if total_steps is None or step <= begin[1]:
            return UNKNOWN_PACE
        return f"{clock((now - begin[0]) / (step - begin[1]) * (total_steps - step))} left"


class PlainDisplay(Listener):
    """Whole lines on stderr: one every ten seconds and one for each evaluation."""

    def __init__(self, measures: Sequence[Measure]) -> None:
        self._run = _Run(measures)
        self._last = time.monotonic()

    def stepped(self, record: Record, total_steps: int | None) -> None:
        """Print the line of a step when the last one is old enough."""
        shown = self._run.smooth(record)
        left = self._run.left(record["step"], total_steps)
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            where = f"step {record['step']:.0f}{_of(total_steps)} · epoch {record['epoch']:.2f}"
            say(f"{where} · {phrase(shown, self._run.measures)} · {left}")

    def evaluated(self, record: Record, *, best: bool) -> None:
        """Print the line of an evaluation."""
        say(f"step {record['step']:.0f} · {phrase(record, self._run.measures)}{' · best so far' if best else ''}")

    def sampled(self, text: str) -> None:
        """Print a sample, indented."""
        say("\n".join(f"    | {line}" for line in text.strip().splitlines()))

    def noted(self, message: str) -> None:
        """Print a note."""
        say(f"note: {message}")


class _BarAndNumbers(Progress):
    """A progress bar with a line of numbers under it."""

    numbers = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Called by Rich at every refresh."""
        yield self.make_tasks_table(self.tasks)
        yield Text(self.numbers, style="dim", no_wrap=True, overflow="ellipsis")


class LiveDisplay(Listener):
    """A progress bar with the latest numbers under it; evaluations and samples scroll away above it."""

    def __init__(self, terminal: Console, measures: Sequence[Measure]) -> None:
        self._run = _Run(measures)
        self._terminal = terminal
        self._progress = _BarAndNumbers(
            BarColumn(),
            TextColumn("step {task.completed:.0f}{task.fields[of]}{task.fields[epoch]} · {task.fields[left]}"),
            console=terminal,
            refresh_per_second=4,
            transient=True,
        )
        self._bar: TaskID | None = None

    def __enter__(self) -> LiveDisplay:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def started(self, step: int, total_steps: int | None) -> None:
        """Show the bar."""
        of = _of(total_steps)
        self._bar = self._progress.add_task("", total=total_steps, completed=step, of=of, epoch="", left=UNKNOWN_PACE)

    def stepped(self, record: Record, total_steps: int | None) -> None:
        """Move the bar."""
        assert self._bar is not None
        self._progress.numbers = phrase(self._run.smooth(record), self._run.measures)
        self._progress.update(
            self._bar,
            completed=record["step"],
            total=total_steps,
            of=_of(total_steps),
            epoch=f" · epoch {record['epoch']:.2f}",
            left=self._run.left(record["step"], total_steps),
        )

    def evaluated(self, record: Record, *, best: bool) -> None:
        """Print the line of an evaluation above the bar."""
        line = Text(f"step {record['step']:.0f} · {phrase(record, self._run.measures)}", style="bold" if best else "")
        self._terminal.print(line.append(" · best so far", style="green") if best else line)

    def sampled(self, text: str) -> None:
        """Print a sample above the bar; it is text, never markup."""
        self._terminal.print(Padding(Text(shown(text.strip()), style="dim"), (0, 4)))

    def noted(self, message: str) -> None:
        """Print a note above the bar."""
        self._terminal.print(Text(shown(f"note: {message}"), style="yellow"))


@contextmanager
def display(terminal: Terminal, measures: Sequence[Measure]) -> Iterator[list[Listener]]:
    """Show a run in the way that fits: a bar on a terminal, lines in a log, nothing when quiet.

    Args:
        terminal (Terminal): how much is wanted.
        measures (Sequence[Measure]): what the run logs.
    """
    if terminal.animated:
        with LiveDisplay(console(), measures) as live:
            yield [live]
    else:
        yield [] if terminal.quiet else [PlainDisplay(measures)]
