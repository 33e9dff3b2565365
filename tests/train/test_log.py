"""`metrics.jsonl`: no line lost, none twice, whatever happens to the disk or the process."""

from __future__ import annotations

import builtins
import errno
import importlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from seqgen.errors import OutputError, UsageError
from seqgen.train.log import Listener, Listeners, MetricsLog, TensorBoardLog


def record(step: int, **values: float) -> dict[str, float]:
    return {"step": step, "loss": 1.0 / (step + 1), **values}


def steps_in(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def write(path: Path, steps: range, *, size: int = 0) -> int:
    """Log some steps; the size after them."""
    with closing(MetricsLog(path, every=1, size=size)) as log:
        for step in steps:
            log.stepped(record(step), None)
        log.flush()
        return log.size


def test_each_step_is_a_line_of_json(path: Path) -> None:
    size = write(path, range(1, 4))
    assert size == path.stat().st_size
    assert path.read_bytes().endswith(b"\n")
    assert steps_in(path) == [1, 2, 3]


def test_a_line_is_on_disk_before_the_next_step(path: Path) -> None:
    with closing(MetricsLog(path, every=1, size=0)) as log:
        log.stepped(record(1), None)
        assert steps_in(path) == [1]


def test_only_due_steps_are_written_but_every_evaluation(path: Path) -> None:
    with closing(MetricsLog(path, every=5, size=0)) as log:
        for step in range(1, 12):
            log.stepped(record(step), None)
        log.evaluated({"step": 11, "valid_loss": 0.5}, best=True)
    assert steps_in(path) == [5, 10, 11]
    assert json.loads(path.read_text().splitlines()[-1]) == {"step": 11, "valid_loss": 0.5}


def test_what_is_measured_rarely_is_never_left_out(path: Path) -> None:
    with closing(MetricsLog(path, every=5, size=0)) as log:
        for step in range(1, 12):
            log.stepped(record(step) | ({"gradient_flow": "healthy"} if step % 4 == 0 else {}), None)
    assert steps_in(path) == [4, 5, 8, 10]


def test_numbers_are_rounded_to_what_fp32_holds(path: Path) -> None:
    with closing(MetricsLog(path, every=1, size=0)) as log:
        log.stepped({"step": 1, "loss": 1.23456789012, "tiny": 1.23456789e-30, "whole": 123456789}, None)
    assert json.loads(path.read_text()) == {"step": 1, "loss": 1.234568, "tiny": 1.234568e-30, "whole": 123456789}


def test_a_resumed_log_takes_back_what_came_after_the_checkpoint(path: Path) -> None:
    size = write(path, range(1, 4))
    write(path, range(4, 9), size=size)
    assert steps_in(path) == list(range(1, 9))
    write(path, range(4, 6), size=size)
    assert steps_in(path) == list(range(1, 6))


def test_size_zero_takes_everything_back(path: Path) -> None:
    write(path, range(1, 4))
    with closing(MetricsLog(path, every=1, size=0)) as log:
        assert log.size == 0
    assert path.read_bytes() == b""


@pytest.mark.parametrize("rest", [b'{"step": 4, "lo', b"{", b'{"step": 4}'])
def test_a_half_written_last_line_is_taken_back(rest: bytes, path: Path) -> None:
    size = write(path, range(1, 4))
    with path.open("ab") as file:
        file.write(rest)
    write(path, range(4, 5), size=size)
    assert steps_in(path) == [1, 2, 3, 4]


def test_a_size_within_a_line_takes_the_whole_line_back(path: Path) -> None:
    """As when the checkpoint's number of bytes is that of a file that was edited since."""
    size = write(path, range(1, 4))
    with closing(MetricsLog(path, every=1, size=size - 5)) as log:
        assert log.size < size
        log.stepped(record(3), None)
    assert steps_in(path) == [1, 2, 3]


def test_a_log_shorter_than_the_checkpoint_says_keeps_its_lines(path: Path) -> None:
    size = write(path, range(1, 4))
    write(path, range(4, 5), size=size + 1000)
    assert steps_in(path) == [1, 2, 3, 4]


class FullDisk:
    """`os.write` that fails, or writes a few bytes and then fails, until there is room again."""

    def __init__(self, part: int = 0) -> None:
        self.full, self._part, self._write = True, part, os.write

    def __call__(self, descriptor: int, data: bytes) -> int:
        if self.full and self._part:
            part, self._part = self._part, 0
            return self._write(descriptor, bytes(data[:part]))
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(descriptor, bytes(data))


@pytest.mark.parametrize("part", [0, 7])
def test_lines_wait_while_the_disk_is_full(part: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullDisk(part)
    with closing(MetricsLog(path, every=1, size=0)) as log:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", disk)
            log.stepped(record(1), None)
            log.stepped(record(2), None)
            assert path.stat().st_size == part
            assert log.size > part
            waiting = log.size
            with pytest.raises(OSError, match="No space"):
                log.flush()
            assert log.size == waiting
            disk.full = False
            log.stepped(record(3), None)
        assert steps_in(path) == [1, 2, 3]
        assert log.size == path.stat().st_size


def test_lines_that_cannot_be_written_at_the_end_are_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MetricsLog(path, every=1, size=0)
    descriptor = log._descriptor
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", FullDisk())
        log.stepped(record(1), None)
        with pytest.raises(OutputError, match=r"metrics\.jsonl: the last lines cannot be written: No space") as caught:
            log.close()
    assert caught.value.exit_code == 1
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)


class Heard(Listener):
    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def started(self, step: int, total_steps: int | None) -> None:
        self.calls.append(("started", step, total_steps))

    def stepped(self, record: Any, total_steps: int | None) -> None:
        self.calls.append(("stepped", record, total_steps))

    def evaluated(self, record: Any, *, best: bool) -> None:
        self.calls.append(("evaluated", record, best))

    def sampled(self, text: str) -> None:
        self.calls.append(("sampled", text))

    def noted(self, message: str) -> None:
        self.calls.append(("noted", message))


def test_several_listeners_all_hear_everything() -> None:
    one, other = Heard(), Heard()
    both = Listeners([one, Listener(), other])
    both.started(3, None)
    both.stepped({"step": 4}, 9)
    both.evaluated({"step": 4}, best=True)
    both.sampled("text")
    both.noted("note")
    assert one.calls == other.calls
    assert one.calls == [
        ("started", 3, None),
        ("stepped", {"step": 4}, 9),
        ("evaluated", {"step": 4}, True),
        ("sampled", "text"),
        ("noted", "note"),
    ]


# TensorBoard --------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_gets_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    accumulator = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")

    with closing(TensorBoardLog(tmp_path / "board")) as board:
        board.stepped({"step": 1, "loss": 0.5, "lr": 0.1}, None)
        board.stepped({"step": 2, "loss": 0.25, "lr": 0.2}, None)
        board.evaluated({"step": 2, "valid_loss": 0.75}, best=True)
    events = accumulator.EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "lr", "valid_loss"}
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 0.5), (2, 0.25)]
    assert [(event.step, event.value) for event in events.Scalars("valid_loss")] == [(2, 0.75)]


