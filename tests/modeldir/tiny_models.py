"""A tiny model directory, ways to change it that its manifest vouches for, and how loading refuses it."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seqgen import modeldir
from seqgen.config import RecurrentConfig
from seqgen.data.tokenizers import CharTokenizer
from seqgen.errors import ModelError
from seqgen.modeldir.layout import manifest
from seqgen.tasks.language.model import LanguageModel, model_files, new_network

CPU = torch.device("cpu")
CONFIG = RecurrentConfig(cell="gru", embed_size=3, hidden_size=4, num_layers=1, dropout=0.0)
TOKENIZER = CharTokenizer("abc \n")
FILES = ["config.json", "model.safetensors", "tokenizer.json"]
MESSAGE_LIMIT = 600


def tensors() -> dict[str, Tensor]:
    return new_network(CONFIG, TOKENIZER, 0).state_dict()


def contents(weights: Mapping[str, Tensor] | None = None) -> dict[str, bytes]:
    """The files of a tiny model."""
    network = new_network(CONFIG, TOKENIZER, 0)
    return model_files(network, TOKENIZER) | {"model.safetensors": modeldir.tensors_to_bytes(weights or tensors())}


def tiny_model(path: Path) -> Path:
    """A model directory of a few dozen weights."""
    modeldir.write_directory(path, contents())
    return path


def load(path: Path) -> LanguageModel:
    return LanguageModel.load(str(path), CPU)


def refused(path: Path, *, named: str) -> str:
    """The message of the one kind of error that loading may end with."""
    with pytest.raises(ModelError) as caught:
        load(path)
    message = caught.value.message
    assert caught.value.exit_code == 2
    assert "\n" not in message
    assert len(message) < MESSAGE_LIMIT, message[:MESSAGE_LIMIT]
    assert named in message
    return message


def replace(path: Path, **files: bytes | None) -> None:
    """Put other contents in place, and a manifest that vouches for them; None takes a file away."""
    for name, content in files.items():
        name = name.replace("__", ".")
        if content is None:
            (path / name).unlink()
        else:
            (path / name).write_bytes(content)
    vouch(path)


def vouch(path: Path) -> None:
    whole = {file.name: file.read_bytes() for file in path.iterdir() if file.name != modeldir.MANIFEST}
    (path / modeldir.MANIFEST).write_bytes(manifest(whole))


def with_config(path: Path, **changes: Any) -> None:
    data = json.loads((path / "config.json").read_bytes())
    replace(path, config__json=json.dumps(data | changes).encode())


def with_network(path: Path, **changes: Any) -> None:
    network = json.loads((path / "config.json").read_bytes())["network"]
    with_config(path, network=network | changes)


def with_manifest(path: Path, content: object) -> None:
    (path / modeldir.MANIFEST).write_text(json.dumps(content))


def safetensors_bytes(header: bytes, data: bytes = b"") -> bytes:
    """A file of that format as somebody may have made it."""
    return struct.pack("<Q", len(header)) + header + data


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "a byte short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "a byte long": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "emptied": lambda path: path.write_bytes(b""),
    "first byte flipped": lambda path: _flip(path, 0),
    "middle byte flipped": lambda path: _flip(path, path.stat().st_size // 2),
    "last byte flipped": lambda path: _flip(path, path.stat().st_size - 1),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "missing": Path.unlink,
    "a folder": lambda path: _instead(path, path.mkdir),
    "a link to nothing": lambda path: _instead(path, lambda: path.symlink_to("nothing")),
    "a link to itself": lambda path: _instead(path, lambda: path.symlink_to(path)),
    "a link to another file": lambda path: _instead(path, lambda: path.symlink_to("/etc/hostname")),
    "a pipe": lambda path: _instead(path, lambda: os.mkfifo(path)),
    "another model's": lambda path: path.write_bytes(contents(_other_weights())[path.name][:-1] + b" "),
}


def _instead(path: Path, make: Callable[[], None]) -> None:
    path.unlink()
    make()


def _flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x41
    path.write_bytes(content)


def _other_weights() -> dict[str, Tensor]:
    return {name: value + 1 for name, value in tensors().items()}
