from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_images import CLASSES, SIDE, drawn_pixels, new_small_network, write_model
from tolerances import rounding, terms_of

from seqgen import modeldir
from seqgen.errors import ModelError
from seqgen.tasks.features import model as features
from seqgen.tasks.features.model import FeatureModel

CPU = torch.device("cpu")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_model(tmp_path / "small", new_small_network())


def changed(directory: Path, **fields: object) -> str:
    """The model with other fields in its configuration, and a manifest to match."""
    config = json.loads((directory / modeldir.CONFIG).read_text()) | fields
    files = {
        modeldir.CONFIG: modeldir.json_bytes(config),
        modeldir.WEIGHTS: (directory / modeldir.WEIGHTS).read_bytes(),
    }
    other = directory.with_name("changed")
    modeldir.write_directory(other, files)
    return str(other)


def test_it_sees_what_its_network_sees(directory: Path) -> None:
    model = FeatureModel.load(str(directory), CPU)
    pixels = drawn_pixels(7)[0][:, None]
    seen = model.extract(pixels)
    network = new_small_network().half().float().eval()
    with torch.inference_mode():
        wanted = network.features(network.prepare(torch.from_numpy(pixels)))
        probs = network.classify(wanted).softmax(dim=1)
    assert np.allclose(seen.features, wanted.numpy(), rtol=0, atol=rounding(terms_of(new_small_network())))
    assert np.allclose(seen.probs, probs.numpy(), rtol=0, atol=rounding(terms_of(new_small_network())))
    assert np.array_equal(model.features(pixels), seen.features)
    assert np.array_equal(model.probs(pixels), seen.probs)
    assert len(seen) == 7


def test_the_batch_does_not_count(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = FeatureModel.load(str(directory), CPU)
    pixels = torch.from_numpy(drawn_pixels(7)[0][:, None])
    whole = model.features(pixels)
    told: list[int] = []
    monkeypatch.setattr(features, "BATCH", 3)
    in_parts = model.extract(pixels, told.append).features
    assert np.allclose(in_parts, whole, rtol=0, atol=rounding(terms_of(new_small_network())))
    assert told == [3, 3, 1]


def test_it_is_named_by_the_hash_of_its_weights(directory: Path) -> None:
    model = FeatureModel.load(str(directory), CPU)
    digest = hashlib.sha256((directory / modeldir.WEIGHTS).read_bytes()).hexdigest()
    assert model.identity == f"small@{digest[:8]}"
    assert model.network.classes == CLASSES
    assert model.network.feature_size == 6


def test_images_of_another_size_and_colour_are_seen(directory: Path) -> None:
    model = FeatureModel.load(str(directory), CPU)
    assert model.features(np.full((2, 3, 30, 20), 99, np.uint8)).shape == (2, 6)


def test_what_is_no_feature_network_is_refused(directory: Path) -> None:
    assert "not a feature network" in error_of(changed(directory, task="translation"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"architecture": "dcgan"}, "known: convolutional"),
        ({"network": {"images": {}}}, "no field 'channels'"),
        ({"network": {"images": {"channels": 1, "height": SIDE, "width": SIDE}, "features": {}}}, "two classes"),
        (
            {
                "network": {
                    "images": {"channels": 1, "height": SIDE, "width": SIDE, "classes": ["a", "b", "c", "d"]},
                    "features": {"base_size": 4, "feature_size": 6, "hidden_size": 8},
                }
            },
            "shape",
        ),
    ],
)
def test_a_damaged_configuration_is_refused(directory: Path, fields: dict[str, object], said: str) -> None:
    assert said in error_of(changed(directory, **fields))


def error_of(name: str) -> str:
    with pytest.raises(ModelError) as caught:
        FeatureModel.load(name, CPU)
    return caught.value.message
