"""The model directory: written whole or not at all, and nothing in it is believed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
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
from seqgen.tasks.language_model import LanguageModel, model_files, new_network

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


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny"
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
    (path / modeldir.MANIFEST).write_bytes(modeldir._manifest(whole))


def with_config(path: Path, **changes: Any) -> None:
    data = json.loads((path / "config.json").read_bytes())
    replace(path, config__json=json.dumps(data | changes).encode())


def with_network(path: Path, **changes: Any) -> None:
    network = json.loads((path / "config.json").read_bytes())["network"]
    with_config(path, network=network | changes)


def with_manifest(path: Path, content: object) -> None:
    (path / modeldir.MANIFEST).write_text(json.dumps(content))


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


def safetensors_bytes(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


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


# Writing --------------------------------------------------------------------------------------------------------


def test_a_directory_is_written_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "model"
    modeldir.write_directory(target, {"a.txt": b"one", "b.txt": b""})
    assert {path.name: path.read_bytes() for path in target.iterdir() if path.name != "MANIFEST.json"} == {
        "a.txt": b"one",
        "b.txt": b"",
    }
    manifest = json.loads((target / "MANIFEST.json").read_bytes())
    assert manifest == {
        "format": 1,
        "files": {
            "a.txt": {"sha256": hashlib.sha256(b"one").hexdigest(), "size": 3},
            "b.txt": {"sha256": hashlib.sha256(b"").hexdigest(), "size": 0},
        },
    }
    assert [path.name for path in target.parent.iterdir()] == ["model"]
    modeldir.verify(target)


def test_a_directory_that_stands_is_not_replaced(model: Path) -> None:
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    with pytest.raises(OSError, match=r"not empty|exists"):
        modeldir.write_directory(model, {"a.txt": b"one"})
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before
    assert [path.name for path in model.parent.iterdir()] == [model.name]


def test_a_stale_temporary_of_the_same_process_is_no_obstacle(tmp_path: Path) -> None:
    stale = tmp_path / f".tmp-model-{os.getpid()}"
    stale.mkdir()
    (stale / "old.txt").write_text("old")
    modeldir.write_directory(tmp_path / "model", {"a.txt": b"one"})
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["MANIFEST.json", "a.txt"]


def test_publishing_takes_the_manifest_away_first_and_puts_it_back_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modeldir.publish(tmp_path, {"a.txt": b"one", "b.txt": b"two"})
    modeldir.verify(tmp_path)
    seen: list[tuple[str, bool]] = []
    write = modeldir.write_file

    def watched(path: Path, content: bytes) -> None:
        seen.append((path.name, (tmp_path / "MANIFEST.json").exists()))
        write(path, content)

    monkeypatch.setattr(modeldir, "write_file", watched)
    modeldir.publish(tmp_path, {"a.txt": b"three", "b.txt": b"four"})
    assert seen == [("a.txt", False), ("b.txt", False), ("MANIFEST.json", False)]
    modeldir.verify(tmp_path)
    assert (tmp_path / "a.txt").read_bytes() == b"three"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    modeldir.write_file(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _refuse)
        with pytest.raises(OSError, match="no"):
            modeldir.write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    modeldir.write_file(path, b"new")
    assert path.read_bytes() == b"new"


def _refuse(*_: object) -> None:
    raise OSError("no")


def test_leftovers_are_counted_and_removed(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / ".tmp-step-1-99" / "deep").mkdir(parents=True)
    (tmp_path / ".tmp-training.json-99").write_text("")
    (tmp_path / "kept.tmp-").write_text("")
    (tmp_path / "checkpoints" / "step-00000001").mkdir()
    assert modeldir.remove_leftovers(tmp_path) == 2
    assert modeldir.remove_leftovers(tmp_path) == 0
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["checkpoints", "kept.tmp-", "step-00000001"]


# Finding --------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with `models/`, and one shipped model elsewhere."""
    shipped = tmp_path / "shipped"
    modeldir.write_directory(shipped / "classic", contents())
    here = tmp_path / "here"
    (here / "models").mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setattr(modeldir, "shipped_directory", lambda: shipped)
    return here


