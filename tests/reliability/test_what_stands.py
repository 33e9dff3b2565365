"""What stands in a directory stays until there is something better: a failed run leaves all as it was."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from test_kill import killed_at
from tiny_runs import (
    Run,
    SignalAt,
    assert_same_run,
    checkpoint_paths,
    leftovers,
    quick_settings,
    records,
    sizes,
    write_text,
)

from seqgen import cli, modeldir
from seqgen.errors import DataError, Interrupted, NonFiniteError, OutputError, SeqgenError, UsageError
from seqgen.tasks.language import task as language_model_task
from seqgen.train.log import Listener, Record


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text"), words=300)


@pytest.fixture(scope="module")
def finished(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Six steps, saved at 0, 2, 4, 6 and judged at 0, 3, 6."""
    run = Run(quick_settings(text, steps=6, save_every=2, eval_every=3), tmp_path_factory.mktemp("finished") / "run")
    with pytest.MonkeyPatch.context() as patch:
        run.go(patch)
    return run


def longer(finished: Run, folder: Path) -> Run:
    """A copy of the finished run that is to take four steps more."""
    shutil.copytree(finished.directory, folder / "run")
    settings = finished.settings
    train = dataclasses.replace(settings.train, steps=10)
    return Run(dataclasses.replace(settings, train=train), folder / "run")


def contents(directory: Path) -> dict[str, bytes]:
    """Every file of a directory by name."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


# A finished model that is trained further ---------------------------------------------------------------------


def append_a_byte(run: Run, patch: pytest.MonkeyPatch) -> None:
    with (run.directory / "data" / "tokens.bin").open("ab") as file:
        file.write(b"\0")


def lose_the_data(run: Run, patch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(run.directory / "data")
    gone = dataclasses.replace(run.settings.text, paths=("/nowhere/text.txt",))
    run.settings = dataclasses.replace(run.settings, text=gone)


def lose_the_checkpoints(run: Run, patch: pytest.MonkeyPatch) -> None:
    for path in checkpoint_paths(run.directory):
        (path / "state.json").write_bytes(b"{}")


def fill_the_disk(run: Run, patch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    patch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))


FAULTS: dict[str, Callable[[Run, pytest.MonkeyPatch], None]] = {
    "data": append_a_byte,
    "no data": lose_the_data,
    "checkpoints": lose_the_checkpoints,
    "disk": fill_the_disk,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_resume_that_fails_leaves_the_model_published(
    fault: str, finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = longer(finished, tmp_path)
    with monkeypatch.context() as patch:
        FAULTS[fault](run, patch)
        before = contents(run.directory)
        with pytest.raises(SeqgenError):
            run.go(patch, resume=True)
    assert contents(run.directory) == before
    assert modeldir.locate(str(run.directory)) == run.directory


def test_a_resume_that_is_stopped_before_its_first_step_leaves_the_model_published(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = longer(finished, tmp_path)
    before = contents(run.directory)

    class AtOnce(Listener):
        def started(self, step: int, total_steps: int | None) -> None:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        run.go(monkeypatch, resume=True, listener=AtOnce())
    assert contents(run.directory) == before
    modeldir.verify(run.directory)


@pytest.mark.parametrize("words", [["--hidden-size", "9"], ["--steps", "x"], ["--device", "cuda:9"], ["--config", "c"]])
def test_a_resume_with_wrong_options_leaves_the_model_published(
    words: list[str], finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = longer(finished, tmp_path)
    before = contents(run.directory)
    monkeypatch.setattr(sys, "argv", ["seqgen", "train-lm", "--resume", "--out", str(run.directory), *words])
    with pytest.raises(SystemExit) as ending:
        cli.main()
    assert ending.value.code == 2
    assert contents(run.directory) == before


class Publication(Listener):
    """Whether the finished model is published after each step, and which steps are saved by then."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.seen: list[tuple[int, str]] = []

    def stepped(self, record: Record, total_steps: int | None) -> None:
        self.seen.append((int(record["step"]), modeldir.locate(str(self._directory)).name))


