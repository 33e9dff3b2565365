"""What is published of a run."""

from __future__ import annotations

import torch

from seqgen.train.directory import halved

LARGEST = 65504.0  # of fp16: (2 - 2**-10) * 2**15


def test_weights_that_fit_are_halved_and_counters_stay() -> None:
    weights = {"w": torch.tensor([LARGEST, -1.0]), "count": torch.tensor(100_000)}
    small = halved(weights, no_warning)
    assert small["w"].dtype == torch.float16
    assert small["w"].tolist() == [LARGEST, -1.0]
    assert small["count"].dtype == torch.int64
    assert int(small["count"]) == 100_000


def test_one_weight_beyond_fp16_keeps_all_in_fp32() -> None:
    weights = {"a": torch.tensor([0.1]), "b": torch.tensor([2.0, -70_000.0])}
    told: list[str] = []
    kept = halved(weights, told.append)
    assert {name: value.dtype for name, value in kept.items()} == {"a": torch.float32, "b": torch.float32}
    assert all(torch.equal(kept[name], weights[name]) for name in weights)
    assert told == ["b reaches 7e+04, more than fp16 holds: the model is published in fp32"]


def no_warning(message: str) -> None:
    raise AssertionError(f"warned: {message}")
