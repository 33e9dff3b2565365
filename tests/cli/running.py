"""Ways to run seqgen and what comes of it: in this process, in one of its own, in a shell line, on a terminal."""

from __future__ import annotations

import os
import pty
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 120
SMALL = "--threads 1 --hidden-size 8 --embed-size 4 --batch-size 4 --bptt 16 --warmup 1 --precision fp32".split()
SMALL_PAIRS = (
    "--threads 1 --vocab-size 300 --hidden-size 32 --embed-size 16 --batch-size 16 --warmup 5 --precision fp32"
).split()
TRAIN_PAIRS = (
    "train-seq2seq train.de train.en --valid val.de val.en --unidirectional --separate --untied --cell gru --steps 150"
    " --threads 1 --vocab-size 286 --hidden-size 32 --embed-size 16 --attention dot --batch-size 16 --warmup 5"
    " --lr 0.02 --precision fp32 --ema 0.9 --dropout 0.0 --seed 3 --eval-every 40"
    " --start eos --no-input-feeding --keep loss --out tiny"
)
GERMAN = "null eins zwei drei vier elf sechs sieben acht neun".split()
ENGLISH = "zero one two three four eleven six seven eight nine".split()
ESCAPE = "\x1b"

# What would change how the output looks on the machine of whoever runs the tests.
_LOOKS = (
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR_FORCE",
    "PY_COLORS",
    "GITHUB_ACTIONS",
    "TTY_COMPATIBLE",
    "TTY_INTERACTIVE",
)


@dataclass(frozen=True)
class Ended:
    """A command that has ended. No way of ending shows a traceback, so that is looked at here, once for all."""

    code: int
    out: bytes
    err: str

    def __post_init__(self) -> None:
        assert "Traceback" not in self.err
        assert b"Traceback" not in self.out

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def error(self) -> str:
        """The one sentence that says what went wrong; there is no other, and it was foreseen."""
        (sentence,) = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert "unexpected" not in sentence
        return sentence.removeprefix("error: ")

    @property
    def hint(self) -> str:
        (sentence,) = [line for line in self.err.splitlines() if line.startswith("hint: ")]
        return sentence.removeprefix("hint: ")


Call = Callable[..., Ended]


@dataclass(frozen=True)
class TinyModel:
    """A model of a few thousand weights, and the folder that its training command ran in."""

    path: Path
    folder: Path
    data: Path

    @property
    def name(self) -> str:
        return str(self.path)


def environment(**changes: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in _LOOKS and not k.startswith("SEQGEN_")}
    return kept | {"OMP_NUM_THREADS": "1", "COLUMNS": "100", "TERM": "xterm"} | changes


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "seqgen", *words]


def seqgen(*words: str, cwd: Path, stdin: bytes = b"", **env: str) -> Ended:
    """Run in a process of its own; `stdin` comes through a pipe."""
    done = subprocess.run(
        command(*words), cwd=cwd, input=stdin, capture_output=True, env=environment(**env), timeout=SECONDS
    )
    return Ended(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def shell(line: str, *, cwd: Path, **env: str) -> Ended:
    """Run a line of bash in which `seqgen` is this seqgen."""
    script = f'seqgen() {{ "$PYTHON" -m seqgen "$@"; }}\n{line}\n'
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(PYTHON=sys.executable, **env),
        timeout=SECONDS,
    )
    return Ended(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def read_terminal(descriptor: int) -> bytes:
    """All that comes out of a terminal until its other side is closed, which Linux reports as an error."""
    pieces: list[bytes] = []
    while True:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:
            piece = b""
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)


def stderr_on_terminal(words: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Ended:
    """Run with stderr on a terminal and stdout in a file; `err` is what the terminal was sent."""
    ours, theirs = pty.openpty()
    with (cwd / "stdout").open("wb") as out:
        process = subprocess.Popen(
            command(*words), cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=theirs, env=dict(env)
        )
    os.close(theirs)
    shown = read_terminal(ours)
    os.close(ours)
    return Ended(process.wait(SECONDS), (cwd / "stdout").read_bytes(), shown.decode())


def digit_pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """Some numbers in German, and the same in English."""
    draw = random.Random(seed)
    rows = [draw.choices(range(10), k=draw.randint(1, 5)) for _ in range(count)]
    return [(" ".join(GERMAN[i] for i in row), " ".join(ENGLISH[i] for i in row)) for row in rows]


def write_pairs(folder: Path, name: str, pairs: Sequence[tuple[str, str]]) -> None:
    """The two aligned files NAME.de and NAME.en."""
    for side, language in enumerate(("de", "en")):
        text = "".join(pair[side] + "\n" for pair in pairs)
        (folder / f"{name}.{language}").write_text(text, encoding="utf-8")


def snapshot(directory: Path) -> dict[str, bytes]:
    """Every file below a directory with its content."""
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def unfinished(model: TinyModel, place: Path) -> None:
    """A copy of a finished run without what only a finished one has."""
    shutil.copytree(model.path, place)
    for name in ("MANIFEST.json", "config.json", "model.safetensors", "tokenizer.json", "README.md"):
        (place / name).unlink()
