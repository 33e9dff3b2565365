"""A model directory that is damaged is refused in one sentence that names the file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from tiny_models import (
    CONFIG,
    DAMAGES,
    FILES,
    TOKENIZER,
    load,
    refused,
    replace,
    tensors,
    tiny_model,
    vouch,
    with_config,
    with_manifest,
)

from seqgen import modeldir
from seqgen.errors import ModelError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model(tmp_path / "tiny")


def test_an_undamaged_model_loads(model: Path) -> None:
    loaded = load(model)
    for name, value in tensors().items():
        assert torch.equal(loaded.network.state_dict()[name], value)
    assert loaded.network.config == CONFIG
    assert loaded.tokenizer.token_bytes == TOKENIZER.token_bytes
    assert not loaded.network.training
    assert not any(p.requires_grad for p in loaded.network.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_float_types_are_read_as_fp32(dtype: torch.dtype, model: Path) -> None:
    weights = {name: value.to(dtype) for name, value in tensors().items()}
    replace(model, model__safetensors=modeldir.tensors_to_bytes(weights))
    assert {p.dtype for p in load(model).network.parameters()} == {torch.float32}


# Damage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_each_damage_to_each_file_is_an_error_that_names_it(file: str, damage: str, model: Path) -> None:
    DAMAGES[damage](model / file)
    refused(model, named=file)


HARMLESS = {"a byte short", "a byte long", "last byte flipped", "another model's"}  # only the final line feed


@pytest.mark.parametrize("damage", [d for d in DAMAGES if d not in HARMLESS])
def test_each_damage_to_the_manifest_is_an_error(damage: str, model: Path) -> None:
    """One byte of a hash flipped blames the file that no longer fits; either way the model is refused."""
    DAMAGES[damage](model / modeldir.MANIFEST)
    refused(model, named=str(model))


@pytest.mark.parametrize("name", ["../victim", "/etc/passwd", "a/b", "..", ".", "", "./config.json", "x\0y", "x" * 300])
def test_the_manifest_names_files_of_its_folder_only(name: str, model: Path) -> None:
    (model.parent / "victim").write_text("secret")
    manifest = json.loads((model / modeldir.MANIFEST).read_bytes())
    digest = hashlib.sha256(b"secret").hexdigest()
    manifest["files"][name] = {"sha256": digest, "size": 6}
    with_manifest(model, manifest)
    refused(model, named=str(model))


@pytest.mark.parametrize(
    "manifest",
    [
        [],
        None,
        "text",
        {},
        {"format": 1},
        {"format": 1, "files": {}},
        {"format": 1, "files": []},
        {"format": 1, "files": {"config.json": []}},
        {"format": 1, "files": {"config.json": {}}},
        {"format": 1, "files": {"config.json": {"sha256": 5, "size": "big"}}},
        {"format": 1, "files": {"config.json": None}},
    ],
    ids=str,
)
def test_a_manifest_of_another_shape_is_refused(manifest: object, model: Path) -> None:
    with_manifest(model, manifest)
    refused(model, named=str(model))


@pytest.mark.parametrize("missing", FILES)
def test_a_file_that_the_manifest_does_not_vouch_for_is_not_used(missing: str, model: Path) -> None:
    manifest = json.loads((model / modeldir.MANIFEST).read_bytes())
    del manifest["files"][missing]
    with_manifest(model, manifest)
    refused(model, named=missing)


def test_a_newer_format_asks_for_an_upgrade(model: Path) -> None:
    with_manifest(model, json.loads((model / modeldir.MANIFEST).read_bytes()) | {"format": 2})
    with pytest.raises(ModelError, match="format 2, this seqgen reads 1") as caught:
        load(model)
    assert "upgrade" in caught.value.hint
    vouch(model)
    with_config(model, format=2)
    with pytest.raises(ModelError, match=r"config\.json has format 2, this seqgen reads 1") as caught:
        load(model)
    assert "upgrade" in caught.value.hint
