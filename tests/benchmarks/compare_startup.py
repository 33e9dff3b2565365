"""Start-up: seconds from the prompt to the prompt."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import Row, Settings, compare, interleaved, seconds

MODELS = Path(__file__).parents[2] / "models"
SHIPPED, TRANSLATES = MODELS / "shakespeare-lstm", MODELS / "multi30k-de-en"
SENTENCE = "Ein Hund rennt durch den Schnee."
TINY = "train-lm text.txt --hidden-size 16 --embed-size 8 --batch-size 8 --bptt 16 --steps 5 --warmup 1 -q --out tiny"


def startup(settings: Settings) -> list[Row]:
    """Commands against the least that any Python, and any program with PyTorch, takes."""
    with tempfile.TemporaryDirectory() as folder:
        model = _model(Path(folder))
        commands = {
            "help": [*_seqgen(), "--help"],
            "version": [*_seqgen(), "--version"],
            "sample": [*_seqgen(), "sample", "-m", model, "--length", "1", "--seed", "1", "-p", "a"],
            "translate": [*_seqgen(), "translate", "-m", str(TRANSLATES), SENTENCE],
            "python": [sys.executable, "-c", "pass"],
            "torch": [sys.executable, "-c", "import torch"],
        }
        if not TRANSLATES.is_dir():
            del commands["translate"]
        sides = {
            name: lambda words=words: seconds(lambda: _run(words, folder, settings)) for name, words in commands.items()
        }
        measured = interleaved(sides, settings.repeats)
    python, torch = ("python -c pass", "python -c 'import torch'")
    translating = []
    if "translate" in measured:
        cold = "seqgen translate, one sentence"
        translating.append(compare(cold, measured["translate"], measured["torch"], "s", torch))
    return [
        compare("seqgen --version", measured["version"], measured["python"], "s", python),
        compare("seqgen --help", measured["help"], measured["python"], "s", python),
        compare("seqgen --help", measured["help"], measured["torch"], "s", torch),
        compare("seqgen sample --length 1", measured["sample"], measured["torch"], "s", torch),
        *translating,
    ]


def _seqgen() -> list[str]:
    """The console script beside this Python, as a person starts it."""
    script = Path(sys.executable).with_name("seqgen")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "seqgen"]


def _model(folder: Path) -> str:
    if SHIPPED.is_dir():
        return str(SHIPPED)
    (folder / "text.txt").write_text("to be, or not to be: that is the question.\n" * 100)
    _run([*_seqgen(), *TINY.split()], str(folder), Settings())
    return str(folder / "tiny")


def _run(words: list[str], folder: str, settings: Settings) -> None:
    env = os.environ | {"OMP_NUM_THREADS": str(settings.threads)}
    subprocess.run(words, cwd=folder, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=env)