def test_a_model_stays_published_until_the_first_new_step_is_saved(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = longer(finished, tmp_path)
    publication = Publication(run.directory)
    run.go(monkeypatch, resume=True, listener=publication)
    # The best is saved when it is judged, at step 9; step 8 is saved as every other.
    assert publication.seen[:3] == [(7, "run"), (8, "run"), (9, "step-00000008")]
    assert [record["step"] for record in records(run.directory) if "loss" in record] == list(range(1, 11))
    assert [record["step"] for record in records(run.directory) if record.get("final")] in ([10], [9], [6], [3])
    modeldir.verify(run.directory)


def test_a_kill_while_a_finished_model_is_trained_further_is_survived(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the changes around the first new save: a model answers at any time, and no line of the log is lost."""
    undisturbed = longer(finished, tmp_path / "undisturbed")
    undisturbed.go(monkeypatch, resume=True)
    for change in range(2, 18, 3):
        check_kill(change, finished, undisturbed, tmp_path / str(change), monkeypatch)


@pytest.mark.slow
def test_a_kill_at_any_change_while_a_finished_model_is_trained_further_is_survived(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = longer(finished, tmp_path / "undisturbed")
    undisturbed.go(monkeypatch, resume=True)
    change = 1
    while check_kill(change, finished, undisturbed, tmp_path / str(change), monkeypatch):
        change += 1
    assert change > 40


def check_kill(change: int, finished: Run, whole: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    run = longer(finished, folder)
    if not killed_at(run, change):
        return False
    modeldir.verify(modeldir.locate(str(run.directory)))
    run.go(monkeypatch, resume=True)
    assert leftovers(run.directory) == []
    assert records(run.directory) == records(whole.directory)
    assert (run.directory / "model.safetensors").read_bytes() == (whole.directory / "model.safetensors").read_bytes()
    modeldir.verify(run.directory)
    return True


# Sources that change under a run ------------------------------------------------------------------------------


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Three of six steps on a text of its own."""
    text = write_text(tmp_path, words=300)
    run = Run(quick_settings(text, steps=6, save_every=2, eval_every=3), tmp_path / "run")
    with pytest.raises(Interrupted):
        run.go(monkeypatch, listener=SignalAt(3))
    run.said.clear()
    return run


def test_lost_data_is_made_again_from_the_same_text(begun: Run, finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(begun.directory / "data")
    begun.go(monkeypatch, resume=True)
    assert_same_run(begun.directory, finished.directory)


def test_lost_data_is_not_made_from_another_text(begun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path(begun.settings.text.paths[0])
    whole = text.read_text()
    text.write_text(whole.replace("cat", "cow"))
    shutil.rmtree(begun.directory / "data")
    before = contents(begun.directory)
    for _ in range(2):  # what was refused is not there the second time
        with pytest.raises(
            DataError, match=r"data of this run is gone .*text\.txt is not what it was made from"
        ) as caught:
            begun.go(monkeypatch, resume=True)
        assert "--overwrite" in caught.value.hint
        assert contents(begun.directory) == before
    text.write_text(whole)
    begun.go(monkeypatch, resume=True)
    modeldir.verify(begun.directory)


def test_an_edited_text_does_not_matter_while_the_data_is_whole(
    begun: Run, finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path(begun.settings.text.paths[0])
    text.write_text(text.read_text().replace("cat", "cow"))
    begun.go(monkeypatch, resume=True)
    assert f"{text} has changed; the run goes on with what it read at its beginning" in begun.said
    assert_same_run(begun.directory, finished.directory)


def test_a_text_that_is_as_it_was_is_not_spoken_of(begun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(begun.settings.text.paths[0], (1, 1))
    begun.go(monkeypatch, resume=True)
    assert "has changed" not in begun.text


# A run that another is to replace -----------------------------------------------------------------------------


@contextmanager
def no_number(patch: pytest.MonkeyPatch, step: int) -> Iterator[None]:
    """The loss of a step is not a number."""
    loss = language_model_task.LanguageModelTask.loss
    steps = [0]

    def poisoned(self: Any, player: str, part: int, parts: int) -> torch.Tensor:
        steps[0] += 1
        value: torch.Tensor = loss(self, player, part, parts)
        return value * torch.nan if steps[0] == step else value

    with patch.context() as inner:
        inner.setattr(language_model_task.LanguageModelTask, "loss", poisoned)
        yield


@pytest.mark.parametrize("step", [1, 2])
def test_a_run_that_fails_before_it_has_saved_a_step_does_not_take_anothers_place(
    step: int, finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = longer(finished, tmp_path)
    (run.directory / "notes.txt").write_text("mine")
    (run.directory / "tensorboard").mkdir()
    (run.directory / "tensorboard" / "events").write_text("events")
    before = contents(run.directory)
    with no_number(monkeypatch, step), pytest.raises(NonFiniteError, match="nothing was learned yet") as caught:
        run.go(monkeypatch, overwrite=True)
    assert contents(run.directory) == before
    assert "--resume" not in caught.value.hint


def test_a_run_that_has_saved_a_step_takes_anothers_place(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = longer(finished, tmp_path)
    with no_number(monkeypatch, 3), pytest.raises(NonFiniteError, match="step 2") as caught:
        run.go(monkeypatch, overwrite=True)
    assert "--resume" in caught.value.hint
    assert [path.name for path in checkpoint_paths(run.directory)] == ["step-00000000", "step-00000002"]
    assert not (run.directory / "model.safetensors").exists()
    assert [path.name for path in run.directory.glob(".*")] == []


def test_a_replaced_run_is_back_after_a_kill(finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At any change until the new run has saved a step; then the new one stands."""
    stood = []
    for change in range(2, 50, 4):
        run = longer(finished, tmp_path / str(change))
        before = contents(run.directory)
        assert killed_at(run, change, overwrite=True)
        with pytest.raises(UsageError, match="holds a run already"):
            run.go(monkeypatch)
        modeldir.remove_leftovers(run.directory)
        (run.directory / ".lock").unlink(missing_ok=True)
        stood.append(contents(run.directory) == before)
        assert stood[-1] or not (run.directory / "model.safetensors").exists()
    assert stood[:6] == [True] * 6
    assert stood == sorted(stood, reverse=True)


# A run that is in the way of its own second try ---------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 2])
def test_a_fresh_run_that_fails_at_once_leaves_nothing(
    step: int, finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(finished.settings, tmp_path / "new" / "deep" / "run")
    with no_number(monkeypatch, step), pytest.raises(NonFiniteError):
        run.go(monkeypatch)
    assert list(tmp_path.iterdir()) == []
    run.go(monkeypatch)
    modeldir.verify(run.directory)


def test_a_fresh_run_without_room_leaves_nothing(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(finished.settings, tmp_path / "run")
    with monkeypatch.context() as patch:
        fill_the_disk(run, patch)
        with pytest.raises(OutputError, match="MiB free"):
            run.go(patch)
    assert list(tmp_path.iterdir()) == []


def test_a_fresh_run_that_fails_leaves_what_was_there(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty folder of the user's stays."""
    (tmp_path / "mine" / "run").mkdir(parents=True)
    missing = dataclasses.replace(finished.settings.text, paths=(str(tmp_path / "missing.txt"),))
    run = Run(dataclasses.replace(finished.settings, text=missing), tmp_path / "mine" / "run")
    with pytest.raises(DataError):
        run.go(monkeypatch)
    assert (tmp_path / "mine").is_dir()


def test_a_run_that_is_stopped_before_its_first_step_stays(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says where it is saved and how to go on: that must be true."""
    run = Run(finished.settings, tmp_path / "run")
    with pytest.raises(Interrupted):
        run.go(monkeypatch, listener=SignalAt(0))
    assert [path.name for path in checkpoint_paths(run.directory)] == ["step-00000000"]


def test_tensorboard_is_asked_for_before_anything_is_made(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    words = sizes(text, tmp_path / "run", steps=2, save_every=2, eval_every=2)
    monkeypatch.setattr(sys, "argv", ["seqgen", "train-lm", *words, "--tensorboard"])
    with pytest.raises(SystemExit) as ending:
        cli.main()
    assert ending.value.code == 2
    assert "tensorboard is not installed" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []
