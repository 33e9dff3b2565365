"""`seqgen export`: what it says and leaves; what the engines make of it is tested with the formats."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from running import Call, TinyModel, snapshot

TRAIN = (
    "train-transformer {0}/train.de {0}/train.en --vocab-size 286 --embed-size 8 --ffn-size 8 --layers 1 --heads 2"
    " --batch-size 16 --warmup 1 --steps 2 --threads 1 --precision fp32 -q --out"
)


@pytest.fixture
def transformer(tiny_translation: TinyModel, folder: Path, call: Call) -> str:
    """An untrained model, in the current directory."""
    done = call(*TRAIN.format(tiny_translation.folder).split(), "small")
    assert done.code == 0, done.err
    return "small"


@pytest.mark.parametrize("kind", ["ctranslate2", "onnx"])
def test_a_recurrent_model_is_refused_in_one_line(
    kind: str, tiny_translation: TinyModel, folder: Path, call: Call
) -> None:
    done = call("export", "-m", tiny_translation.name, "--to", kind, "out")
    assert (done.code, done.out) == (2, b"")
    assert "is recurrent" in done.error
    assert list(folder.iterdir()) == []


def test_a_language_model_is_refused(tiny: TinyModel, folder: Path, call: Call) -> None:
    done = call("export", "-m", tiny.name, "--to", "onnx", "out")
    assert done.code == 2
    assert "not a translation model" in done.error


def test_a_format_and_a_place_must_be_named(folder: Path, call: Call) -> None:
    assert call("export", "out").code == 2
    assert call("export", "--to", "onnx").code == 2
    assert call("export", "--to", "pdf", "out").code == 2


@pytest.mark.parametrize(("kind", "package"), [("ctranslate2", "ctranslate2"), ("onnx", "onnx")])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    kind: str, package: str, transformer: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    done = call("export", "-m", transformer, "--to", kind, "out")
    assert done.code == 2
    assert package in done.error
    assert done.hint == f"pip install 'seqgen[{kind}]'"
    assert not Path("out").exists()


def test_a_directory_for_ctranslate2(transformer: str, call: Call) -> None:
    pytest.importorskip("ctranslate2")
    done = call("export", "-m", transformer, "--to", "ctranslate2", "a/out")
    assert (done.code, done.out) == (0, b"")
    assert re.fullmatch(r"a/out/README.md .*\n", done.err)
    files = snapshot(Path("a/out"))
    vocabulary = "shared_vocabulary.json"
    assert set(files) == {"README.md", "config.json", "model.bin", vocabulary, "source.model", "target.model"}
    assert [path.name for path in Path("a").iterdir()] == ["out"]
    again = call("export", "-m", transformer, "--to", "ctranslate2", "a/out")
    assert (again.code, again.error) == (2, "a/out is there already")
    assert snapshot(Path("a/out")) == files
