"""A run that was interrupted and resumed equals one that was not, bit for bit, wherever it was interrupted."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import STEPS, Run, SignalAt, assert_same_run, checkpoint_paths, records, settings_for, write_text

from seqgen import modeldir
from seqgen.config import Cell, LanguageModelSettings, Precision, SamplingConfig
from seqgen.errors import Interrupted, UsageError
from seqgen.tasks.language import judge as language_model_judging
from seqgen.tasks.language import recipe as language_model_recipe
from seqgen.tasks.language.model import LanguageModel
from seqgen.tasks.language.write import Writer
from seqgen.train import session
from seqgen.train.stop import StopRequest


class Kind(NamedTuple):
    """A kind of run."""

    cell: Cell
    ema: float
    precision: Precision


KINDS = [
    Kind("lstm", 0.9, "fp32"),
    Kind("gru", 0.0, "fp32"),
    Kind("rnn", 0.9, "bf16"),
    Kind("lstm", 0.0, "bf16"),
]
# Before the first step, after it, at a save, at an evaluation, in the second epoch, at the last.
MOMENTS = [0, 1, 5, 16, 24, STEPS - 1]
RARER = [pytest.param(m, marks=pytest.mark.slow) if m in (0, 1, 24) else m for m in MOMENTS]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def undisturbed(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind], Run]:
    """A finished run of each kind, made once."""
    made: dict[Kind, Run] = {}

    def run_of(kind: Kind) -> Run:
        if kind not in made:
            made[kind] = Run(settings_of(kind, text), tmp_path_factory.mktemp("undisturbed") / "run")
            with pytest.MonkeyPatch.context() as patch:
                made[kind].go(patch)
        return made[kind]

    return run_of


def settings_of(kind: Kind, text: Path) -> LanguageModelSettings:
    return settings_for(text, cell=kind.cell, ema=kind.ema, precision=kind.precision)


def sampled_text(directory: Path) -> str:
    model = LanguageModel.load(str(directory), torch.device("cpu"))
    writer = Writer(model.network, model.tokenizer, SamplingConfig())
    return "".join(text for _, text in writer.write("", length=80, seeds=[7]))


def interrupt(run: Run, step: int, monkeypatch: pytest.MonkeyPatch, *, resume: bool = False) -> None:
    with pytest.raises(Interrupted) as caught:
        run.go(monkeypatch, resume=resume, listener=SignalAt(step))
    assert caught.value.exit_code == 130
    assert checkpoint_paths(run.directory)[-1].name == f"step-{step:08d}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.cell}-ema{kind.ema}-{kind.precision}")
@pytest.mark.parametrize("step", RARER)
def test_interrupted_and_resumed_equals_undisturbed(
    kind: Kind,
    step: int,
    text: Path,
    undisturbed: Callable[[Kind], Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference = undisturbed(kind)
    run = Run(settings_of(kind, text), tmp_path / "run")
    interrupt(run, step, monkeypatch)
    run.go(monkeypatch, resume=True)
    assert_same_run(run.directory, reference.directory)
    assert run.samples == reference.samples
    assert sampled_text(run.directory) == sampled_text(reference.directory)


def test_the_runs_compared_here_learn_and_pass_an_epoch(undisturbed: Callable[[Kind], Run]) -> None:
    """Otherwise the tests above would say nothing about the order of a second epoch."""
    last = checkpoint_paths(undisturbed(KINDS[0]).directory)[-1]
    assert "task/state" in load_file(last / "training.safetensors")
    steps = [record for record in records(undisturbed(KINDS[0]).directory) if "epoch" in record]
    assert [record["step"] for record in steps] == list(range(1, STEPS + 1))
    assert steps[MOMENTS[-2] - 1]["epoch"] > 1.0
    assert steps[-1]["loss"] < steps[0]["loss"]


def test_interrupted_at_every_third_step(
    text: Path, undisturbed: Callable[[Kind], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(settings_of(KINDS[0], text), tmp_path / "run")
    for step in range(0, STEPS, 3):
        interrupt(run, step, monkeypatch, resume=step > 0)
    run.go(monkeypatch, resume=True)
    assert_same_run(run.directory, undisturbed(KINDS[0]).directory)


class StopAtLook(StopRequest):
    """A signal that comes just before the n-th time that somebody looks."""

    looks_left = 0

    def __call__(self) -> bool:
        type(self).looks_left -= 1
        if type(self).looks_left == 0:
            signal.raise_signal(signal.SIGTERM)
        return super().__call__()


def stop_at_look(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    StopAtLook.looks_left = n
    monkeypatch.setattr(session, "StopRequest", StopAtLook)


@pytest.mark.parametrize("look", [1, 5, 30, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3, 4, 6, 7, 8, 9))])
def test_a_signal_before_any_look_is_honoured_and_its_message_true(
    look: int, text: Path, undisturbed: Callable[[Kind], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks happen between steps, within evaluations and between the two; a message "saved" must be true."""
    run = Run(settings_of(KINDS[1], text), tmp_path / "run")
    with monkeypatch.context() as patch:
        stop_at_look(look, patch)
        with pytest.raises(Interrupted) as caught:
            run.go(patch)
    assert caught.value.exit_code == 143
    saved = [path for path in checkpoint_paths(run.directory) if str(path) in caught.value.message]
    assert len(saved) == 1, f"{caught.value.message}, but there are {checkpoint_paths(run.directory)}"
    modeldir.verify(saved[0])
    run.go(monkeypatch, resume=True)
    assert_same_run(run.directory, undisturbed(KINDS[1]).directory)


