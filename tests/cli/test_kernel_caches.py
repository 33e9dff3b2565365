"""Memory does not grow with the number of shapes that a run meets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from running import Call, environment

from seqgen.cli import KERNEL_CACHES
from seqgen.nets.products import can_reorder

# By how many megabytes the process grows while it multiplies matrices of 900 shapes, as a search does sooner or later.
_GROW = """
import contextlib, sys
from seqgen.cli import main
sys.argv = ["seqgen", "--version"]
with contextlib.suppress(SystemExit):
    main()
import torch
from seqgen.nets.products import ReorderedMatrix
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
torch.set_num_threads(1)
with torch.inference_mode():
    matrices = [ReorderedMatrix(torch.zeros(size, 1024)) for size in (256, 384, 512)]
    before = resident()
    for rows in range(1, 301):
        for matrix, size in zip(matrices, (256, 384, 512)):
            matrix.product(torch.zeros(rows, size))
    print(resident() - before)
"""


def test_few_kernels_are_kept_unless_the_environment_says_how_many(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KERNEL_CACHES:
        monkeypatch.setenv(name, "7")
    assert call("--version").code == 0
    assert {os.environ[name] for name in KERNEL_CACHES} == {"7"}
    for name in KERNEL_CACHES:
        monkeypatch.delenv(name)
    assert call("--version").code == 0
    assert {name: os.environ[name] for name in KERNEL_CACHES} == KERNEL_CACHES


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from Linux's /proc")
@pytest.mark.skipif(not can_reorder(torch.zeros(1, 1)), reason="this PyTorch keeps no kernels for a product")
def test_memory_does_not_grow_with_the_number_of_shapes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _GROW], capture_output=True, text=True, check=True, env=environment(), timeout=120
    )
    assert float(done.stdout.split()[-1]) < 350  # without bounds it is 700
