"""Classifiers too: interrupted and resumed equals uninterrupted, bit for bit, and damage is refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import Run, SignalAt, assert_same_run, checkpoint_paths, records

from seqgen.cli.commands import train_classifier
from seqgen.config import ClassifierConfig, ClassifierSettings, LabelledTextConfig, TrainConfig
from seqgen.errors import Interrupted
from seqgen.tasks.classification.classify import Labeller
from seqgen.tasks.classification.model import ClassifierModel

STEPS = 20
KINDS: list[dict[str, Any]] = [
    {"cell": "gru", "per_token": False, "tokens": "char", "precision": "fp32", "balance": "sqrt"},
    {"cell": "peephole", "per_token": True, "precision": "fp32"},
    {"cell": "transformer", "per_token": False, "tokens": "word", "precision": "bf16", "keep": "macro-f1", "ema": 0.0},
]
# Before the first step, after it, at a save, at an evaluation, in the second epoch, at the last.
MOMENTS = [0, 1, 5, 8, 14, STEPS - 1]
RARER = [pytest.param(m, marks=pytest.mark.slow) if m in (0, 1, 8, STEPS - 1) else m for m in MOMENTS]
WORDS = "ein hund rennt durch den schnee und zwei katzen sehen ihm dabei zu".split()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, draw = tmp_path_factory.mktemp("labelled"), random.Random(0)
    sentences = [draw.choices(WORDS, k=draw.randint(1, 6)) for _ in range(200)]
    (folder / "texts.tsv").write_text("".join(f"{' '.join(s)}\t{len(s[0]) % 3}\n" for s in sentences))
    (folder / "tags.tsv").write_text("\n".join("".join(f"{w}\t{len(w) % 3}\n" for w in s) for s in sentences))
    return folder


def run_of(number: int, data: Path, directory: Path) -> Run:
    kind = KINDS[number]
    text = {name: kind[name] for name in ("per_token", "tokens", "balance", "keep") if name in kind}
    settings = ClassifierSettings(
        text=LabelledTextConfig(paths=(str(data / ("tags.tsv" if kind["per_token"] else "texts.tsv")),), **text),
        network=ClassifierConfig(cell=kind["cell"], embed_size=4, char_size=4, hidden_size=8, num_heads=2),
        train=TrainConfig(
            steps=STEPS,
            batch_size=16,
            grad_accumulation=2,
            warmup_steps=3,
            eval_every=8,
            save_every=5,
            log_every=1,
            ema=kind.get("ema", 0.9),
            precision=kind["precision"],
            device="cpu",
            threads=1,
        ),
    )
    return Run(settings, directory, command=train_classifier.COMMAND)


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Run]:
    """A finished run of each kind, made once."""
    made: dict[int, Run] = {}

    def get(number: int) -> Run:
        if number not in made:
            made[number] = run_of(number, data, tmp_path_factory.mktemp("undisturbed") / "run")
            with pytest.MonkeyPatch.context() as patch:
                made[number].go(patch)
        return made[number]

    return get


def labels(directory: Path) -> list[Any]:
    model = ClassifierModel.load(str(directory), torch.device("cpu"))
    return [answer.labels for answer in Labeller(model, top=3).label(WORDS)]


@pytest.mark.parametrize("number", range(len(KINDS)))
@pytest.mark.parametrize("step", RARER)
def test_interrupted_and_resumed_equals_undisturbed(
    number: int,
    step: int,
    data: Path,
    undisturbed: Callable[[int], Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference, run = undisturbed(number), run_of(number, data, tmp_path / "run")
    with pytest.raises(Interrupted) as caught:
        run.go(monkeypatch, listener=SignalAt(step))
    assert caught.value.exit_code == 130
    assert caught.value.hint == f"go on with: seqgen train-classifier --resume --out {run.directory}"
    assert checkpoint_paths(run.directory)[-1].name == f"step-{step:08d}"
    run.go(monkeypatch, resume=True)
    assert_same_run(run.directory, reference.directory)
    assert (run.directory / "config.json").read_bytes() == (reference.directory / "config.json").read_bytes()
    assert labels(run.directory) == labels(reference.directory)


def test_the_runs_compared_here_learn_and_pass_an_epoch(undisturbed: Callable[[int], Run]) -> None:
    steps = [record for record in records(undisturbed(0).directory) if "epoch" in record]
    assert [record["step"] for record in steps] == list(range(1, STEPS + 1))
    assert steps[MOMENTS[-2] - 1]["epoch"] > 1.0
    assert steps[-1]["loss"] < steps[0]["loss"]
