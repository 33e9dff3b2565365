"""Two real processes under torchrun: equal to each other, to themselves when resumed, and nearly to one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from seqgen.train.distributed import Group

TEXT = "".join(
    f"{n} green bottles hanging on the wall, and if one fell there would be {n - 1}.\n" for n in range(99, 0, -1)
)
TINY = "--hidden-size 8 --embed-size 8 --batch-size 6 --bptt 16 --schedule constant --warmup 0 --eval-every 10".split()


def run(folder: Path, *arguments: str, launcher: tuple[str, ...] = ()) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *launcher, *(["-m"] if launcher else []), "seqgen", "train-lm", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def losses(folder: Path) -> list[dict[str, float]]:
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in r.items() if k not in ("seconds", "units_per_second")} for r in records]


def test_a_group_of_one_does_nothing() -> None:
    group = Group()
    tensor = torch.ones(2, 3)
    assert group.first
    assert group.gather(tensor) is tensor
    assert (group.sum(2.5), group.first_says(2.5), group.any(False), group.any(True)) == (2.5, 2.5, False, True)


def test_shares_cover_everything_once() -> None:
    for total in (1, 2, 7, 32):
        shares = [range(total)[Group(rank, 3).share(total)] for rank in range(3)]
        assert [i for share in shares for i in share] == list(range(total))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads as Linux shows them")
def test_no_thread_outlives_the_group(tmp_path: Path) -> None:
    """One that does may abort the process as it exits (it did, once in some dozens of runs)."""
    script = """
import pathlib, torch
from seqgen.train.distributed import join

def threads():
    return {path.read_text().strip() for path in pathlib.Path("/proc/self/task").glob("*/comm")}

with join(torch.device("cpu")) as group:
    weight = torch.nn.Parameter(torch.ones(3))
    weight.sum().backward()
    group.sum_gradients([weight])
    torch.optim.AdamW([weight]).step()
    assert any("gloo" in name for name in threads()), threads()
assert not any("gloo" in name for name in threads()), threads()
"""
    launched = {"TORCHELASTIC_RUN_ID": "test", "RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost"}
    environment = os.environ | launched | {"MASTER_PORT": "0", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_two_processes_train_like_one_and_resume_bit_for_bit(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    dropout = ("--dropout", "0.3")
    run(tmp_path, "text.txt", *TINY, *dropout, "--processes", "2", "--steps", "20", "--out", "whole")
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    run(tmp_path, "text.txt", *TINY, *dropout, "--steps", "10", "--out", "broken", launcher=torchrun)
    run(tmp_path, "--resume", "--out", "broken", "--processes", "2", "--steps", "20")
    whole = load_file(tmp_path / "whole" / "checkpoints" / "step-00000020" / "training.safetensors")
    broken = load_file(tmp_path / "broken" / "checkpoints" / "step-00000020" / "training.safetensors")
    assert whole.keys() == broken.keys()
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
    assert losses(tmp_path / "whole") == losses(tmp_path / "broken")
    assert whole["task/state"].shape[0] == 6

    # Without dropout the same batch gives the same step, up to the order of additions.
    plain = (*TINY, "--dropout", "0", "--precision", "fp32", "--steps", "10")
    run(tmp_path, "text.txt", *plain, "--out", "one")
    run(tmp_path, "text.txt", *plain, "--processes", "2", "--out", "two")
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-4)
