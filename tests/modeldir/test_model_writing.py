"""A model directory is written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from tiny_models import (
    tiny_model,
)

from seqgen import modeldir


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model(tmp_path / "tiny")


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


def test_a_directory_that_stands_is_replaced_whole(model: Path) -> None:
    modeldir.write_directory(model, {"a.txt": b"one"})
    assert sorted(path.name for path in model.iterdir()) == ["MANIFEST.json", "a.txt"]
    modeldir.verify(model)
    assert [path.name for path in model.parent.iterdir()] == [model.name]


@pytest.mark.parametrize("move", [1, 2])
def test_a_directory_stays_when_its_replacement_cannot_take_its_place(
    move: int, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    rename, moves = Path.rename, 0

    def renamed(path: Path, target: Path) -> Path:
        nonlocal moves
        moves += 1
        if moves == move:
            raise OSError("no")
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", renamed)
        with pytest.raises(OSError, match="no"):
            modeldir.write_directory(model, {"a.txt": b"one"})
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before
    assert [path.name for path in model.parent.iterdir()] == [model.name]


@pytest.mark.parametrize("new_stands", [False, True])
def test_what_a_kill_left_aside_is_found_and_gets_its_name_back(new_stands: bool, tmp_path: Path) -> None:
    """A kill between the two moves of a replacement, and one after both."""
    for name, content in {"step-00000005": b"older", "step-00000007": b"new", ".old-step-00000007": b"old"}.items():
        modeldir.write_directory(tmp_path / "checkpoints" / name, {"a.txt": content})
    if not new_stands:
        shutil.rmtree(tmp_path / "checkpoints" / "step-00000007")
    newest = modeldir.checkpoints(tmp_path)[0]
    assert (newest / "a.txt").read_bytes() == (b"new" if new_stands else b"old")
    assert modeldir.locate(str(tmp_path)) == newest
    assert modeldir.remove_leftovers(tmp_path) == 1
    assert [path.name for path in modeldir.checkpoints(tmp_path)] == ["step-00000007", "step-00000005"]
    assert (tmp_path / "checkpoints" / "step-00000007" / "a.txt").read_bytes() == (b"new" if new_stands else b"old")
    assert modeldir.remove_leftovers(tmp_path) == 0


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
    replace = Path.replace

    def watched(path: Path, target: Path) -> Path:
        seen.append((target.name, (tmp_path / "MANIFEST.json").exists()))
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", watched)
        modeldir.publish(tmp_path, {"a.txt": b"three", "b.txt": b"four"})
    assert seen == [("a.txt", False), ("b.txt", False), ("MANIFEST.json", False)]
    modeldir.verify(tmp_path)
    assert (tmp_path / "a.txt").read_bytes() == b"three"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["MANIFEST.json", "a.txt", "b.txt"]


def test_a_model_stays_published_when_there_is_no_room_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modeldir.publish(tmp_path, {"a.txt": b"one", "b.txt": b"two"})
    for fails_at in range(1, 5):
        syncs = 0

        def fsync(descriptor: int, fails_at: int = fails_at) -> None:
            nonlocal syncs
            syncs += 1
            if syncs == fails_at:
                raise OSError("no room")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            with pytest.raises(OSError, match="no room"):
                modeldir.publish(tmp_path, {"a.txt": b"three", "b.txt": b"four"})
        modeldir.verify(tmp_path)
        assert (tmp_path / "a.txt").read_bytes() == b"one"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["MANIFEST.json", "a.txt", "b.txt"]


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
