"""Ctrl-C and TERM: finish the step, save, say how to go on, leave with 130 or 143; the second ends at once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import SignalAt, checkpoint_paths, command, environment, records, running, sizes, write_text

from seqgen import cli, modeldir
from seqgen.cli import display
from seqgen.cli.terminal import Terminal
from seqgen.metrics.measure import Measure
from seqgen.train.log import Listener
from seqgen.train.stop import StopRequest

SECONDS = 60.0


# In this process ------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path, words=300)
    return tmp_path


def typed(words: list[str], monkeypatch: pytest.MonkeyPatch, listener: Listener | None = None) -> int | str | None:
    """The exit status of a command line, with one more listener to its training."""
    shown = display.display

    @contextmanager
    def with_listener(terminal: Terminal, measures: Sequence[Measure]) -> Iterator[list[Listener]]:
        with shown(terminal, measures) as listeners:
            yield [*listeners, *([listener] if listener else [])]

    with monkeypatch.context() as patch:
        patch.setattr(display, "display", with_listener)
        patch.setattr(sys, "argv", ["seqgen", "train-lm", *words])
        with pytest.raises(SystemExit) as ending:
            cli.main()
    return ending.value.code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_saves_says_how_to_go_on_and_sets_the_exit_code(
    number: signal.Signals,
    code: int,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    fresh = sizes(here / "text.txt", Path("run"), steps=6, save_every=4, eval_every=4)
    assert typed(fresh, monkeypatch, SignalAt(3, number)) == code
    out, err = capfd.readouterr()
    assert out == ""
    *_, message, hint = err.splitlines()
    assert message == "stopped at step 3, saved in run/checkpoints/step-00000003"
    assert hint == "go on with: seqgen train-lm --resume --out run"
    assert "error" not in err
    modeldir.verify(Path("run/checkpoints/step-00000003"))
    again = hint.removeprefix("go on with: seqgen train-lm ").split()
    assert typed(again, monkeypatch) == 0
    assert [r["step"] for r in records(here / "run") if "loss" in r] == [1, 2, 3, 4, 5, 6]
    modeldir.verify(Path("run"))


def test_a_quiet_run_still_says_how_to_go_on(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fresh = sizes(here / "text.txt", Path("my run"), steps=6, save_every=4, eval_every=4)
    assert typed([*fresh, "--quiet"], monkeypatch, SignalAt(2)) == 130
    assert capfd.readouterr().err.splitlines() == [
        "stopped at step 2, saved in my run/checkpoints/step-00000002",
        "go on with: seqgen train-lm --resume --out 'my run'",
    ]


def test_handlers_are_put_back_after_a_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    fresh = sizes(here / "text.txt", Path("run"), steps=2, save_every=4, eval_every=4)
    assert typed(fresh, monkeypatch, SignalAt(1)) == 130
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.parametrize(
    "numbers", [(signal.SIGHUP,) * 3, (signal.SIGHUP, signal.SIGTERM), (signal.SIGINT, signal.SIGHUP)]
)
def test_a_terminal_that_goes_is_heard_of_more_than_once(numbers: tuple[signal.Signals, ...]) -> None:
    """The system and the shell both send HUP, and a machine that shuts down TERM too: that is no second wish."""
    heard: list[str] = []
    with StopRequest(heard.append, lambda: pytest.fail("ended at once")) as stop:
        for number in numbers:
            signal.raise_signal(number)
        assert stop.exit_code == 128 + numbers[0]
    assert len(heard) == 1


def test_a_hup_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest(pytest.fail) as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


# In processes of their own ----------------------------------------------------------------------------------------


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, f"ended with {process.returncode} too early"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def lines_in(run: Path) -> int:
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def stop(process: subprocess.Popen[str], *numbers: signal.Signals) -> tuple[int, str]:
    """Send signals, all of them before the process runs again; its exit code and what it said."""
    process.send_signal(signal.SIGSTOP)
    for number in numbers:
        process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=SECONDS)
    assert out == ""
    return process.returncode, err


@pytest.mark.slow
def test_signals_while_training(tmp_path: Path) -> None:
    """INT, TERM and both at once, each in the middle of training; then the run is finished."""
    run = tmp_path / "run"
    fresh = sizes(write_text(tmp_path), run, steps=1_000_000, save_every=1_000_000, eval_every=1_000_000)
    with running(*fresh) as process:
        wait_until(lambda: lines_in(run) > 20, process)
        process.send_signal(signal.SIGINT)
        first, hint = where_it_stopped(process)
        assert hint == f"go on with: seqgen train-lm --resume --out {run}\n"
        assert process.wait(SECONDS) == 130

    logged = lines_in(run)
    with running("--resume", "--out", run) as process:
        wait_until(lambda: lines_in(run) > logged + 20, process)
        code, said = stop(process, signal.SIGTERM)
    assert code == 143
    second = int(re.findall(r"stopped at step (\d+)", said)[0])
    assert second > first
    assert checkpoint_paths(run)[-1].name == f"step-{second:08d}"

    with running("--resume", "--out", run) as process:
        logged = lines_in(run)
        wait_until(lambda: lines_in(run) > logged + 5, process)
        began = time.monotonic()
        code, said = stop(process, signal.SIGINT, signal.SIGTERM)
    assert code == 143, "Python runs the handler of INT first, then that of TERM, which is the second signal"
    assert time.monotonic() - began < 5
    assert "stopped at step" not in said
    assert checkpoint_paths(run)[-1].name == f"step-{second:08d}"

    with running("--resume", "--out", run, "--steps", str(second + 10)) as process:
        _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    assert [r["step"] for r in records(run) if "loss" in r] == list(range(1, second + 11))
    modeldir.verify(run)


def where_it_stopped(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The step, and what is said after it. The message comes after the save: what it names is there already."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.match(r"stopped at step (\d+), saved in (.+)$", line):
            modeldir.verify(Path(found[2]))
            return int(found[1]), process.stderr.read()
    pytest.fail("it did not say where it stopped")


@contextmanager
def on_a_terminal(*words: str) -> Iterator[tuple[int, int]]:
    """A training whose controlling terminal is ours: its process id, and our side of the terminal."""
    child, ours = pty.fork()
    if child == 0:
        os.environ.update({**environment(), "TERM": "xterm"})
        os.execv(sys.executable, command(*words))
    try:
        yield child, ours
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def shown_until(ours: int, condition: Callable[[bytes], bool]) -> bytes:
    """What the terminal shows until something is so, or nothing more comes."""
    seen, deadline = b"", time.monotonic() + SECONDS
    while not condition(seen) and time.monotonic() < deadline:
        try:
            seen += os.read(ours, 65536)
        except OSError:
            break
    return seen


HIDDEN, BACK = b"\x1b[?25l", b"\x1b[?25h"


@pytest.mark.parametrize("times", [1, 2])
def test_the_cursor_is_back_after_ctrl_c(times: int, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with on_a_terminal(
        *sizes(write_text(tmp_path), run, steps=1_000_000, save_every=1_000_000, eval_every=1_000_000)
    ) as (child, ours):
        seen = shown_until(ours, lambda seen: HIDDEN in seen and lines_in(run) > 5)
        os.kill(child, signal.SIGSTOP)
        for number in (signal.SIGINT, signal.SIGTERM)[:times]:
            os.kill(child, number)
        os.kill(child, signal.SIGCONT)
        seen += shown_until(ours, lambda seen: False)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(ours)
    assert code == (130, 143)[times - 1]
    assert seen.rindex(BACK) > seen.rindex(HIDDEN)
    assert (b"stopped at step" in seen) == (times == 1)


def test_a_run_whose_terminal_goes_away_is_saved(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with on_a_terminal(
        *sizes(write_text(tmp_path), run, steps=1_000_000, save_every=1_000_000, eval_every=1_000_000)
    ) as (child, ours):
        shown_until(ours, lambda seen: HIDDEN in seen and lines_in(run) > 5)
        os.close(ours)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == 129
    newest = checkpoint_paths(run)[-1]
    modeldir.verify(newest)
    assert int(newest.name.removeprefix("step-")) > 5


@pytest.mark.slow
def test_a_signal_within_a_long_evaluation(tmp_path: Path) -> None:
    """The evaluation before the first step takes seconds, and is left before its end."""
    text, run = write_text(tmp_path), tmp_path / "run"
    long = tmp_path / "valid.txt"
    long.write_text(text.read_text() * 2000, encoding="utf-8")
    words = sizes(text, run, steps=4, save_every=10, eval_every=10, hidden=64)
    with running(*words, "--valid", str(long)) as process:
        wait_until((run / "metrics.jsonl").exists, process)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, said
    assert "stopped at step 0" in said
    state = json.loads((checkpoint_paths(run)[-1] / "state.json").read_bytes())
    assert (state["step"], state["evaluated_step"]) == (0, -1)


@pytest.mark.slow
def test_a_signal_while_nobody_reads_what_it_says(tmp_path: Path) -> None:
    """stderr is a full pipe, as before a pager: the handler's line comes in the middle of another."""
    run = tmp_path / "run"
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    words = sizes(write_text(tmp_path), run, steps=1_000_000, save_every=1_000_000, eval_every=1)
    said: list[bytes] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as pipe:
            said.extend(pipe)

    reader = threading.Thread(target=read)
    with running(*words, stderr=writing) as process:
        os.close(writing)
        wait_until(lambda: lines_in(run) > 5, process)
        seen = -1
        while seen != (seen := lines_in(run)):  # until it hangs in a write
            time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        reader.start()
        process.communicate(timeout=SECONDS)
    reader.join()
    last = b"".join(said[-3:]).decode()
    assert process.returncode == 130, last
    assert "stopped at step" in last
    modeldir.verify(checkpoint_paths(run)[-1])