def test_a_signal_in_the_last_pass_is_honoured(
    text: Path, undisturbed: Callable[[Kind], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exact pass over the validation part, after the last step, may take minutes on a large text."""
    run = Run(settings_of(KINDS[1], text), tmp_path / "run")
    final = _FinalPass()
    with monkeypatch.context() as patch:
        final.install(patch)
        with pytest.raises(Interrupted):
            run.go(patch)
    assert not (run.directory / modeldir.MANIFEST).exists()
    run.go(monkeypatch, resume=True)
    assert_same_run(run.directory, undisturbed(KINDS[1]).directory)


class _FinalPass:
    """Sends INT when the pass that judges the finished model begins."""

    def install(self, patch: pytest.MonkeyPatch) -> None:
        original = language_model_judging.evaluate

        def evaluate(*args: Any, **kwargs: Any) -> dict[str, float] | None:
            signal.raise_signal(signal.SIGINT)
            return original(*args, **kwargs)

        patch.setattr(language_model_recipe, "evaluate", evaluate)


def test_resuming_a_finished_run_changes_nothing(
    text: Path, undisturbed: Callable[[Kind], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(settings_of(KINDS[1], text), tmp_path / "run")
    run.go(monkeypatch)
    run.go(monkeypatch, resume=True)
    assert_same_run(run.directory, undisturbed(KINDS[1]).directory)


def test_a_finished_run_goes_on_with_more_steps(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(settings_of(KINDS[1], text), tmp_path / "run")
    run.go(monkeypatch)
    longer = dataclasses.replace(run.settings, train=dataclasses.replace(run.settings.train, steps=STEPS + 6))
    again = Run(longer, run.directory)
    again.go(monkeypatch, resume=True)
    assert checkpoint_paths(run.directory)[-1].name == f"step-{STEPS + 6:08d}"
    steps = [record["step"] for record in records(run.directory) if "loss" in record]
    assert steps == list(range(1, STEPS + 7))
    modeldir.verify(run.directory)


def test_a_finished_run_that_goes_on_can_be_sampled_from_meanwhile(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its old manifest does not fit the new training.json and the longer log: it must not stand in the way."""
    run = Run(settings_of(KINDS[1], text), tmp_path / "run")
    run.go(monkeypatch)
    longer = dataclasses.replace(run.settings, train=dataclasses.replace(run.settings.train, steps=STEPS + 6))
    interrupted = Run(longer, run.directory)
    with pytest.raises(Interrupted):
        interrupted.go(monkeypatch, resume=True, listener=SignalAt(STEPS + 2))
    assert sampled_text(run.directory)


def test_a_run_without_validation_resumes_too(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(KINDS[1], text)
    settings = dataclasses.replace(settings, text=dataclasses.replace(settings.text, valid="0"))
    whole, parts = Run(settings, tmp_path / "whole"), Run(settings, tmp_path / "parts")
    whole.go(monkeypatch)
    interrupt(parts, 9, monkeypatch)
    parts.go(monkeypatch, resume=True)
    assert_same_run(parts.directory, whole.directory)


def test_accumulated_parts_resume_too(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(text, cell="lstm", grad_accumulation=2)
    whole, parts = Run(settings, tmp_path / "whole"), Run(settings, tmp_path / "parts")
    whole.go(monkeypatch)
    interrupt(parts, 9, monkeypatch)
    parts.go(monkeypatch, resume=True)
    assert_same_run(parts.directory, whole.directory)


def test_another_seed_is_another_run(
    text: Path, undisturbed: Callable[[Kind], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison of the tests above can tell two runs apart."""
    settings = settings_of(KINDS[1], text)
    other = Run(dataclasses.replace(settings, train=dataclasses.replace(settings.train, seed=1)), tmp_path / "run")
    other.go(monkeypatch)
    with pytest.raises(AssertionError):
        assert_same_run(other.directory, undisturbed(KINDS[1]).directory)


def test_there_must_be_a_run_to_resume(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(settings_of(KINDS[1], text), tmp_path / "run")
    with pytest.raises(UsageError, match="no run to resume"):
        run.go(monkeypatch, resume=True)
    assert not run.directory.exists()


def test_a_run_is_not_started_over_by_accident(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(settings_for(text, steps=2), tmp_path / "run")
    run.go(monkeypatch)
    before = (run.directory / "model.safetensors").read_bytes()
    with pytest.raises(UsageError, match="holds a run already") as caught:
        run.go(monkeypatch)
    assert "--resume" in caught.value.hint
    assert (run.directory / "model.safetensors").read_bytes() == before


def test_settings_are_replayable(text: Path, undisturbed: Callable[[Kind], Run]) -> None:
    reference = undisturbed(KINDS[0])
    written = json.loads((reference.directory / "training.json").read_bytes())
    assert written["settings"]["train"]["steps"] == STEPS
    assert written["settings"]["train"]["precision"] == "fp32"
