"""Translation runs too: interrupted and resumed equals uninterrupted, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from tiny_runs import Run, SignalAt, assert_same_run, checkpoint_paths, records

from seqgen.cli.commands import train_seq2seq
from seqgen.config import ParallelConfig, Precision, RecurrentCell, Seq2SeqConfig, TrainConfig, TranslationSettings
from seqgen.errors import Interrupted
from seqgen.tasks.translation.model import TranslationModel
from seqgen.tasks.translation.translate import Translator

STEPS = 20


class Kind(NamedTuple):
    """A kind of run."""

    cell: RecurrentCell
    ema: float
    precision: Precision
    joint: bool
    text: dict[str, Any]


KINDS = [
    Kind("gru", 0.9, "fp32", True, {}),
    Kind("lstm", 0.0, "bf16", False, {"order": "random", "loss_steps": "random", "keep": "loss"}),
]
# Before the first step, after it, at a save, at an evaluation, in the second epoch, at the last.
MOMENTS = [0, 1, 5, 8, 14, STEPS - 1]
RARER = [pytest.param(m, marks=pytest.mark.slow) if m in (0, 1, 8, STEPS - 1) else m for m in MOMENTS]
WORDS = "ein hund rennt durch den schnee und zwei katzen sehen ihm dabei zu".split()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, draw = tmp_path_factory.mktemp("pairs") / "pairs.tsv", random.Random(0)
    sentences = [draw.choices(WORDS, k=draw.randint(1, 6)) for _ in range(200)]
    path.write_text("".join(f"{' '.join(s)}\t{' '.join(s[::-1]).upper()}\n" for s in sentences))
    return path


def settings_of(kind: Kind, pairs: Path) -> TranslationSettings:
    return TranslationSettings(
        text=ParallelConfig(paths=(str(pairs),), vocab_size=300 if kind.joint else 284, **kind.text),
        network=Seq2SeqConfig(cell=kind.cell, embed_size=4, hidden_size=8, dropout=0.3, joint=kind.joint),
        train=TrainConfig(
            steps=STEPS,
            batch_size=16,
            grad_accumulation=2,
            warmup_steps=3,
            eval_every=8,
            save_every=5,
            log_every=1,
            ema=kind.ema,
            precision=kind.precision,
            device="cpu",
            threads=1,
        ),
    )


def run_of(kind: Kind, pairs: Path, directory: Path) -> Run:
    return Run(settings_of(kind, pairs), directory, command=train_seq2seq.COMMAND)


@pytest.fixture(scope="module")
def undisturbed(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Run]:
    """A finished run of each kind, made once."""
    made: dict[int, Run] = {}

    def get(number: int) -> Run:
        if number not in made:
            made[number] = run_of(KINDS[number], pairs, tmp_path_factory.mktemp("undisturbed") / "run")
            with pytest.MonkeyPatch.context() as patch:
                made[number].go(patch)
        return made[number]

    return get


def translations(directory: Path) -> list[str]:
    model = TranslationModel.load(str(directory), torch.device("cpu"))
    return [t.text for t in Translator([model], "beam", max_length=8).stream(WORDS)]


@pytest.mark.parametrize("number", range(len(KINDS)))
@pytest.mark.parametrize("step", RARER)
def test_interrupted_and_resumed_equals_undisturbed(
    number: int,
    step: int,
    pairs: Path,
    undisturbed: Callable[[int], Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference, run = undisturbed(number), run_of(KINDS[number], pairs, tmp_path / "run")
    with pytest.raises(Interrupted) as caught:
        run.go(monkeypatch, listener=SignalAt(step))
    assert caught.value.exit_code == 130
    assert caught.value.hint == f"go on with: seqgen train-seq2seq --resume --out {run.directory}"
    assert checkpoint_paths(run.directory)[-1].name == f"step-{step:08d}"
    run.go(monkeypatch, resume=True)
    assert_same_run(run.directory, reference.directory)
    assert run.samples == reference.samples
    assert translations(run.directory) == translations(reference.directory)


def test_the_runs_compared_here_learn_and_pass_an_epoch(undisturbed: Callable[[int], Run]) -> None:
    steps = [record for record in records(undisturbed(0).directory) if "epoch" in record]
    assert [record["step"] for record in steps] == list(range(1, STEPS + 1))
    assert steps[MOMENTS[-2] - 1]["epoch"] > 1.0
    assert steps[-1]["loss"] < steps[0]["loss"]
