"""Real processes: equal to each other, to themselves when resumed, and nearly to one process; and they end as one."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_clips import drawn_clips
from safetensors.torch import load_file

from seqgen.cli import QUIET_TORCH
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
    assert (group.sum(2.5), group.most(2.5), group.agree(lambda: "so")) == (2.5, 2.5, "so")


def test_shares_cover_everything_once_and_the_first_has_one_if_there_is_any() -> None:
    for total in (0, 1, 2, 7, 32):
        shares = [range(total)[Group(rank, 3).share(total)] for rank in range(3)]
        assert [i for share in shares for i in share] == list(range(total))
        assert bool(shares[0]) == (total > 0)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads as Linux shows them")
def test_no_thread_outlives_the_group(tmp_path: Path) -> None:
    """One that does may abort the process as it exits (it did, once in some dozens of runs)."""
    script = """
import pathlib, torch
from seqgen.train.distributed import join

def threads():
    return {path.read_text().strip() for path in pathlib.Path("/proc/self/task").glob("*/comm")}

with join("cpu") as group:
    weight = torch.nn.Parameter(torch.ones(3))
    weight.sum().backward()
    group.sum_gradients([weight])
    torch.optim.AdamW([weight]).step()
    assert any("gloo" in name for name in threads()), threads()
