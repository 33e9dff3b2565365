from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from gan_models import CPU, bars, model_of, write_model

from seqgen import modeldir
from seqgen.config import GanBody
from seqgen.errors import ModelError
from seqgen.tasks.gan.model import GanModel


@pytest.mark.parametrize("body", ["dcgan", "spectral", "residual"])
@pytest.mark.parametrize("conditional", [True, False])
def test_what_was_saved_comes_back(body: GanBody, conditional: bool, tmp_path: Path) -> None:
    model = model_of(bars(4), conditional=conditional, body=body)
    loaded = GanModel.load(str(write_model(tmp_path / "m", model)), CPU)
    assert loaded.config == model.config
    before, after = model.networks.state_dict(), loaded.networks.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not loaded.generator.training
    assert not any(parameter.requires_grad for parameter in loaded.networks.parameters())


def test_the_weights_are_a_function_of_the_seed() -> None:
    one, same, other = (model_of(bars(4), seed=seed).generator.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["project.weight"], other["project.weight"])


def rewritten(directory: Path, *path: str, value: object) -> Path:
    """The same model with one field of config.json changed, and vouched for."""
    config = json.loads((directory / "config.json").read_bytes())
    place = config
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    files = {name: (directory / name).read_bytes() for name in ("model.safetensors",)}
    changed = directory.with_name("changed")
    modeldir.write_directory(changed, files | {"config.json": modeldir.json_bytes(config)})
    return changed


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("task",), "translation", "is a model for 'translation', not a GAN"),
        (("architecture",), "vqgan", "architecture 'vqgan' is unknown"),
        (("network", "images", "height"), 10**9, "height is 1000000000"),
        (("network", "images", "channels"), 0, "channels is 0"),
        (("network", "images", "classes"), "ab", "classes is 'ab', not a list"),
        (("network", "gan", "body"), "pickle", "body is 'pickle'"),
        (("network", "gan", "generator_size"), 9, "has shape"),
        (("network",), {}, "images"),
    ],
)
def test_a_hostile_config_is_refused(path: tuple[str, ...], value: object, said: str, tmp_path: Path) -> None:
    directory = rewritten(write_model(tmp_path / "m", model_of(bars(4))), *path, value=value)
    with pytest.raises(ModelError, match=said):
        GanModel.load(str(directory), CPU)
