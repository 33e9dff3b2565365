"""Runs of Transformers too: interrupted and resumed equals uninterrupted, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import Run, SignalAt, assert_same_run, write_text

from seqgen.cli.commands.train_transformer import COMMANDS
from seqgen.config import (
    ParallelConfig,
    TextConfig,
    TrainConfig,
    TransformerConfig,
    TransformerPairsSettings,
    TransformerSeq2SeqConfig,
    TransformerTextSettings,
)
from seqgen.errors import Interrupted

STEPS = 20
SIZES: dict[str, Any] = {"embed_size": 8, "num_heads": 2, "ffn_size": 12, "num_layers": 1, "dropout": 0.3}
WORDS = "ein hund rennt durch den schnee und zwei katzen sehen ihm dabei zu".split()


def train_config(**chosen: Any) -> TrainConfig:
    fixed: dict[str, Any] = {
        "warmup_steps": 3,
        "eval_every": 8,
        "save_every": 5,
        "log_every": 1,
        "device": "cpu",
        "threads": 1,
    }
    return TrainConfig(steps=STEPS, ema=0.9, grad_accumulation=2, **fixed, **chosen)


def text_run(folder: Path, directory: Path) -> Run:
    settings = TransformerTextSettings(
        text=TextConfig(paths=(str(write_text(folder)),), valid="0.35"),
        network=TransformerConfig(**SIZES, positions="learned", num_kv_heads=1, context=16),
        train=train_config(batch_size=8, precision="bf16"),
    )
    return Run(settings, directory, command=COMMANDS["text"])


def pairs_run(folder: Path, directory: Path) -> Run:
    path, draw = folder / "pairs.tsv", random.Random(0)
    sentences = [draw.choices(WORDS, k=draw.randint(1, 6)) for _ in range(200)]
    path.write_text("".join(f"{' '.join(s)}\t{' '.join(s[::-1]).upper()}\n" for s in sentences))
    settings = TransformerPairsSettings(
        text=ParallelConfig(paths=(str(path),), vocab_size=284),
        network=TransformerSeq2SeqConfig(**SIZES, norm="post", joint=False),
        train=train_config(batch_size=16, precision="fp32"),
    )
    return Run(settings, directory, command=COMMANDS["pairs"])


@pytest.mark.slow
@pytest.mark.parametrize("make", [text_run, pairs_run])
def test_interrupted_and_resumed_equals_undisturbed(
    make: Callable[[Path, Path], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = make(tmp_path, tmp_path / "reference")
    reference.go(monkeypatch)
    for moment in (0, 5, 14):
        run = make(tmp_path, tmp_path / f"run-{moment}")
        with pytest.raises(Interrupted):
            run.go(monkeypatch, listener=SignalAt(moment))
        run.go(monkeypatch, resume=True)
        assert_same_run(run.directory, reference.directory)
        assert run.samples == reference.samples
