"""What must answer at once loads nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from running import environment

HEAVY = ("torch", "numpy", "sentencepiece", "safetensors", "rich.progress")

# Runs each command line in turn in one process, and tells what was loaded after each and how it ended.
_ASK = """
import contextlib, io, json, sys
from seqgen.cli import main
heavy = json.loads(sys.argv[1])
told = [["import", 0, [name for name in heavy if name in sys.modules]]]
for line in json.loads(sys.argv[2]):
    sys.argv = ["seqgen", *line.split()]
    code = None
    sink = io.TextIOWrapper(io.BytesIO())
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        try:
            main()
        except SystemExit as ending:
            code = ending.code or 0
    told.append([line, code, [name for name in heavy if name in sys.modules]])
print(json.dumps(told))
"""

QUICK = {
    "--version": 0,
    "--help": 0,
    "-h": 0,
    "train-lm --help": 0,
    "sample -h": 0,
    "evaluate --help": 0,
    "models --help": 0,
    "": 2,
    "no-such-command": 2,
    "--no-such-option": 2,
    "sample --no-such-option": 2,
    "sample --length many": 2,
    "sample --top-p 7": 2,
    "sample -q -v": 2,
    "sample --greedy --top-k 3": 2,
    "evaluate": 2,
    "train-lm": 2,
    "train-lm data.txt --cell lstmx": 2,
    "train-lm data.txt --hidden-size 0": 2,
    "train-lm data.txt --steps 3 --minutes 2": 2,
    "train-lm --config missing.json --out run": 2,
}


def _ask(lines: list[str], cwd: Path, heavy: Sequence[str] = HEAVY, **env: str) -> list[tuple[str, int, list[str]]]:
    done = subprocess.run(
        [sys.executable, "-c", _ASK, json.dumps(heavy), json.dumps(lines)],
        cwd=cwd,
        capture_output=True,
        check=True,
        env=environment(**env),
        timeout=60,
    )
    return [(line, code, loaded) for line, code, loaded in json.loads(done.stdout)]


def test_help_version_and_usage_errors_load_nothing_heavy(tmp_path: Path) -> None:
    for line, code, loaded in _ask(list(QUICK), tmp_path):
        assert (line, loaded) == (line, [])
        assert (line, code) == (line, QUICK.get(line, 0))


def test_completion_loads_nothing_heavy(tmp_path: Path) -> None:
    asked = {"_SEQGEN_COMPLETE": "complete_bash", "COMP_WORDS": "seqgen sam", "COMP_CWORD": "1"}
    (_, (_, code, loaded)) = _ask([""], tmp_path, **asked)
    assert (code, loaded) == (0, [])


def test_what_answers_from_a_shipped_model_loads_no_compiler(tmp_path: Path) -> None:
    """It takes as long as all the rest."""
    lines = [
        "sample --length 2",
        "translate Mann",
        "translate -m multi30k-de-en-lstm Mann",
        "gan-sample --n 1 --out made.png",
        "inspect -m shakespeare-lstm",
    ]
    for line, code, loaded in _ask(lines, tmp_path, ("torch._dynamo", "torch._inductor", "sympy")):
        assert (line, code or 0, loaded) == (line, 0, [])


def test_importing_the_package_loads_nothing_heavy() -> None:
    look = (
        f"import sys, seqgen, seqgen.config, seqgen.errors, seqgen.cli; print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, check=True, text=True, timeout=60)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("line", ["--version", "sample --help"])
def test_the_real_process_imports_no_torch(line: str, tmp_path: Path) -> None:
    words = [sys.executable, "-X", "importtime", "-m", "seqgen", *line.split()]
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, check=True, text=True, timeout=60, env=environment()
    )
    names = {row.rsplit("|", 1)[1].strip() for row in done.stderr.splitlines() if row.startswith("import time:")}
    assert "typer" in names
    assert not names & set(HEAVY)