@pytest.fixture
def without_tensorboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    original: Callable[..., Any] = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", refuse)
        yield


@pytest.mark.usefixtures("without_tensorboard")
def test_without_the_extra_tensorboard_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tensorboard is not installed") as caught:
        TensorBoardLog(tmp_path)
    assert "seqgen[tensorboard]" in caught.value.hint
    assert caught.value.exit_code == 2


def test_the_log_of_a_finished_model_stays_until_it_is_released(path: Path) -> None:
    """Its last line is no part of the run that goes on; what is logged meanwhile waits, and survives a kill."""
    path.write_bytes(b'{"step": 1}\n{"step": 1, "final": true}\n')
    finished = path.read_bytes()
    with closing(MetricsLog(path, every=1, size=12, held=True)) as log:
        log.stepped(record(2), None)
        log.flush()
        assert path.read_bytes() == finished
        size, waiting = log.size, log.waiting
        assert (size, json.loads(waiting)["step"]) == (12, 2)
        assert log.content() == b'{"step": 1}\n' + waiting.encode()
    assert path.read_bytes() == finished
    with closing(MetricsLog(path, every=1, size=size, waiting=waiting, held=True)) as log:
        log.release()
        log.stepped(record(3), None)
        assert (log.size, log.waiting) == (path.stat().st_size, "")
    assert steps_in(path) == [1, 2, 3]
    with closing(MetricsLog(path, every=1, size=size, waiting=waiting)):
        pass
    assert steps_in(path) == [1, 2]


def test_lines_that_cannot_be_written_hide_no_failure(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: that the state could not be saved, and how to go on, is what must be read at the end."""
    monkeypatch.setattr(os, "write", FullDisk())

    def run(failure: OutputError | None) -> None:
        with MetricsLog(path, every=1, size=0) as log:
            log.stepped(record(1), None)
            if failure:
                raise failure

    with pytest.raises(OutputError, match="step 1 could not be saved"):
        run(OutputError("step 1 could not be saved"))
    with pytest.raises(OutputError, match="last lines"):
        run(None)
