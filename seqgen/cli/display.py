"""How a training run looks on a terminal, and how it reads in a log file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from seqgen.cli.output import Terminal, console, say
from seqgen.names import shown
from seqgen.train.log import Listener, Record

SECONDS_BETWEEN_LINES = 10.0
UNKNOWN_PACE = "measuring the pace"
_SMOOTHING = 0.98
_SMOOTHED = {
    "loss",
    "bits_per_char",
    "discriminator_loss",
    "generator_loss",
    "discriminator_accuracy",
    "units_per_second",
}

_PHRASES: Mapping[str, str] = {
    "loss": "loss {:.4f} nats",
    "bits_per_char": "{:.3f} bits/char",
    "discriminator_loss": "D {:.3f}",
    "generator_loss": "G {:.3f}",
    "discriminator_accuracy": "D right {:.0%}",
    "units_per_second": "{:,.0f} {unit}/s",
    "lr": "lr {:.2g}",
    "grad_norm": "gradient {:.2f}",
    "discriminator_grad_norm": "gradients D {:.2g}",
    "generator_grad_norm": "G {:.2g}",
    "valid_loss": "valid {:.4f} nats",
    "valid_bits_per_char": "{:.3f} bits/char",
    "valid_perplexity": "perplexity {:.2f}",
    "valid_bleu": "BLEU {:.2f}",
    "valid_chrf": "chrF {:.2f}",
    "gradient_flow": "through time {}",
    "sign": "r_t {:.2f}",
    "image_gradient": "gradient at images {:.2g}",
    "change": "change {:.2f}",
    "train_spread": "spread {:.2f}",
    "train_precision": "precision {:.2f}",
    "train_recall": "recall {:.2f}",
    "train_different_bins": "bins off {:.0%}",
    "train_missing": "classes missing {:.0%}",
    "train_as_asked": "as asked {:.1%}",
    "train_closeness": "closeness {:.2f}",
    "train_frechet": "Fréchet {:.3g}",
    "train_floor": "floor {:.2g}",
    "health": "{}",
}


def phrase(record: Record, names: Mapping[str, str] = _PHRASES, unit: str = "tokens") -> str:
    """The measures of a record in words, in the order of the table above, then those that it does not know."""
    known = [names[name].format(record[name], unit=unit) for name in names if name in record]
    hidden = {"step", "epoch", "seconds", *names}
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

    def __init__(self) -> None:
        self._smooth: dict[str, float] = {}
        self._begin: tuple[float, float] | None = None

    def smooth(self, record: Record) -> dict[str, float]:
        """The record with loss and speed averaged over the last fifty steps or so."""
        shown = dict(record)
        for name in record.keys() & _SMOOTHED:
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

    def __init__(self, unit: str = "tokens") -> None:
        self._run, self._unit = _Run(), unit
        self._last = time.monotonic()

    def stepped(self, record: Record, total_steps: int | None) -> None:
        """Print the line of a step when the last one is old enough."""
        shown = self._run.smooth(record)
        left = self._run.left(record["step"], total_steps)
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            where = f"step {record['step']:.0f}{_of(total_steps)} · epoch {record['epoch']:.2f}"
            say(f"{where} · {phrase(shown, unit=self._unit)} · {left}")

    def evaluated(self, record: Record, *, best: bool) -> None:
        """Print the line of an evaluation."""
        say(f"step {record['step']:.0f} · {phrase(record)}{' · best so far' if best else ''}")

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

    def __init__(self, terminal: Console, unit: str = "tokens") -> None:
        self._run, self._unit = _Run(), unit
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
        self._progress.numbers = phrase(self._run.smooth(record), unit=self._unit)
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
        line = Text(f"step {record['step']:.0f} · {phrase(record)}", style="bold" if best else "")
        self._terminal.print(line.append(" · best so far", style="green") if best else line)

    def sampled(self, text: str) -> None:
        """Print a sample above the bar; it is text, never markup."""
        self._terminal.print(Padding(Text(shown(text.strip()), style="dim"), (0, 4)))

    def noted(self, message: str) -> None:
        """Print a note above the bar."""
        self._terminal.print(Text(shown(f"note: {message}"), style="yellow"))


@contextmanager
def display(terminal: Terminal, unit: str) -> Iterator[list[Listener]]:
    """Show a run in the way that fits: a bar on a terminal, lines in a log, nothing when quiet.

    Args:
        terminal (Terminal): how much is wanted.
        unit (str): what the speed counts.
    """
    if terminal.animated:
        with LiveDisplay(console(), unit) as live:
            yield [live]
    else:
        yield [] if terminal.quiet else [PlainDisplay(unit)]
