"""The number format of training: what is measured, what comes of it, and that measuring leaves no trace."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqgen.cli.commands import gan_train, train_features, train_lm, train_seq2seq
from seqgen.cli.terminal import Terminal
from seqgen.cli.training import Command
from seqgen.config import NumberFormat, TrainConfig, replace
from seqgen.train import precision as measuring
from seqgen.train.distributed import Group
from seqgen.train.precision import Choice, chosen, fastest_precision

Seconds = dict[NumberFormat, list[float]]


class Slept:
    """A task whose steps take as long as it is told, by its own clock, and change whatever a step can change."""

    def __init__(self, fp32: Callable[[int], float], bf16: Callable[[int], float]) -> None:
        self.seconds = {False: fp32, True: bf16}
        self.clock = 0.0
        self.passes: list[str] = []
        self.network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
        self.players: Mapping[str, nn.Module] = {"model": self.network}
        self.steps_per_epoch = 10
        self.criterion = None
        self.carried = torch.ones(3, 2)

    def prepare(self, step: int) -> int:
        return 8

    def pace(self, player: str, step: int) -> float:
        return 1.0

    def loss(self, player: str, part: int, parts: int) -> Tensor:
        rounded = torch.is_autocast_enabled("cpu")
        self.clock += self.seconds[rounded](self.passes.count("bf16" if rounded else "fp32"))
        self.passes.append("bf16" if rounded else "fp32")
        self.carried += 1
        loss: Tensor = self.network(torch.randn(8, 4)).square().mean()
        return loss

    def measures(self, losses: Mapping[str, float]) -> dict[str, Any]:
        raise AssertionError("nothing is logged")

    def evaluate(self, stop: Callable[[], bool]) -> dict[str, Any] | None:
        raise AssertionError("nothing is judged")

    def sample(self, seed: int) -> str | None:
        raise AssertionError("nothing is shown")

    def state(self) -> dict[str, Tensor]:
        return {"carried": self.carried}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        self.carried = tensors["carried"]


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Choice]:
    def run(task: Slept, **length: Any) -> Choice:
        monkeypatch.setattr("seqgen.train.precision.time.perf_counter", lambda: task.clock)
        return fastest_precision(task, TrainConfig(**(length or {"steps": 10_000})), Group())

    return run


def constant(seconds: float) -> Callable[[int], float]:
    return lambda number: seconds


# What is chosen -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bf16", "wanted"), [(0.5, "bf16"), (0.94, "bf16"), (0.96, "fp32"), (1.0, "fp32"), (1.5, "fp32")]
)
def test_bf16_is_taken_only_where_it_is_clearly_faster(bf16: float, wanted: str, choose: Callable[..., Choice]) -> None:
    choice = choose(Slept(constant(1e-2), constant(bf16 * 1e-2)))
    assert choice.precision == wanted
    assert f"{bf16:.2f}" in choice.why


def test_the_shortest_pass_counts_for_others_can_only_disturb() -> None:
    seconds: Seconds = {"fp32": [9.0, 1.0, 5.0], "bf16": [9.0, 9.0, 0.9]}
    assert chosen(seconds).precision == "bf16"
    seconds = {"fp32": [9.0, 1.0, 5.0], "bf16": [1.2, 0.97, 1.4]}
    assert chosen(seconds).precision == "fp32"


def test_what_the_first_pass_costs_does_not_count(choose: Callable[..., Choice]) -> None:
    """Threads start and kernels are chosen in it: here for as long as fifty steps of bf16."""
    assert choose(Slept(constant(0.02), lambda number: 0.5 if number == 0 else 0.01)).precision == "bf16"


@pytest.mark.parametrize("length", [{"steps": 39}, {"steps": 0}, {"epochs": 3.9}, {"minutes": 0.06}])
def test_a_short_run_does_not_spend_its_time_on_measuring(
    length: dict[str, Any], choose: Callable[..., Choice]
) -> None:
    # Four passes of 0.1 s would be more than a tenth of 39 such steps, and of 3.6 seconds.
    task = Slept(constant(0.1), constant(0.01))
    choice = choose(task, **length)
    assert choice == Choice("fp32", "the run is too short to compare it with bf16")
    assert task.passes == ["fp32"]


@pytest.mark.parametrize("length", [{"steps": 41}, {"epochs": 4.1}, {"minutes": 0.07}])
def test_a_longer_run_is_measured(length: dict[str, Any], choose: Callable[..., Choice]) -> None:
    assert choose(Slept(constant(0.1), constant(0.01)), **length).precision == "bf16"


@pytest.mark.parametrize(
    ("fp32", "bf16", "passes"),
    [
        (0.01, 0.02, 2 * 2),  # clear after the round that follows the first
        (0.01, 0.01, 2 * 6),  # never clear, and cheap
        (0.30, 0.29, 2 * 3),  # 0.59 s, 1.18 s, then beyond a second and a half
        (3.00, 2.90, 2 * 1),  # a step of seconds is not repeated
    ],
)
def test_measuring_is_short(fp32: float, bf16: float, passes: int, choose: Callable[..., Choice]) -> None:
    task = Slept(constant(fp32), constant(bf16))
    choose(task)
    assert task.passes == ["fp32", "bf16"] * (passes // 2)


def test_a_player_that_waits_for_the_other_is_measured_in_the_steps_where_it_moves(
    choose: Callable[..., Choice], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, prepared = Slept(constant(0.01), constant(0.01)), list[int]()
    monkeypatch.setattr(task, "pace", lambda player, step: float(step % 5 == 4))
    monkeypatch.setattr(task, "prepare", prepared.append)
    choose(task)
    assert prepared == [4, 4, 9, 9, 14, 14, 19, 19, 24, 24, 29, 29]


def test_no_trace_is_left(choose: Callable[..., Choice]) -> None:
    task, untouched = Slept(constant(0.01), constant(0.01)), Slept(constant(0.01), constant(0.01))
    untouched.network.load_state_dict(task.network.state_dict())
    random = torch.get_rng_state()
    choose(task)
    assert torch.equal(torch.get_rng_state(), random)
    for name, value in task.network.state_dict().items():
        assert torch.equal(value, untouched.network.state_dict()[name]), name
    assert all(parameter.grad is None for parameter in task.network.parameters())
    assert torch.equal(task.carried, torch.ones(3, 2))


def test_no_trace_is_left_when_measuring_fails(choose: Callable[..., Choice]) -> None:
    def fails(number: int) -> float:
        raise RuntimeError("no such kernel")

    task = Slept(constant(0.01), fails)
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    with pytest.raises(RuntimeError, match="no such kernel"):
        choose(task)
    assert all(torch.equal(value, before[name]) for name, value in task.network.state_dict().items())
    assert torch.equal(task.carried, torch.ones(3, 2))


# Real runs ----------------------------------------------------------------------------------------------------

RUNS: dict[str, tuple[Command[Any], dict[str, Any]]] = {
    "train-lm": (train_lm.COMMAND, {"hidden_size": 8, "embed_size": 4, "bptt": 16, "dropout": 0.3, "ema": 0.9}),
    "train-seq2seq": (train_seq2seq.COMMAND, {"hidden_size": 8, "embed_size": 4, "vocab_size": 310}),
    "train-features": (train_features.COMMAND, {"base_size": 4, "feature_size": 6, "hidden_size": 8}),
    "gan-train": (
        gan_train.COMMANDS["images"],
        {"latent_size": 4, "generator_size": 4, "discriminator_size": 4, "body": "spectral", "features": "pixels"},
    ),
}


@pytest.fixture
def data(tmp_path: Path) -> dict[str, str]:
    import numpy as np

    words = "the cat sat on a mat and the dog ran after it while nobody saw them".split()
    lines = [" ".join(itertools.islice(itertools.cycle(words), i, i + 6)) for i in range(200)]
    (tmp_path / "text.txt").write_text("\n".join(lines))
    (tmp_path / "pairs.tsv").write_text("".join(f"{line}\t{line.upper()}\n" for line in lines))
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (64, 12, 12)).astype(np.uint8)
    np.savez(tmp_path / "images.npz", images=pixels, labels=np.arange(64) % 3)
    files = {"train-lm": "text.txt", "train-seq2seq": "pairs.tsv"}
    return {name: str(tmp_path / files.get(name, "images.npz")) for name in RUNS}


def go(name: str, data: dict[str, str], out: Path, *, resume: bool = False, **changes: Any) -> dict[str, Any]:
    """Eight steps at most; returns the settings that were kept."""
    command, sizes = RUNS[name]
    fixed = {"paths": (data[name],), "steps": 8, "batch_size": 8, "warmup_steps": 0, "threads": 1, "device": "cpu"}
    settings = replace(command.defaults, fixed | {"save_every": 4, "eval_every": 4} | sizes | changes)
    quiet = Terminal(quiet=True, verbose=False)
    command.train(settings, out, quiet, resume=resume, overwrite=False, tensorboard=False)
    kept: dict[str, Any] = json.loads((out / "training.json").read_bytes())["settings"]["train"]
    return kept


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[[Seconds], None]:
    """Measures as always, and then finds what it is told to find."""
    real = measuring._measured

    def find(seconds: Seconds) -> None:
        def measured(task: Any, config: TrainConfig, group: Group) -> Seconds:
            real(task, dataclasses.replace(config, steps=10_000), group)
            return seconds

        monkeypatch.setattr(measuring, "_measured", measured)

    return find


def same(one: Path, other: Path) -> bool:
    last = "checkpoints/step-00000008"
    files = (f"{last}/model.safetensors", f"{last}/training.safetensors")
    return all((one / file).read_bytes() == (other / file).read_bytes() for file in files)


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize(("ratio", "precision"), [(0.5, "bf16"), (2.0, "fp32")])
def test_a_measured_run_is_the_run_with_that_precision_bit_for_bit(
    name: str,
    ratio: float,
    precision: NumberFormat,
    data: dict[str, str],
    found: Callable[[Seconds], None],
    tmp_path: Path,
) -> None:
    found({"fp32": [1.0], "bf16": [ratio]})
    kept = go(name, data, tmp_path / "auto", precision="auto")
    assert kept["precision"] == precision
    go(name, data, tmp_path / "asked", precision=precision)
    assert same(tmp_path / "auto", tmp_path / "asked")


def test_a_resumed_run_keeps_what_was_measured(
    data: dict[str, str], found: Callable[[Seconds], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found({"fp32": [1.0], "bf16": [0.5]})
    go("train-lm", data, tmp_path / "run", precision="auto")
    monkeypatch.setattr(measuring, "_measured", lambda *_: pytest.fail("was measured again"))
    kept = json.loads((tmp_path / "run" / "training.json").read_bytes())["settings"]["train"]["precision"]
    assert go("train-lm", data, tmp_path / "run", resume=True, steps=9, precision=kept)["precision"] == "bf16"
