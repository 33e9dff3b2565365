"""A run without the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from seqgen import modeldir
from seqgen.config import LanguageModelSettings, RecurrentConfig, RecurrentTextConfig, TrainConfig
from seqgen.tasks.language.model import LanguageModel
from seqgen.tasks.language.recipe import LanguageModelRecipe
from seqgen.train.session import Reporter, train


def recipe_for(folder: Path) -> LanguageModelRecipe:
    text = folder / "text.txt"
    text.write_text("the cat sat on the mat and the dog sat on the cat\n" * 40)
    return LanguageModelRecipe(
        LanguageModelSettings(
            text=RecurrentTextConfig(paths=(str(text),), bptt=16),
            network=RecurrentConfig(embed_size=4, hidden_size=8, num_layers=1, dropout=0.0),
            train=TrainConfig(steps=6, batch_size=4, eval_every=3, threads=1, device="cpu", precision="fp32"),
        )
    )


def test_a_model_is_trained_from_python(tmp_path: Path) -> None:
    notes: list[str] = []
    train(recipe_for(tmp_path), tmp_path / "run", reporter=Reporter(note=notes.append))
    modeldir.verify(tmp_path / "run")
    assert LanguageModel.load(str(tmp_path / "run"), torch.device("cpu")).network.config.num_layers == 1
    assert notes[-1].endswith(f"try: seqgen sample -m {tmp_path / 'run'}")
    card = (tmp_path / "run" / modeldir.CARD).read_text()
    assert f"seqgen train-lm {tmp_path / 'text.txt'} --bptt 16" in card


def test_nobody_need_be_told(tmp_path: Path) -> None:
    train(recipe_for(tmp_path), tmp_path / "run")
    modeldir.verify(tmp_path / "run")


def test_it_needs_no_command_line() -> None:
    code = "import sys, seqgen.train.session, seqgen.tasks.language.recipe; print('seqgen.cli' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"
