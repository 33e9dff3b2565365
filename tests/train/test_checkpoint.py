"""Checkpoints on disk: what is kept, what comes back, what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from seqgen import modeldir
from seqgen.config import TrainConfig
from seqgen.errors import ModelError, NonFiniteError
from seqgen.train.checkpoint import Checkpoint, CheckpointStore
from seqgen.train.optim import build_optimizer, load_optimizer_tensors, optimizer_tensors

FILES = {"config.json": b'{"a": 1}', "tokenizer.json": b"{}"}


def store_in(directory: Path) -> CheckpointStore:
    return CheckpointStore(directory, FILES)


def checkpoint(step: int) -> Checkpoint:
    weights = {"w": torch.full((2, 3), float(step)), "count": torch.tensor([step])}
    return Checkpoint(weights, {"optimizer/m": torch.arange(3.0) / 7}, {"step": step, "seconds": 0.1 + 0.2})


def steps_in(directory: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in (directory / "checkpoints").iterdir())


def test_what_is_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    store, saved = store_in(tmp_path), checkpoint(3)
    store.save(3, saved, best=None)
    found = store.newest(pytest.fail)
    assert found is not None
    assert found.state == saved.state
    for one, other in ((found.weights, saved.weights), (found.training, saved.training)):
        assert one.keys() == other.keys()
        for name in one:
            assert one[name].dtype == other[name].dtype
            assert torch.equal(one[name], other[name])


def test_a_checkpoint_is_a_model_directory(tmp_path: Path) -> None:
    store_in(tmp_path).save(3, checkpoint(3), best=None)
    path = tmp_path / "checkpoints" / "step-00000003"
    modeldir.verify(path)
    names = {"config.json", "tokenizer.json", "model.safetensors", "training.safetensors", "state.json"}
    assert json.loads((path / "MANIFEST.json").read_bytes())["files"].keys() == names
    assert (path / "config.json").read_bytes() == FILES["config.json"]
    assert modeldir.locate(str(tmp_path)) == path


def test_nothing_saved_is_none(tmp_path: Path) -> None:
    assert store_in(tmp_path).newest(pytest.fail) is None


@pytest.mark.parametrize("empty", ["weights", "training", "both"])
def test_a_part_without_tensors_comes_back_too(empty: str, tmp_path: Path) -> None:
    """Before the first step a GAN without averages has nothing that only training needs."""
    full = {"w": torch.ones(2)}
    weights, training = {} if empty != "training" else full, {} if empty != "weights" else full
    store = store_in(tmp_path)
    store.save(0, Checkpoint(weights, training, {"step": 0}), best=None)
    found = store.newest(pytest.fail)
    assert found is not None
    assert (found.weights.keys(), found.training.keys()) == (weights.keys(), training.keys())


def test_the_newest_two_and_the_best_are_kept(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for step, best in ((0, 0), (5, 5), (10, 5), (15, 5), (20, 5)):
        store.save(step, checkpoint(step), best=best)
    assert steps_in(tmp_path) == [5, 15, 20]
    store.save(25, checkpoint(25), best=25)
    assert steps_in(tmp_path) == [20, 25]
    store.save(30, checkpoint(30), best=None)
    assert steps_in(tmp_path) == [25, 30]


def test_steps_are_ordered_by_number(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for step in (9, 10, 99, 100):
        store.save(step, checkpoint(step), best=None)
    assert steps_in(tmp_path) == [99, 100]
    found = store.newest(pytest.fail)
    assert found is not None
    assert found.state["step"] == 100


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["weights", "training"])
def test_what_is_not_finite_is_not_saved(where: str, value: float, tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.save(1, checkpoint(1), best=None)
    bad = checkpoint(2)
    getattr(bad, where)["poison"] = torch.tensor([0.0, value])
    with pytest.raises(NonFiniteError, match="step 2: poison is not finite"):
        store.save(2, bad, best=None)
    assert steps_in(tmp_path) == [1]


def test_the_weights_of_a_damaged_checkpoint_are_refused(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.save(1, checkpoint(1), best=None)
    assert torch.equal(store.weights(1)["w"], torch.ones(2, 3))
    path = store.path(1) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"model\.safetensors is truncated"):
        store.weights(1)
    with pytest.raises(ModelError, match="missing"):
        store.weights(2)


def test_no_file_of_another_kind_is_written(tmp_path: Path) -> None:
    """Nothing that needs pickle to be read."""
    store_in(tmp_path).save(1, checkpoint(1), best=None)
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert {Path(name).suffix for name in names} == {".json", ".safetensors"}


def step(module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    module(torch.linspace(-1, 1, 6).view(2, 3)).square().sum().backward()
    optimizer.step()


def test_optimizer_memory_comes_back_bit_for_bit() -> None:
    config = TrainConfig(steps=1, precision="fp32")
    torch.manual_seed(0)
    one = nn.Linear(3, 2)
    optimizer = build_optimizer(one, config)
    assert optimizer_tensors(one, optimizer) == {}
    step(one, optimizer)
    tensors = {name: value.clone() for name, value in optimizer_tensors(one, optimizer).items()}
    assert tensors.keys() == {f"{p}.{k}" for p in ("weight", "bias") for k in ("step", "exp_avg", "exp_avg_sq")}
    other = nn.Linear(3, 2)
    other.load_state_dict(one.state_dict())
    second = build_optimizer(other, config)
    load_optimizer_tensors(other, second, tensors)
    for module, memory in ((one, optimizer), (other, second)):
        step(module, memory)
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.bias, other.bias)
    assert float(optimizer_tensors(other, second)["weight.step"]) == 2.0


def test_restored_memory_is_a_copy() -> None:
    """Going on to train must not change what was read."""
    config = TrainConfig(steps=1, precision="fp32")
    module = nn.Linear(3, 2)
    optimizer = build_optimizer(module, config)
    step(module, optimizer)
    tensors = {name: value.clone() for name, value in optimizer_tensors(module, optimizer).items()}
    before = tensors["weight.exp_avg"].clone()
    load_optimizer_tensors(module, optimizer, tensors)
    step(module, optimizer)
    assert torch.equal(tensors["weight.exp_avg"], before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_optimizer_memory_goes_on_on_a_gpu() -> None:
    """The fused optimizer counts its steps on the device; read from a file, the count lies on the CPU."""
    config = TrainConfig(steps=1, precision="fp32")
    module = nn.Linear(3, 2).cuda()
    optimizer = build_optimizer(module, config)

    def on_device() -> None:
        optimizer.zero_grad()
        module(torch.ones(2, 3, device="cuda")).square().sum().backward()
        optimizer.step()

    on_device()
    tensors = {name: value.cpu() for name, value in optimizer_tensors(module, optimizer).items()}
    load_optimizer_tensors(module, optimizer, tensors)
    on_device()
    torch.cuda.synchronize()
    assert float(optimizer_tensors(module, optimizer)["weight.step"]) == 2.0
    assert bool(torch.isfinite(module.weight).all())
