"""Device, threads, memory and number format."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from seqgen.errors import UsageError
from seqgen.train import machine


def equip(monkeypatch: pytest.MonkeyPatch, *, cuda: int = 0, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(("cuda", "mps", "wanted"), [(2, False, "cuda"), (0, True, "mps"), (0, False, "cpu")])
def test_auto_takes_an_accelerator_where_there_is_one(
    cuda: int, mps: bool, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    equip(monkeypatch, cuda=cuda, mps=mps)
    assert machine.choose_device("auto") == torch.device(wanted)


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0"])
def test_cuda_is_told_to_be_deterministic(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    machine.choose_device(name)
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")


def test_a_device_is_taken_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    equip(monkeypatch, cuda=2, mps=True)
    for name in ("cpu", "cuda", "cuda:0", "cuda:1", "mps"):
        assert machine.choose_device(name) == torch.device(name)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cuda:-1", "meta", "xla", "CPU", "cpu\n", "vulkan"])
def test_an_unknown_device_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="is unknown") as caught:
        machine.choose_device(name)
    assert repr(name) in caught.value.message
    assert "auto" in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_a_usage_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    equip(monkeypatch)
    with pytest.raises(UsageError, match="is not in this machine") as caught:
        machine.choose_device(name)
    assert "--device auto" in caught.value.hint


def test_the_third_of_two_devices_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    equip(monkeypatch, cuda=2)
    with pytest.raises(UsageError, match="'cuda:2' is not in this machine"):
        machine.choose_device("cuda:2")


# Number format ------------------------------------------------------------------------------------------------


def test_autocast_makes_products_bf16_and_leaves_weights() -> None:
    weight = torch.ones(2, 2)
    with machine.autocast("bf16", torch.device("cpu")):
        assert (weight @ weight).dtype == torch.bfloat16
    with machine.autocast("fp32", torch.device("cpu")):
        assert (weight @ weight).dtype == torch.float32
    assert weight.dtype == torch.float32


# Threads ------------------------------------------------------------------------------------------------------


@pytest.fixture
def threads() -> Iterator[int]:
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def test_threads_are_set_and_zero_takes_the_fastest(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert machine.set_threads(threads + 1, cpu) == threads + 1
    assert torch.get_num_threads() == threads + 1
    monkeypatch.setattr(machine, "fastest_threads", lambda device: threads + 2)
    assert machine.set_threads(0, cpu) == torch.get_num_threads() == threads + 2
    assert machine.set_threads(1, cpu) == torch.get_num_threads() == 1


# Memory -------------------------------------------------------------------------------------------------------


def test_freed_memory_is_kept_where_the_c_library_can(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[int, int] = {}
    library = SimpleNamespace(mallopt=told.__setitem__)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(os, "name", "posix")
    machine.keep_memory()
    assert told == {-3: 2**25, -1: 2**30}  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD
    del library.mallopt  # another C library
    machine.keep_memory()
    assert len(told) == 2