def test_a_model_is_found_by_path_by_name_and_shipped(home: Path) -> None:
    modeldir.write_directory(home / "models" / "mine", contents())
    assert modeldir.locate("models/mine") == Path("models/mine")
    assert modeldir.locate(str(home / "models" / "mine")) == home / "models" / "mine"
    assert modeldir.locate("mine").resolve() == home / "models" / "mine"
    assert modeldir.locate("classic").resolve() == home.parent / "shipped" / "classic"


def test_a_path_wins_over_a_name_and_a_name_over_a_shipped_model(home: Path) -> None:
    modeldir.write_directory(home / "models" / "classic", contents())
    assert modeldir.locate("classic").resolve() == home / "models" / "classic"
    modeldir.write_directory(home / "classic", contents())
    assert modeldir.locate("classic").resolve() == home / "classic"


def test_an_unknown_name_lists_the_known_ones(home: Path) -> None:
    modeldir.write_directory(home / "models" / "mine", contents())
    with pytest.raises(ModelError, match="no model 'other' here") as caught:
        modeldir.locate("other")
    assert "mine, classic" in caught.value.hint


def test_without_any_model_the_hint_is_to_train_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modeldir, "shipped_directory", lambda: None)
    with pytest.raises(ModelError) as caught:
        modeldir.locate("classic")
    assert "train-lm" in caught.value.hint


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "classic/../nothing", "~nobody", "https://example.org/model"])
def test_a_name_that_cannot_be_one_is_an_error_of_ours(name: str, home: Path) -> None:
    with pytest.raises(ModelError):
        modeldir.locate(name)


def test_a_file_is_no_model(home: Path) -> None:
    (home / "text.txt").write_text("")
    with pytest.raises(ModelError, match=r"text\.txt is a file, not a model directory"):
        modeldir.locate("text.txt")


def test_an_unfinished_run_answers_with_its_newest_whole_checkpoint(home: Path) -> None:
    run = home / "run"
    for step in (1, 2, 3):
        modeldir.write_directory(run / "checkpoints" / f"step-{step:08d}", contents())
    assert modeldir.locate("run") == Path("run/checkpoints/step-00000003")
    DAMAGES["truncated"](run / "checkpoints" / "step-00000003" / "model.safetensors")
    assert modeldir.locate("run") == Path("run/checkpoints/step-00000002")
    shutil.rmtree(run / "checkpoints" / "step-00000002")
    DAMAGES["missing"](run / "checkpoints" / "step-00000001" / "MANIFEST.json")
    with pytest.raises(ModelError, match="run holds no whole model") as caught:
        modeldir.locate("run")
    assert "--resume" in caught.value.hint


def test_a_damaged_finished_model_does_not_hide_behind_a_checkpoint(home: Path) -> None:
    run = home / "run"
    modeldir.write_directory(run, contents())
    modeldir.write_directory(run / "checkpoints" / "step-00000001", contents())
    DAMAGES["first byte flipped"](run / "model.safetensors")
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        modeldir.locate("run")


def test_models_are_found_once_each_and_in_order(home: Path) -> None:
    for name in ("b", "a"):
        modeldir.write_directory(home / "models" / name, contents())
    (home / "models" / "not-a-model").mkdir()
    (home / "models" / "file").write_text("")
    (home / "models" / "again").symlink_to(home.parent / "shipped" / "classic")
    assert [path.name for path in modeldir.find_models()] == ["a", "again", "b"]


def test_shipped_models_lie_beside_the_package_of_a_checkout() -> None:
    shipped = modeldir.shipped_directory()
    assert shipped is not None
    assert shipped.name in ("models", "_models")


# Counting -------------------------------------------------------------------------------------------------------


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
