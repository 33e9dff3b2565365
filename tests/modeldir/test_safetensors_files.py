"""Tensors as bytes and back, and counting them by their header."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import torch
from tiny_models import (
    safetensors_bytes,
    tensors,
    tiny_model,
)

from seqgen import modeldir
from seqgen.errors import ModelError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model(tmp_path / "tiny")


def test_parameters_are_counted_from_the_header(model: Path) -> None:
    path = model / "model.safetensors"
    wanted = sum(value.numel() for value in tensors().values())
    assert modeldir.count_parameters(path) == wanted
    header = struct.unpack("<Q", path.read_bytes()[:8])[0]
    path.write_bytes(path.read_bytes()[: 8 + header])
    assert modeldir.count_parameters(path) == wanted


def test_metadata_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    path.write_bytes(modeldir.tensors_to_bytes({"a": torch.zeros(2, 3), "b": torch.zeros(())}, {"note": "x"}))
    assert modeldir.count_parameters(path) == 7


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x05",
        safetensors_bytes(b"["),
        safetensors_bytes(b"[1]"),
        safetensors_bytes(b'{"a": 1}'),
        safetensors_bytes(b'{"a": {}}'),
        safetensors_bytes(b'{"a": {"shape": 3}}'),
        safetensors_bytes(b'{"a": {"shape": ["x"]}}'),
        safetensors_bytes(b'{"a": {"shape": null}}'),
        safetensors_bytes(b"[" * 100_000),
        struct.pack("<Q", 2**62) + b"{",
    ],
    ids=lambda content: repr(content[:40]),
)
def test_a_damaged_header_is_an_error_of_ours(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"t\.safetensors is not a whole safetensors file"):
        modeldir.count_parameters(path)


def test_no_tensors_are_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    path.write_bytes(modeldir.tensors_to_bytes({}))
    assert modeldir.read_tensors(path) == {}
    assert modeldir.count_parameters(path) == 0


@pytest.mark.parametrize("name", ["missing.safetensors", "."])
def test_tensors_of_no_file_are_an_error_of_ours(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        modeldir.read_tensors(tmp_path / name)
    with pytest.raises(ModelError):
        modeldir.count_parameters(tmp_path / name)
