"""Peak memory of a training run on a text that is larger than it should need.

    python tests/benchmarks/memory.py --megabytes 1000

The text is generated block by block into a temporary folder (TMPDIR), tokenised and trained on by the real command for
a few steps. The peer is a process that only imports PyTorch: the difference is what seqgen adds.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import Row, Settings, compare, table

MEGABYTE = 10**6
STEPS = 5
_LETTERS = b"etaoinshrdlucmfwypvbgkjqxz ,.;:!?'-\nETAOINSHRDLUCMFWYPVBGKJQXZ&$3"
_TO_LETTERS = bytes(_LETTERS[i % len(_LETTERS)] for i in range(256))


def memory(settings: Settings) -> list[Row]:
    """The comparison at a gigabyte, for `run.py`."""
    return measure(10 if settings.quick else 1000, STEPS, settings.threads)


def measure(megabytes: int, steps: int, threads: int) -> list[Row]:
    """Peak resident memory of both children, in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        write_text(Path(folder) / "text.txt", megabytes)
        words = f"train-lm text.txt --valid 0 --steps {steps} --warmup 1 --threads {threads} -q --out run"
        ours = peak([sys.executable, "-m", "seqgen", *words.split()], folder)
        peer = peak([sys.executable, "-c", "import torch"], folder)
    return [compare(f"train-lm on {megabytes} MB of text", [ours], [peer], "MiB", "python -c 'import torch'")]


def write_text(path: Path, megabytes: int) -> None:
    """Random letters, a block at a time."""
    draw = random.Random(0)
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(draw.randbytes(MEGABYTE).translate(_TO_LETTERS))


def peak(words: list[str], folder: str) -> float:
    """The largest resident set of one child, in MiB, as the kernel counted it."""
    process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(words)} ended with {process.returncode}")
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    (row,) = measure(chosen.megabytes, chosen.steps, chosen.threads)
    print(table([row]))
    print(f"above the bare process: {row.ours - row.peer:,.0f} MiB")


if __name__ == "__main__":
    main()
