"""SIGKILL at any moment leaves a directory that a run goes on from, to the same end, bit for bit."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import (
    Run,
    SignalAt,
    assert_same_run,
    checkpoint_paths,
    leftovers,
    quick_settings,
    running,
    sizes,
    write_text,
)

from seqgen import modeldir
from seqgen.errors import Interrupted
from seqgen.train.checkpoint import CheckpointStore

KILLS = int(os.environ.get("SEQGEN_KILLS", "12"))
SAVE_EVERY = 5
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Count:
    """Counts what this process changes below a directory, and kills it at one of these changes."""

    def __init__(self, directory: Path, kill_at: int) -> None:
        self._directory, self._kill_at = str(directory), kill_at
        self.changes = 0

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        opened = event == "open" and isinstance(args[0], str) and isinstance(args[2], int) and args[2] & WRITING
        if event not in CHANGES and not (opened and str(args[0]).startswith(self._directory)):
            return
        self.changes += 1
        if self.changes == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def killed_at(run: Run, change: int, *, overwrite: bool = False) -> bool:
    """Run in a child process that is killed right before its n-th change of a file; whether it lived that long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads: the child only trains and dies
        child = os.fork()
    if child == 0:
        code = 1
        try:
            sys.addaudithook(Count(run.directory, change))
            with pytest.MonkeyPatch.context() as patch:
                if overwrite:
                    run.go(patch, overwrite=True)
                else:
                    run.resumed(patch)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, f"the run that was to be killed at change {change} failed"
    return False


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("undisturbed")
    settings = quick_settings(write_text(folder, words=300), steps=6, save_every=2, eval_every=3)
    run = Run(settings, folder / "run")
    with pytest.MonkeyPatch.context() as patch:
        run.go(patch)
    return run


