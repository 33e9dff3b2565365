"""A manifest vouches for what somebody wrote with intent: nothing in it is believed."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import (
    refused,
    replace,
    safetensors_bytes,
    tensors,
    tiny_model,
    with_config,
    with_network,
)
from torch import Tensor

from seqgen import modeldir


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model(tmp_path / "tiny")


# A hostile config.json, vouched for -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"format": None},
        {"format": "1"},
        {"task": "classifier"},
        {"task": None},
        {"task": "x" * 10_000},
        {"architecture": "transformer"},
        {"architecture": ["recurrent"]},
        {"architecture": "torch.nn.Linear"},
        {"vocab_size": -1},
        {"vocab_size": 0},
        {"vocab_size": 2**40},
        {"vocab_size": 7},
        {"vocab_size": "6"},
        {"vocab_size": 6.0},
        {"vocab_size": True},
        {"vocab_size": 10**4000},
        {"network": None},
        {"network": []},
        {"network": {}},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_hostile_outer_fields_are_refused(changes: dict[str, Any], model: Path) -> None:
    with_config(model, **changes)
    refused(model, named=str(model))


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 10**9},
        {"hidden_size": 65_536, "num_layers": 64, "embed_size": 65_536},
        {"hidden_size": -4},
        {"hidden_size": 0},
        {"hidden_size": 5},
        {"hidden_size": "4"},
        {"hidden_size": 4.0},
        {"hidden_size": None},
        {"hidden_size": True},
        {"hidden_size": [4]},
        {"num_layers": 2},
        {"num_layers": 10**6},
        {"embed_size": 2**63},
        {"cell": "lstm"},
        {"cell": "quantum"},
        {"cell": {"gru": 1}},
        {"cell": "x" * 10_000},
        {"dropout": -0.1},
        {"dropout": 1.0},
        {"dropout": float("nan")},
        {"dropout": float("inf")},
        {"dropout": 10**400},
        {"dropout": "0"},
        {"bidirectional": True},
        {"x" * 10_000: 1},
        {"line\nfeed": 1},
        {"__class__": "os.system"},
    ],
    ids=lambda changes: repr(changes)[:40],
)
def test_hostile_sizes_and_fields_are_refused(changes: dict[str, Any], model: Path) -> None:
    with_network(model, **changes)
    refused(model, named=str(model))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"5",
        b'"config"',
        b"\xff\xfe",
        b"\x00" * 50,
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"1" * 10_000,
        b" " * (20 * 2**20),
        b'{"format": 1, "task": "' + b"x" * (20 * 2**20) + b'"}',
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_config_that_is_no_json_object_is_refused(content: bytes, model: Path) -> None:
    replace(model, config__json=content)
    refused(model, named="config.json")


def test_a_huge_network_is_refused_without_memory_for_it(model: Path) -> None:
    """Shapes are compared before a tensor is made: 65,536 squared floats are 16 GiB."""
    resource = pytest.importorskip("resource")
    with_network(model, hidden_size=65_536)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(model, named="model.safetensors")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


# Hostile weights, vouched for -----------------------------------------------------------------------------------


def changed(**changes: Tensor | None) -> bytes:
    weights = tensors()
    for name, value in changes.items():
        if value is None:
            del weights[name.replace("__", ".")]
        else:
            weights[name.replace("__", ".")] = value
    return modeldir.tensors_to_bytes(weights)


@pytest.mark.parametrize(
    ("changes", "blamed"),
    [
        ({"output__bias": torch.zeros(7)}, "output.bias has shape (7,)"),
        ({"output__bias": torch.zeros(6, 1)}, "output.bias has shape (6, 1)"),
        ({"output__bias": torch.zeros(())}, "output.bias has shape ()"),
        ({"output__bias": torch.zeros(0)}, "output.bias has shape (0,)"),
        ({"output__bias": None}, "no tensor 'output.bias'"),
        ({"extra": torch.zeros(1)}, "a tensor 'extra'"),
    ],
    ids=str,
)
def test_only_the_tensors_that_the_config_asks_for_are_read(
    changes: dict[str, Tensor | None], blamed: str, model: Path
) -> None:
    replace(model, model__safetensors=changed(**changes))
    message = refused(model, named="model.safetensors")
    assert blamed in message
    assert "config.json" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_that_are_not_finite_are_refused(value: float, dtype: torch.dtype, model: Path) -> None:
    bias = torch.zeros(6, dtype=dtype)
    bias[3] = value
    replace(model, model__safetensors=changed(output__bias=bias))
    assert "output.bias" in refused(model, named="model.safetensors")


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_weights_that_are_no_ordinary_floats_are_refused(dtype: torch.dtype, model: Path) -> None:
    replace(model, model__safetensors=changed(output__bias=torch.zeros(6).to(dtype)))
    assert "output.bias" in refused(model, named="model.safetensors")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x08",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**40) + b"{}",
        safetensors_bytes(b"{}"),
        safetensors_bytes(b"[]"),
        safetensors_bytes(b"not json"),
        safetensors_bytes(b"[" * 100_000),
        safetensors_bytes(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', b"\0" * 4),
        safetensors_bytes(b'{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}', b"\0" * 8),
        safetensors_bytes(b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}', b"\0" * 8),
        safetensors_bytes(b'{"a":{"dtype":"OBJECT","shape":[2],"data_offsets":[0,8]}}', b"\0" * 8),
        b"PK\x03\x04" + b"\0" * 100,
        b"\x80\x04cos\nsystem\n.",
    ],
    ids=lambda content: repr(content[:40]),
)
def test_what_is_no_safetensors_file_is_refused(content: bytes, model: Path) -> None:
    replace(model, model__safetensors=content)
    refused(model, named="model.safetensors")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"chars": 5}',
        b'{"chars": "aa"}',
        b'{"kind": "char", "chars": "ab"}',
        b'{"kind": "char", "chars": "abcdefgh"}',
        b'{"kind": "char", "chars": "ab\xff"}',
        b'{"kind": "char", "chars": "\\ud800bc \\n"}',
        b'{"kind": "char", "chars": "abc ' + "\N{REPLACEMENT CHARACTER}".encode() + b'"}',
        b"[" * 200_000,
        b" " * (20 * 2**20),
    ],
    ids=lambda content: repr(content[:40]),
)
def test_a_tokenizer_that_does_not_fit_is_refused(content: bytes, model: Path) -> None:
    replace(model, tokenizer__json=content)
    refused(model, named="token")


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x0a\x02\x08\x01", bytes(1000)], ids=repr)
def test_a_sentencepiece_model_that_is_none_is_refused(content: bytes, model: Path) -> None:
    (model / "tokenizer.model").write_bytes(content)
    replace(model, tokenizer__json=None)
    refused(model, named="token")


def test_a_model_without_a_tokenizer_is_refused(model: Path) -> None:
    replace(model, tokenizer__json=None)
    refused(model, named="tokenizer")
