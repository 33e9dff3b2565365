"""Which process of a group this is, and several processes that end as one command."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seqgen.errors import TrainingError, UsageError
from seqgen.train import launch

TOGETHER = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "3", "MASTER_ADDR": "localhost"}

Run = Callable[[str], int]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*TOGETHER, "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Launch two processes of a shell script instead of seqgen."""

    def started(script: str) -> int:
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        return launch.launch(2, ["train-lm", "a b.txt"])

    return started


# One rule -----------------------------------------------------------------------------------------------------


def test_all_variables_together_make_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (launch.launched(), launch.rank(), launch.size()) == (False, 0, 1)
    for name, value in TOGETHER.items():
        monkeypatch.setenv(name, value)
    assert (launch.launched(), launch.rank(), launch.size()) == (True, 1, 3)


@pytest.mark.parametrize(
    ("missing", "left"),
    [(name, left) for name in TOGETHER for left in ("", "x", None) if (name, left) != ("MASTER_ADDR", "x")],
)
def test_without_one_of_them_nothing_is_launched(
    missing: str, left: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in TOGETHER.items():
        monkeypatch.setenv(name, value)
    if left is None:
        monkeypatch.delenv(missing)
    else:
        monkeypatch.setenv(missing, left)
    assert (launch.launched(), launch.rank(), launch.size()) == (False, 0, 1)


def test_what_all_find_is_said_by_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError), launch.first_speaks():
        raise UsageError("wrong")
    for name, value in TOGETHER.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ending, launch.first_speaks():
        raise UsageError("wrong")
    assert ending.value.code == 2


# Several processes, one ending --------------------------------------------------------------------------------


def test_each_is_told_who_it_is_and_only_the_first_reads(run: Run, tmp_path: Path) -> None:
    variables = "$RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR $OMP_NUM_THREADS"
    assert run(f'echo "$*:{variables}" > said.$RANK; readlink /proc/self/fd/0 > stdin.$RANK') == 0
    said = [(tmp_path / f"said.{rank}").read_text().split(":")[1] for rank in range(2)]
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    assert said == [f"0 0 2 127.0.0.1 {threads}\n", f"1 1 2 127.0.0.1 {threads}\n"]
    assert (tmp_path / "said.0").read_text().startswith("-m seqgen train-lm a b.txt:")
    if Path("/proc/self/fd/0").exists():
        assert (tmp_path / "stdin.1").read_text() == "/dev/null\n"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 2", 2),
        ("exit 130", 130),
        ('[ "$RANK" = 0 ] && exit 0; exit 1', 1),
        ('[ "$RANK" = 0 ] && exit 1; exit 2', 2),  # the first ended because the other had
        ('[ "$RANK" = 0 ] && exit 1; kill -9 $$', 1),  # of which the first tells
    ],
)
def test_the_exit_code_is_that_of_the_one_command(script: str, code: int, run: Run) -> None:
    assert run(script) == code


def test_a_first_process_that_was_killed_is_spoken_for(run: Run) -> None:
    with pytest.raises(TrainingError, match="SIGKILL") as caught:
        run('[ "$RANK" = 0 ] && kill -9 $$; exit 1')
    assert caught.value.exit_code == 1


def test_who_does_not_end_after_another_failed_is_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "GRACE_SECONDS", 0.2)
    begin = time.monotonic()
    assert run('[ "$RANK" = 0 ] && exit 3; exec sleep 60') == 3
    assert time.monotonic() - begin < 30


def test_who_works_on_alone_after_the_others_are_done_is_not_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "GRACE_SECONDS", 0.0)
    assert run('[ "$RANK" = 1 ] && exit 0; sleep 1; exit 0') == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_handed_on_once_to_each(number: signal.Signals, code: int, run: Run, tmp_path: Path) -> None:
    name = number.name.removeprefix("SIG")
    before = signal.getsignal(number)
    if before is signal.SIG_IGN:
        pytest.skip(f"{number.name} is ignored here, as below nohup, and no shell can trap it then")

    def send() -> None:
        while not all((tmp_path / f"ready.{rank}").exists() for rank in range(2)):
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    trap = f"trap 'echo {name} >> heard.$RANK; sleep 0.3; exit {code}' {name}"
    assert run(f"{trap}; : > ready.$RANK; while :; do sleep 0.05; done") == code
    thread.join()
    assert [(tmp_path / f"heard.{rank}").read_text() for rank in range(2)] == [f"{name}\n"] * 2
    assert signal.getsignal(number) is before


def test_what_dies_of_a_signal_that_was_handed_on_ends_as_a_shell_says(run: Run, tmp_path: Path) -> None:
    def send() -> None:
        while not all((tmp_path / f"ready.{rank}").exists() for rank in range(2)):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=send)
    thread.start()
    assert run(": > ready.$RANK; exec sleep 60") == 143
    thread.join()