def check_kill_at(change: int, undisturbed: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    run = Run(undisturbed.settings, folder / f"run-{change}")
    if not killed_at(run, change):
        return False
    if checkpoint_paths(run.directory):
        modeldir.locate(str(run.directory))
    run.resumed(monkeypatch)
    assert leftovers(run.directory) == []
    assert_same_run(run.directory, undisturbed.directory)
    return True


@pytest.mark.parametrize(
    "change", [1, 17, 59, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3, 4, 6, 8, 11, 23, 41, 70, 77))]
)
def test_a_kill_at_a_change_of_a_file_is_survived(
    change: int, undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_kill_at(change, undisturbed, tmp_path, monkeypatch)


@pytest.mark.slow
def test_a_kill_at_any_change_of_a_file_is_survived(
    undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exhaustive: every open for writing, rename, removal and new folder of a run."""
    change, blocked = 1, []
    while True:
        try:
            if not check_kill_at(change, undisturbed, tmp_path, monkeypatch):
                break
        except Exception as error:
            blocked.append(f"killed at change {change}: {error}")
        change += 1
    assert blocked == []
    assert change > 80


def check_kill_of_overwriting(change: int, undisturbed: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either the old run stands or the new one goes on; both are the same here."""
    run = Run(undisturbed.settings, folder / f"over-{change}")
    shutil.copytree(undisturbed.directory, run.directory)
    assert killed_at(run, change, overwrite=True)
    run.go(monkeypatch, resume=True)
    assert leftovers(run.directory) == []
    assert_same_run(run.directory, undisturbed.directory)


@pytest.mark.parametrize("change", [1, 4, 8, 11, 12, 30, 45])
def test_a_kill_while_a_run_is_overwritten_is_survived(
    change: int, undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_kill_of_overwriting(change, undisturbed, tmp_path, monkeypatch)


@pytest.mark.slow
def test_a_kill_at_any_change_while_a_run_is_overwritten_is_survived(
    undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for change in range(1, 70):
        check_kill_of_overwriting(change, undisturbed, tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def due(undisturbed: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was interrupted at step 3, before it was judged there: the best, so step 3 is saved a second time."""
    run = Run(undisturbed.settings, tmp_path_factory.mktemp("due") / "run")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        run.go(patch, listener=SignalAt(3))
    return run


def check_kill_of_resumed(
    change: int, due: Run, undisturbed: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> bool:
    """A whole checkpoint of step 3 or later stands whenever it is killed, before anything has been put in order."""
    run = Run(due.settings, folder / f"due-{change}")
    shutil.copytree(due.directory, run.directory)
    if not killed_at(run, change):
        return False
    modeldir.locate(str(run.directory))
    newest = CheckpointStore(run.directory, {}).newest(pytest.fail)
    assert newest is not None
    assert newest.state["step"] >= 3
    run.go(monkeypatch, resume=True)
    assert leftovers(run.directory) == []
    assert_same_run(run.directory, undisturbed.directory)
    return True


@pytest.mark.parametrize("change", [13, 19, 20, 21, 22])
def test_a_kill_while_a_step_is_saved_a_second_time_is_survived(
    change: int, due: Run, undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_kill_of_resumed(change, due, undisturbed, tmp_path, monkeypatch)


@pytest.mark.slow
def test_a_kill_at_any_change_of_a_resumed_run_is_survived(
    due: Run, undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = 1
    while check_kill_of_resumed(change, due, undisturbed, tmp_path, monkeypatch):
        change += 1
    assert change > 60


# Real processes -----------------------------------------------------------------------------------------------


def wait_for_claim(process: subprocess.Popen[str], directory: Path) -> None:
    """Until the process has claimed its directory; what comes before is only imports."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if (directory / ".lock").read_text().strip() == str(process.pid):
                return
        except FileNotFoundError:
            pass
        time.sleep(0.005)
    assert process.poll() is not None, "no run after a minute"


def last_logged_step(directory: Path) -> int:
    steps = [0]
    if (directory / "metrics.jsonl").is_file():
        for line in (directory / "metrics.jsonl").read_bytes().split(b"\n")[:-1]:
            steps.append(json.loads(line)["step"])
    return max(steps)


def newest_step(directory: Path) -> int:
    """The step of the newest checkpoint; every one of them must be whole, a run that is killed damages none."""
    steps = [0]
    for path in checkpoint_paths(directory)[-2:]:
        modeldir.verify(path)
        steps.append(int(path.name.removeprefix("step-")))
    return max(steps)


@pytest.mark.slow
def test_a_run_survives_kills_at_random_moments(tmp_path: Path) -> None:
    """`SEQGEN_KILLS` of them, over as many runs as it takes; each run ends like the undisturbed one."""
    text = write_text(tmp_path)
    draw = random.Random(2024)

    def fresh(out: Path) -> list[str]:
        return sizes(text, out, steps=300, save_every=SAVE_EVERY, eval_every=20)

    reference = tmp_path / "undisturbed"
    began = time.monotonic()
    with running(*fresh(reference)) as process:
        wait_for_claim(process, reference)
        claimed = time.monotonic()
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    length = time.monotonic() - claimed
    print(f"import {claimed - began:.1f} s, run {length:.1f} s")

    kills = number = 0
    while kills < KILLS or number == 0:
        run, number, ended = tmp_path / f"run-{number}", number + 1, False
        while not ended:
            words = ["--resume", "--out", str(run)] if (run / "training.json").is_file() else fresh(run)
            with running(*words) as process:
                wait_for_claim(process, run)
                if kills < KILLS:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(draw.uniform(0.0, length / 4))
                    process.kill()
                _, errors = process.communicate()
            ended = process.returncode == 0
            if not ended:
                assert process.returncode == -signal.SIGKILL, f"after {kills} kills: {errors}"
                kills += 1
                assert last_logged_step(run) - newest_step(run) <= SAVE_EVERY + 1
        assert_same_run(run, reference)
        assert leftovers(run) == []
    assert kills == KILLS
