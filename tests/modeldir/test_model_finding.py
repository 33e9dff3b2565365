"""What a name of a model leads to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_models import (
    DAMAGES,
    contents,
)

from seqgen import modeldir
from seqgen.errors import ModelError
from seqgen.modeldir import finding


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with `models/`, and one shipped model elsewhere."""
    shipped = tmp_path / "shipped"
    modeldir.write_directory(shipped / "classic", contents())
    here = tmp_path / "here"
    (here / "models").mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setattr(finding, "shipped_directory", lambda: shipped)
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
    monkeypatch.setattr(finding, "shipped_directory", lambda: None)
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
    assert caught.value.hint == ""


@pytest.mark.parametrize("command", ["train-lm", "train-seq2seq", "train-transformer", "train-features", "gan-train"])
def test_a_run_without_a_model_is_gone_on_with_by_its_own_command(command: str, home: Path) -> None:
    run = home / "my run"
    run.mkdir()
    (run / "training.json").write_text(f'{{"command": "{command}", "settings": {{}}}}')
    assert modeldir.training_command(run) == command
    with pytest.raises(ModelError) as caught:
        modeldir.locate("my run")
    assert caught.value.hint == f"go on with its training: seqgen {command} --resume --out 'my run'"


@pytest.mark.parametrize(
    "settings", ["{", "[]", "{}", '{"command": "a; b", "settings": {}}', '{"command": "train-lm"}']
)
def test_somebody_elses_settings_make_no_run(settings: str, home: Path) -> None:
    (home / "models" / "other").mkdir()
    (home / "models" / "other" / "training.json").write_text(settings)
    assert modeldir.training_command(home / "models" / "other") == ""
    assert "other" not in [path.name for path in modeldir.find_models()]


def test_runs_are_found_among_the_models(home: Path) -> None:
    (home / "models" / "run").mkdir()
    (home / "models" / "run" / "training.json").write_text('{"command": "train-lm", "settings": {}}')
    assert [path.name for path in modeldir.find_models()] == ["run", "classic"]
    assert modeldir.run_directory("run") == Path("models/run")


def test_checkpoints_are_in_the_order_of_their_steps(home: Path) -> None:
    for name in (
        "step-00000009",
        "step-00000100",
        "step-100000000",
        ".old-step-00000100",
        "step-x",
        "other",
        ".tmp-step-1",
    ):
        (home / "run" / "checkpoints" / name).mkdir(parents=True)
    found = modeldir.checkpoints(home / "run")
    assert [path.name for path in found] == ["step-100000000", "step-00000100", ".old-step-00000100", "step-00000009"]
    assert [modeldir.step_of(path) for path in found] == [100000000, 100, 100, 9]


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
