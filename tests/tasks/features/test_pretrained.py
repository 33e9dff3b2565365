from __future__ import annotations

import importlib.machinery
import tomllib
from pathlib import Path

import pytest
import torch

from seqgen.errors import ModelError, UsageError
from seqgen.nets.images.efficientnet import EfficientNetLite
from seqgen.nets.images.inception import Inception
from seqgen.tasks.features import pretrained
from seqgen.tasks.features.pretrained import default_features, open_features

CPU = torch.device("cpu")


class Harmful:
    """What a pickle may do to those who load it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this ran",)


def test_grey_images_are_digits_until_something_else_is_said() -> None:
    assert (default_features(1), default_features(3)) == ("digits", "efficientnet")


def test_inception_comes_from_its_file_only(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs --weights FILE"):
        open_features("inception", None, CPU)
    with pytest.raises(UsageError, match="belongs to inception"):
        open_features("digits", tmp_path / "weights.pth", CPU)


def test_pytorch_is_new_enough_for_its_reader_to_be_safe() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    (needed,) = [name for name in project["dependencies"] if name.startswith("torch>=")]
    assert int(needed.removeprefix("torch>=2.").split(",")[0]) >= 10  # CVE-2026-24747


@pytest.mark.slow
def test_a_file_of_inception_is_opened_with_what_else_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    tensors = Inception().state_dict() | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    torch.save(tensors | {"Conv2d_1a_3x3.bn.num_batches_tracked": torch.tensor(0)}, path)
    model = open_features("inception", path, CPU)
    assert model.identity.startswith("inception@")
    assert torch.equal(
        model.network.state_dict()["Mixed_7c.branch_pool.conv.weight"],  # type: ignore[attr-defined]
        tensors["Mixed_7c.branch_pool.conv.weight"],
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"a": torch.zeros(2)}, "TensorFlow's Inception"),
        ([1, 2], "tensors by name"),
        ({"a": Harmful()}, "not a file of weights"),
        (None, "is missing"),
        (b"nonsense", "not a file of weights"),
    ],
)
def test_another_file_is_refused_and_nothing_in_it_runs(
    tmp_path: Path, content: object, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ModelError, match=said):
        open_features("inception", path, CPU)
    assert capsys.readouterr().out == ""


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="not installed") as caught:
        open_features("efficientnet", None, CPU)
    assert "seqgen[efficientnet]" in caught.value.hint


def test_efficientnet_is_opened_from_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the package, with the names that its file has where it matters."""
    network = EfficientNetLite()
    tensors = {f"_blocks.{i}": value for i, value in enumerate(network.state_dict().values())}
    tensors |= {"_bn0.num_batches_tracked": torch.tensor(7), "_fc.weight": torch.zeros(1000, 1280)}
    file = tmp_path / pretrained.EFFICIENTNET_FILE
    file.parent.mkdir()
    torch.save(tensors, file)
    spec = importlib.machinery.ModuleSpec("package", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(pretrained, "find_spec", lambda name: spec)
    model = open_features("efficientnet", None, CPU)
    assert model.identity.startswith("efficientnet-lite0@")
    seen = model.extract(torch.zeros(1, 1, 20, 30, dtype=torch.uint8))
    assert seen.features.shape == (1, 1280)
    assert seen.probs.shape == (1, 0)
    torch.save(dict(list(tensors.items())[3:]), file)
    with pytest.raises(ModelError, match="EfficientNet-Lite0"):
        open_features("efficientnet", None, CPU)
