"""Full disks, damaged files, leftovers, second runs: what can be lost, and what must not be."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import (
    DAMAGES,
    Run,
    SignalAt,
    assert_same_run,
    checkpoint_paths,
    command,
    environment,
    leftovers,
    quick_settings,
    records,
    write_text,
)

from seqgen import modeldir
from seqgen.errors import DataError, Interrupted, ModelError, OutputError, SeqgenError, UsageError
from seqgen.modeldir import writing
from seqgen.tasks.language import model as language_model
from seqgen.tasks.language import task as language_model_task
from seqgen.train import directory as run_module
from seqgen.train.checkpoint import Checkpoint, CheckpointStore, RunLock
from seqgen.train.log import Listener, Record

CHECKPOINT_FILES = [
    "config.json",
    "tokenizer.json",
    "model.safetensors",
    "training.safetensors",
    "state.json",
    "MANIFEST.json",
]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text"), words=300)


@pytest.fixture
def small(text: Path, tmp_path: Path) -> Run:
    """Six steps, saved at 0, 2, 4, 6 and judged at 0, 3, 6."""
    return Run(quick_settings(text, steps=6, save_every=2, eval_every=3), tmp_path / "run")


@pytest.fixture(scope="module")
def undisturbed(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(quick_settings(text, steps=6, save_every=2, eval_every=3), tmp_path_factory.mktemp("undisturbed") / "run")
    with pytest.MonkeyPatch.context() as patch:
        run.go(patch)
    return run


class Disk:
    """A disk that is full at some of the writes: half of the bytes are written, then ENOSPC.

    Args:
        full (Callable[[int], bool]): whether it is full at the n-th write, counted from 1.
    """

    def __init__(self, full: Callable[[int], bool] = lambda n: False) -> None:
        self.writes = 0
        self._full = full

    def install(self, patch: pytest.MonkeyPatch) -> None:
        whole = writing._write_synced

        def write(path: Path, content: bytes) -> None:
            self.writes += 1
            if self._full(self.writes):
                path.write_bytes(content[: len(content) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            whole(path, content)

        patch.setattr(writing, "_write_synced", write)


def writes_in(action: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> int:
    """How many files an action writes when nothing is wrong."""
    disk = Disk()
    with monkeypatch.context() as patch:
        disk.install(patch)
        action()
    return disk.writes


def tiny_checkpoint(step: int) -> Checkpoint:
    weights = {"weight": torch.full((3,), float(step))}
    return Checkpoint(weights, {"weights/weight": torch.ones(3)}, {"step": step})


def tiny_store(directory: Path) -> CheckpointStore:
    return CheckpointStore(directory, {"config.json": b"{}", "tokenizer.json": b"{}"})


# A full disk --------------------------------------------------------------------------------------------------


def test_a_failed_write_anywhere_in_a_save_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tiny_store(tmp_path)
    count = writes_in(lambda: store.save(1, tiny_checkpoint(1), best=None), monkeypatch)
    assert count == len(CHECKPOINT_FILES)
    for n in range(1, count + 1):
        with monkeypatch.context() as patch:
            Disk(lambda i, n=n: i == n).install(patch)  # type: ignore[misc]
            with pytest.raises(OSError, match="No space"):
                store.save(2, tiny_checkpoint(2), best=None)
        assert [path.name for path in checkpoint_paths(tmp_path)] == ["step-00000001"]
        assert leftovers(tmp_path) == []
        newest = store.newest(pytest.fail)
        assert newest is not None
        assert newest.state == {"step": 1}
    store.save(2, tiny_checkpoint(2), best=None)
    assert [path.name for path in checkpoint_paths(tmp_path)] == ["step-00000001", "step-00000002"]


def test_a_failed_write_anywhere_in_a_second_save_of_a_step_leaves_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback, and an evaluation after a resume, save a step that is saved: it is all that there is here."""
    store = tiny_store(tmp_path)
    store.save(1, tiny_checkpoint(1), best=None)
    second = dataclasses.replace(tiny_checkpoint(1), state={"step": 1, "rollbacks": 1})
    for n in range(1, len(CHECKPOINT_FILES) + 1):
        for full in (lambda i, n=n: i == n, lambda i, n=n: i >= n):
            with monkeypatch.context() as patch:
                Disk(full).install(patch)
                with pytest.raises(OSError, match="No space"):
                    store.save(1, second, best=1)
            assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]
            newest = store.newest(pytest.fail)
            assert newest is not None
            assert newest.state == {"step": 1}
    store.save(1, second, best=1)
    newest = store.newest(pytest.fail)
    assert newest is not None
    assert newest.state == {"step": 1, "rollbacks": 1}