assert not any("gloo" in name for name in threads()), threads()
"""
    launched = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost"}
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


def start(folder: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    """A command that runs on its own, with both its streams."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TERM": "dumb"} | variables
    command = [sys.executable, "-m", "seqgen", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


def ended(folder: Path, *words: str, **variables: str) -> tuple[int, str]:
    """Exit code and what was said."""
    with start(folder, *words, **variables) as process:
        out, err = process.communicate(timeout=240)
    assert out == ""
    assert "Traceback" not in err
    return process.returncode, err


# Shares that are empty ----------------------------------------------------------------------------------------

FEW = "--steps 6 --schedule constant --warmup 0 --eval-every 3 --threads 1 --precision fp32 --log-every 1 -q".split()
COMMANDS = {
    "lm": "train-lm text.txt --batch-size 1 --hidden-size 8 --embed-size 8 --bptt 16 --dropout 0 --layers 2",
    "transformer-lm": "train-transformer text.txt --batch-size 1 --context 16 --embed-size 8 --heads 2 --ffn-size 8"
    " --layers 1 --dropout 0",
    "seq2seq": "train-seq2seq pairs.tsv --batch-size 1 --hidden-size 8 --embed-size 8 --vocab-size 310 --dropout 0",
    "transformer": "train-transformer pairs.tsv --batch-size 1 --embed-size 8 --heads 2 --ffn-size 8 --layers 1"
    " --vocab-size 310 --dropout 0",
    "classifier": "train-classifier labels.tsv --batch-size 1 --hidden-size 8 --embed-size 8 --dropout 0"
    " --embed-dropout 0 --word-dropout 0 --char-size 4",
    "captioner": "train-captioner clips --batch-size 1 --hidden-size 8 --embed-size 8 --vocab-size 300 --dropout 0"
    " --frames 3 --image-size 16 --cnn-size 8 --shift 0",
    "forecaster": "train-forecaster series.csv --batch-size 1 --hidden-size 8 --order 4 --horizon 2 --dropout 0"
    " --response infinite",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", COMMANDS)
def test_a_process_without_examples_takes_part(kind: str, tmp_path: Path) -> None:
    """One example a step and two processes: weights, losses and measures of one process, up to the order of sums."""
    (tmp_path / "text.txt").write_text(TEXT)
    lines = TEXT.splitlines()
    (tmp_path / "pairs.tsv").write_text("".join(f"{line}\t{line.upper()}\n" for line in lines))
    (tmp_path / "labels.tsv").write_text("".join(f"{line}\t{len(line) % 2}\n" for line in lines))
    drawn_clips(tmp_path / "clips")
    (tmp_path / "series.csv").write_text("".join(f"{len(line) + i / 7}\n" for i, line in enumerate(lines)))
    words = [*COMMANDS[kind].split(), *FEW]
    assert ended(tmp_path, *words, "--out", "one") == (0, "")
    assert ended(tmp_path, *words, "--out", "two", "--processes", "2") == (0, "")
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(losses(tmp_path / "one"), losses(tmp_path / "two"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)


@pytest.mark.slow
def test_three_processes_share_two_images(tmp_path: Path) -> None:
    """Batch norm sees the share of its process, so that nothing equals one process; but all take part."""
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (12, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "images.npz", images=pixels, labels=np.arange(12) % 3)
    sizes = "--batch-size 2 --base-size 4 --feature-size 6 --hidden-size 8".split()
    code, said = ended(tmp_path, "train-features", "images.npz", *sizes, *FEW, "--out", "f", "--processes", "3")
    assert (code, said) == (0, "")
    assert [line["step"] for line in losses(tmp_path / "f") if "loss" in line] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_processes_of_a_cyclegan_resume_bit_for_bit_each_with_its_own_history(tmp_path: Path) -> None:
    """Three examples for two processes: uneven shares, and histories of uneven length that swap before the pause."""
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (30, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=pixels)
    np.savez(tmp_path / "b.npz", images=255 - pixels)
    words = (
        "gan-train a.npz b.npz --arch cyclegan --ngf 4 --ndf 4 --blocks 1 --patch 1 --batch-size 3 --history 5".split()
    )
    loop = "--eval-every 4 --save-every 4 --log-every 1 --threads 1 --precision fp32 --schedule constant -q".split()
    for name, steps in (("whole", "12"), ("parts", "8")):
        code, said = ended(tmp_path, *words, *loop, "--steps", steps, "--out", name, "--processes", "2")
        assert (code, said) == (0, "")
    resumed = "gan-train --resume --out parts --steps 12 --processes 2 -q".split()
    assert ended(tmp_path, *resumed) == (0, "")
    whole, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")


# One ending ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train-lm missing.txt", "missing.txt: no such file"),
        ("train-lm bad.txt", "bad.txt, line 1: not UTF-8"),
        ("train-lm text.txt --device cuda:99", "device 'cuda:99'"),
        ("train-lm text.txt --lr nan", "lr is nan"),
        ("train-lm", "no text to train on"),
    ],
)
def test_bad_input_is_one_error_with_the_exit_code_of_one_process(words: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\n")
    code, err = ended(tmp_path, *words.split(), "--processes", "2", "--out", "run", "-q")
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("error") == 1
    assert said in err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_once_and_says_once_how_to_go_on_in_as_many_processes(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    words = ["train-lm", "text.txt", *TINY, "--steps", "1000000", "--log-every", "1", "--precision", "fp32", "-q"]
    with start(tmp_path, *words, "--processes", "2", "--out", "run") as process:
        log, deadline = tmp_path / "run" / "metrics.jsonl", time.monotonic() + 200
        while not (log.is_file() and '"step": 3' in log.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (code, "")
    assert err.count("stopped at step") == err.count("go on with") == 1
    assert "error" not in err
    assert "go on with: seqgen train-lm --resume --out run --processes 2" in err
    shutil.rmtree(tmp_path / "run" / "data")
    resume = ["train-lm", "--resume", "--out", "run", "--processes", "2", "--minutes", "0.0001"]
    assert ended(tmp_path, *resume)[0] == 0  # the data is made anew by one, and opened by both
    assert {"corpus.json", "tokens.bin"} <= {path.name for path in (tmp_path / "run" / "data").iterdir()}
    assert list((tmp_path / "run").rglob(".tmp-*")) == []


# What a group agrees on ---------------------------------------------------------------------------------------

AGREE = """
import sys
from seqgen.cli import exits, streams
from seqgen.errors import DataError
from seqgen.train.distributed import join

def work():
    with join("cpu") as group:
        %s

exits.run(work)
"""


def together(script: str, count: int = 2) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each of some processes that run a script as a group."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = os.environ | QUIET_TORCH | {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    code, pipe = AGREE % script.replace("\n", "\n        "), subprocess.PIPE
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=pipe,
            stderr=pipe,
            text=True,
        )
        for rank in range(count)
    ]
    streams = [process.communicate(timeout=120) for process in processes]
    return [(process.returncode, *said) for process, said in zip(processes, streams, strict=True)]


@pytest.mark.slow
def test_processes_whose_starter_is_killed_save_and_end(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    command = [sys.executable, "-m", "seqgen", "train-lm", "text.txt", "--processes", "2", "--steps", "1000000", *TINY]
    with subprocess.Popen([*command, "--out", "m"], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as starter:
        assert starter.stderr is not None
        while "valid" not in (line := starter.stderr.readline()):
            assert line, "the run ended before its first evaluation"
        starter.kill()
        said = starter.stderr.read()  # until both have closed it
    assert "seqgen train-lm --resume --out m --processes 2" in said
    assert list((tmp_path / "m" / "checkpoints").glob("step-*"))


@pytest.mark.slow
def test_the_first_decides_for_all() -> None:
    script = 'streams.write_json(group.agree(lambda: {"rank": group.rank, "of": [group.size, 0.1, None]}))'
    assert together(script, 3) == [(0, '{"rank": 0, "of": [3, 0.1, null]}\n', "")] * 3


@pytest.mark.slow
def test_an_error_of_the_first_is_said_once_and_ends_all_alike() -> None:
    script = 'def decide():\n    raise DataError("bad line", hint="mend it")\ngroup.agree(decide)'
    said = "error: bad line\nhint: mend it\n"
    assert together(script, 3) == [(2, "", said), (2, "", ""), (2, "", "")]


@pytest.mark.slow
def test_an_error_that_all_run_into_is_said_by_the_first() -> None:
    assert together('group.sum(1.0)\nraise DataError("bad")') == [(2, "", "error: bad\n"), (2, "", "")]


@pytest.mark.slow
def test_who_fails_alone_speaks_for_itself() -> None:
    first, second = together('if group.rank == 1:\n    raise DataError("bad disk here")\ngroup.sum(1.0)')
    assert second == (2, "", "error: bad disk here\n")
    assert first == (1, "", "")


@pytest.mark.slow
def test_one_that_was_killed_is_missed() -> None:
    first, second = together("import os\nif group.rank == 1:\n    os.kill(os.getpid(), 9)\ngroup.sum(1.0)")
    assert second == (-9, "", "")
    assert first[0] == 1
    assert first[2].startswith("error: another process of this run was killed")