@pytest.mark.parametrize("method", ["rename", "mkdir"])
def test_a_failed_move_leaves_the_old_checkpoint(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tiny_store(tmp_path)
    store.save(1, tiny_checkpoint(1), best=None)
    with monkeypatch.context() as patch:
        patch.setattr(Path, method, _refuse)
        with pytest.raises(OSError, match="error"):
            store.save(2, tiny_checkpoint(2), best=None)
    assert [path.name for path in checkpoint_paths(tmp_path)] == ["step-00000001"]
    assert leftovers(tmp_path) == []


def _refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_save_is_synced_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def synced(descriptor: int) -> None:
        events.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        events.append(f"rename {target.name}")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    tiny_store(tmp_path).save(7, tiny_checkpoint(7), best=None)
    *files, folder, move, parent = events
    assert sorted(files) == sorted(CHECKPOINT_FILES)
    assert files[-1] == "MANIFEST.json"
    assert folder.startswith(".tmp-step-00000007")
    assert (move, parent) == ("rename step-00000007", "checkpoints")
    events.clear()
    tiny_store(tmp_path).save(7, tiny_checkpoint(7), best=None)
    assert sorted(events[:6]) == sorted(CHECKPOINT_FILES)
    assert events[6].startswith(".tmp-step-00000007")
    assert events[7:] == ["rename .old-step-00000007", "rename step-00000007", "checkpoints"]


class FullAfter(Listener):
    """Whether the disk is full: right after a step, until the next."""

    def __init__(self, step: int) -> None:
        self._step, self.full = step, False

    def stepped(self, record: Record, total_steps: int | None) -> None:
        self.full = record["step"] == self._step


def test_training_goes_on_when_a_save_fails(small: Run, undisturbed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The save at step 2 fails; the run says so, and ends as if nothing had happened."""
    disk = FullAfter(2)
    with monkeypatch.context() as patch:
        Disk(lambda n: disk.full).install(patch)
        small.go(patch, listener=disk)
    assert_same_run(small.directory, undisturbed.directory)
    notes = [line for line in small.said if "could not be saved" in line]
    assert notes == ["step 2 could not be saved: No space left on device (step 0 stands); training goes on"]


def test_a_best_that_could_not_be_saved_does_not_end_the_run_without_a_model(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The evaluation at step 3 is the best, its save fails, and no later one is better."""
    run = Run(quick_settings(text, steps=6, save_every=2, eval_every=3), tmp_path / "run")
    full: list[int] = []
    whole = CheckpointStore.save

    def save(self: CheckpointStore, step: int, checkpoint: Checkpoint, *, best: int | None) -> None:
        if step == 3:
            full.append(step)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(self, step, checkpoint, best=best)

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "save", save)
        patch.setattr(language_model_task, "evaluate", scripted_evaluations([3.0, 1.0, 2.0, 2.0]))
        run.go(patch)
    assert full
    modeldir.verify(run.directory)


def scripted_evaluations(losses: list[float]) -> Callable[..., dict[str, float]]:
    """An evaluation whose results are known beforehand."""
    rest = iter(losses)

    def evaluate(*_: Any, **__: Any) -> dict[str, float]:
        return {"loss": next(rest), "bits_per_char": 1.0, "perplexity": 2.0, "tokens": 10, "chars": 10}

    return evaluate


def test_the_run_fails_when_its_last_save_fails(small: Run, undisturbed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullAfter(6)
    with monkeypatch.context() as patch:
        Disk(lambda n: disk.full).install(patch)
        with pytest.raises(OutputError, match="step 6 could not be saved: No space left on device") as caught:
            small.go(patch, listener=disk)
    assert caught.value.exit_code == 1
    assert re.search(r"step \d+ stands", caught.value.message)
    assert "--resume" in caught.value.hint
    assert leftovers(small.directory) == []
    small.go(monkeypatch, resume=True)
    assert_same_run(small.directory, undisturbed.directory)


def test_a_failed_write_anywhere_in_publishing_leaves_a_model(
    small: Run, undisturbed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the finished model is written the newest checkpoint answers, and `--resume` finishes the job."""
    files = ["config.json", "tokenizer.json", "model.safetensors", "training.json", "metrics.jsonl", "README.md"]
    for n in range(1, len([*files, "MANIFEST.json"]) + 1):
        with monkeypatch.context() as patch:
            fail_in_publish(n, patch)
            with pytest.raises(OutputError, match="No space left on device") as caught:
                small.resumed(patch)
        assert "--resume" in caught.value.hint
        found = modeldir.locate(str(small.directory))
        assert found.parent.name == "checkpoints"
        assert leftovers(small.directory) == []
        language_model.LanguageModel.load(str(small.directory), torch.device("cpu"))
    small.go(monkeypatch, resume=True)
    assert_same_run(small.directory, undisturbed.directory)


def fail_in_publish(n: int, patch: pytest.MonkeyPatch) -> None:
    publish = modeldir.publish

    def full(directory: Path, files: dict[str, bytes]) -> None:
        with pytest.MonkeyPatch.context() as inner:
            Disk(lambda i: i == n).install(inner)
            publish(directory, files)

    patch.setattr(modeldir, "publish", full)


@pytest.fixture(scope="module")
def due(undisturbed: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was interrupted at step 3, before it was judged there: the best, so step 3 is saved a second time."""
    run = Run(undisturbed.settings, tmp_path_factory.mktemp("due") / "run")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        run.go(patch, listener=SignalAt(3))
    return run


def copied(run: Run, folder: Path) -> Run:
    shutil.copytree(run.directory, folder / "run")
    return Run(run.settings, folder / "run")


def test_a_second_save_of_a_step_that_fails_says_what_stands(
    due: Run, undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(due, tmp_path)
    with monkeypatch.context() as patch:
        Disk(lambda n: n > 1).install(patch)  # the settings are written, and nothing else
        with pytest.raises(OutputError, match=r"step 6 could not be saved: No space left on device \(step 3 stands\)"):
            run.go(patch, resume=True)
    assert "step 3 could not be saved: No space left on device (step 3 stands as it was); training goes on" in run.text
    assert modeldir.locate(str(run.directory)).name == "step-00000003"
    run.go(monkeypatch, resume=True)
    assert_same_run(run.directory, undisturbed.directory)


@pytest.mark.parametrize("first", [2, 4, 7, 8, 13, 19])
def test_a_disk_that_fills_up_in_a_resumed_run_is_survived(
    first: int, due: Run, undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survive_full_disk_resumed(lambda n: n >= first, due, undisturbed, tmp_path, monkeypatch)


@pytest.mark.slow
def test_a_disk_that_is_full_at_any_write_of_a_resumed_run_is_survived(
    due: Run, undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = writes_in(lambda: copied(due, tmp_path / "count").go(monkeypatch, resume=True), monkeypatch)
    assert count >= 3 * len(CHECKPOINT_FILES) + 7
    for n in range(1, count + 1):
        for name, full in {"once": lambda i, n=n: i == n, "ever": lambda i, n=n: i >= n}.items():
            survive_full_disk_resumed(full, due, undisturbed, tmp_path / f"{name}-{n}", monkeypatch)


def survive_full_disk_resumed(
    full: Callable[[int], bool], due: Run, undisturbed: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails, a checkpoint of step 3 or later answers, and the run ends the same when it goes on."""
    run = copied(due, folder)
    with monkeypatch.context() as patch:
        Disk(full).install(patch)
        with contextlib.suppress(SeqgenError):
            run.go(patch, resume=True)
    assert leftovers(run.directory) == []
    newest = CheckpointStore(run.directory, {}).newest(pytest.fail)
    assert newest is not None
    assert newest.state["step"] >= 3
    modeldir.locate(str(run.directory))
    run.go(monkeypatch, resume=True)
    assert_same_run(run.directory, undisturbed.directory)


@pytest.mark.parametrize("first", [1, 2, 3, 8, 9])
def test_a_disk_that_fills_up_is_survived(
    first: int, undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survive_full_disk(lambda n: n >= first, undisturbed, tmp_path, monkeypatch)


@pytest.mark.slow
def test_a_disk_that_is_full_at_any_write_is_survived(
    undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exhaustive over all files that a run writes, for one moment and for good."""
    count = writes_in(lambda: Run(undisturbed.settings, tmp_path / "count").go(monkeypatch), monkeypatch)
    assert count >= 4 * len(CHECKPOINT_FILES) + 7
    for n in range(1, count + 1):
        survive_full_disk(lambda i, n=n: i == n, undisturbed, tmp_path / f"once-{n}", monkeypatch)  # type: ignore[misc]
        survive_full_disk(lambda i, n=n: i >= n, undisturbed, tmp_path / f"ever-{n}", monkeypatch)  # type: ignore[misc]


def survive_full_disk(
    full: Callable[[int], bool], undisturbed: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends well or with one of our errors, leaves no part of a file, and ends the same when resumed."""
    run = Run(undisturbed.settings, folder / "run")
    failure = SeqgenError("No space left on device")
    with monkeypatch.context() as patch:
        Disk(full).install(patch)
        try:
            run.go(patch)
        except SeqgenError as error:
            failure = error
    assert "No space left on device" in failure.message
    assert failure.exit_code == 1
    if run.directory.exists():
        assert leftovers(run.directory) == []
    run.resumed(monkeypatch)
    assert_same_run(run.directory, undisturbed.directory)


@pytest.mark.slow
def test_a_file_size_limit_is_like_a_full_disk(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real limit, of the kernel: the checkpoint of the first session stays, the second ends with exit 1."""
    settings = quick_settings(text, steps=4, save_every=2, eval_every=100)
    settings = dataclasses.replace(settings, network=dataclasses.replace(settings.network, hidden_size=32))
    run = Run(settings, tmp_path / "run")
    run.go(monkeypatch)
    largest = (checkpoint_paths(run.directory)[-1] / "training.safetensors").stat().st_size
    assert largest > 2 * 2**14

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, 2**14))

    ended = subprocess.run(
        command("--resume", "--out", run.directory, "--steps", "8"),
        env=environment(),
        cwd=tmp_path,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "step 6 could not be saved: File too large (step 4 stands); training goes on" in ended.stderr
    assert "error: step 8 could not be saved: File too large (step 4 stands)" in ended.stderr
    assert "--resume" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    assert leftovers(run.directory) == []
    longer = Run(dataclasses.replace(settings, train=dataclasses.replace(settings.train, steps=8)), run.directory)
    longer.go(monkeypatch, resume=True)
    assert [r["step"] for r in records(run.directory) if "loss" in r] == list(range(1, 9))
    modeldir.verify(run.directory)


def test_too_little_space_is_said_before_the_first_step(small: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
        with pytest.raises(OutputError, match="MiB free, three checkpoints take") as caught:
            small.go(patch)
    assert caught.value.exit_code == 1
    assert str(small.directory) in caught.value.message
    assert checkpoint_paths(small.directory) == []
    small.resumed(monkeypatch)
    modeldir.verify(small.directory)


# Damaged checkpoints ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", CHECKPOINT_FILES)
def test_a_damaged_newest_checkpoint_gives_way_to_an_older(file: str, damage: str, tmp_path: Path) -> None:
    store = tiny_store(tmp_path)
    for step in (1, 2):
        store.save(step, tiny_checkpoint(step), best=None)
    DAMAGES[damage](store.path(2) / file)
    warnings: list[str] = []
    found = store.newest(warnings.append)
    assert found is not None
    assert found.state == {"step": 1}
    assert torch.equal(found.weights["weight"], torch.ones(3))
    assert len(warnings) == 1
    blamed = "step-00000002/" if (file, damage) == ("MANIFEST.json", "flipped") else f"step-00000002/{file}"
    assert blamed in warnings[0]
    reason = {"truncated": "truncated|not JSON", "flipped": "damaged|not JSON|not a|format|missing|lists no"}
    assert re.search(reason.get(damage, "truncated|not JSON|missing"), warnings[0]), warnings[0]
    assert "older" in warnings[0]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_falls_back_and_still_ends_the_same(
    damage: str, small: Run, undisturbed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Interrupted):
        small.go(monkeypatch, listener=SignalAt(5))
    newest = checkpoint_paths(small.directory)[-1]
    assert newest.name == "step-00000005"
    DAMAGES[damage](newest / "model.safetensors")
    small.said.clear()
    small.go(monkeypatch, resume=True)
    assert "step-00000005/model.safetensors" in small.text
    assert_same_run(small.directory, undisturbed.directory)


def test_no_whole_checkpoint_is_an_error_that_destroys_nothing(small: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Interrupted):
        small.go(monkeypatch, listener=SignalAt(5))
    paths = checkpoint_paths(small.directory)
    for path in paths:
        DAMAGES["flipped"](path / "training.safetensors")
    with pytest.raises(ModelError, match=f"none of the {len(paths)} checkpoints is whole") as caught:
        small.go(monkeypatch, resume=True)
    assert caught.value.exit_code == 2
    assert "--overwrite" in caught.value.hint
    assert checkpoint_paths(small.directory) == paths


def test_new_checkpoints_survive_among_newer_damaged_ones(tmp_path: Path) -> None:
    """Two damaged checkpoints ahead of where the run fell back to must not count as the newest two to keep."""
    store = tiny_store(tmp_path)
    for step in (10, 30, 40):
        store.save(step, tiny_checkpoint(step), best=10)
    for step in (30, 40):
        DAMAGES["truncated"](store.path(step) / "state.json")
    found = store.newest(lambda warning: None)
    assert found is not None
    assert found.state == {"step": 10}
    for step in (15, 20, 25):
        store.save(step, tiny_checkpoint(step), best=step)
        again = store.newest(lambda warning: None)
        assert again is not None
        assert again.state == {"step": step}
    store.save(28, tiny_checkpoint(28), best=25)
    again = store.newest(lambda warning: None)
    assert again is not None
    assert again.state == {"step": 28}


def test_a_checkpoint_that_stands_in_the_way_is_replaced(tmp_path: Path) -> None:
    """After a fall-back the run comes by the damaged checkpoint's step again."""
    store = tiny_store(tmp_path)
    store.save(1, tiny_checkpoint(1), best=None)
    DAMAGES["flipped"](store.path(1) / "state.json")
    store.save(1, tiny_checkpoint(1), best=None)
    modeldir.verify(store.path(1))


# Leftovers, locks, permissions --------------------------------------------------------------------------------


def test_leftovers_of_a_killed_run_are_removed_and_reported(
    small: Run, undisturbed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Interrupted):
        small.go(monkeypatch, listener=SignalAt(3))
    stale = small.directory / "checkpoints" / ".tmp-step-00000004-4711"
    stale.mkdir()
    (stale / "model.safetensors").write_bytes(b"half")
    (small.directory / ".tmp-training.json-4711").write_bytes(b"{")
    small.said.clear()
    small.go(monkeypatch, resume=True)
    assert leftovers(small.directory) == []
    assert any("2 unfinished" in line for line in small.said), small.said
    assert_same_run(small.directory, undisturbed.directory)


@pytest.mark.parametrize("part", ["lock", "text", "settings"])
def test_a_run_that_was_killed_before_it_had_settings_can_be_started(
    part: str, small: Run, undisturbed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill while the text is read, which takes minutes where there is much, must not block the directory."""
    small.directory.mkdir()
    (small.directory / ".lock").write_text("4711\n")
    if part != "lock":
        (small.directory / ".tmp-data-4711").mkdir()
        (small.directory / ".tmp-data-4711" / "tokens.bin").write_bytes(b"\1\2\3")
    if part == "settings":
        (small.directory / ".tmp-training.json-4711").write_bytes(b"{")
    small.resumed(monkeypatch)
    assert leftovers(small.directory) == []
    assert_same_run(small.directory, undisturbed.directory)


def test_a_lock_file_makes_no_folder_ours(small: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (small.directory / "data").mkdir(parents=True)
    (small.directory / "data" / "mine.txt").write_text("years of work")
    (small.directory / "README.md").write_text("mine too")
    (small.directory / ".lock").write_text("")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="not empty"):
            small.go(monkeypatch, overwrite=overwrite)
    assert (small.directory / "data" / "mine.txt").read_text() == "years of work"
    assert (small.directory / "README.md").read_text() == "mine too"


def test_a_run_that_cannot_take_anothers_place_leaves_it(
    small: Run, undisturbed: Run, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of the new run is unusable: the old one is as it was."""
    small.go(monkeypatch)
    binary = small.directory.parent / "binary"
    binary.write_bytes(b"a\0b")
    other = Run(quick_settings(binary, steps=1), small.directory)
    with pytest.raises(DataError):
        other.go(monkeypatch, overwrite=True)
    assert leftovers(small.directory) == []
    assert_same_run(small.directory, undisturbed.directory)


def test_files_of_others_are_not_taken_over(small: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    small.directory.mkdir()
    (small.directory / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not empty"):
        small.go(monkeypatch)
    assert [path.name for path in small.directory.iterdir()] == ["thesis.tex"]
    assert (small.directory / "thesis.tex").read_text() == "years of work"


def test_two_runs_in_one_directory_are_refused(small: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[UsageError] = []

    class Second(Listener):
        def stepped(self, record: Record, total_steps: int | None) -> None:
            if record["step"] == 2:
                with pytest.raises(UsageError, match=f"process {os.getpid()} is training here") as caught:
                    Run(small.settings, small.directory).go(monkeypatch, resume=True)
                refused.append(caught.value)

    small.go(monkeypatch, listener=Second())
    assert [error.exit_code for error in refused] == [2]
    modeldir.verify(small.directory)
    assert not (small.directory / ".lock").exists()


def test_overwrite_is_refused_too_while_a_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text('{"command": "train-lm", "settings": {}}')
    with (
        RunLock(tmp_path),
        pytest.raises(UsageError, match="is training here"),
        run_module.claim(tmp_path, resume=False, overwrite=True, note=pytest.fail),
    ):
        pytest.fail("claimed twice")
    assert (tmp_path / "training.json").is_file()


def test_a_lock_needs_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose it is cannot be written on a full disk; it holds all the same, and the run says what lacks room."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with RunLock(tmp_path), pytest.raises(UsageError, match="process unknown is training here"), RunLock(tmp_path):
            pytest.fail("locked twice")
    assert list(tmp_path.iterdir()) == []


def test_the_lock_is_freed_by_a_kill(tmp_path: Path) -> None:
    """The file stays, the kernel's lock does not."""
    program = (
        "import sys, time, fcntl, os\n"
        "f = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n"
        "fcntl.flock(f, fcntl.LOCK_EX)\n"
        "os.write(f, f'{os.getpid()}\\n'.encode())\n"
        "print('locked', flush=True)\n"
        "time.sleep(60)\n"
    )
    path = tmp_path / ".lock"
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "locked\n"
        with pytest.raises(UsageError, match=f"process {owner.pid} is training here"), RunLock(tmp_path):
            pytest.fail("locked twice")
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert path.read_text() == f"{owner.pid}\n"
        with RunLock(tmp_path):
            assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


def test_a_lock_whose_file_its_owner_took_away_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between our open and our lock the owner ended: the file that we locked is no longer in the directory."""
    flock, calls = fcntl.flock, 0

    def slow(descriptor: int, operation: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            (tmp_path / ".lock").unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", slow)
    with RunLock(tmp_path):
        assert calls == 2
        with pytest.raises(UsageError), RunLock(tmp_path):
            pytest.fail("locked twice")


@pytest.fixture(params=[0o027, 0o002], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    mask: int = request.param
    before = os.umask(mask)
    yield mask
    os.umask(before)


def test_all_that_is_written_follows_the_umask(umask: int, small: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    small.go(monkeypatch)
    written = [small.directory, *small.directory.rglob("*")]
    assert len(written) > 20
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in written}
    wrong = {
        str(path): oct(mode) for path, mode in modes.items() if mode != (0o777 if path.is_dir() else 0o666) & ~umask
    }
    assert wrong == {}


def test_a_finished_model_without_checkpoints_is_not_trained_over(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text('{"command": "train-lm", "settings": {}}')
    (tmp_path / "MANIFEST.json").write_text("{}")
    with (
        pytest.raises(UsageError, match="checkpoints are gone"),
        run_module.claim(tmp_path, resume=True, overwrite=False, note=print),
    ):
        pass
    assert (tmp_path / "MANIFEST.json").exists()
