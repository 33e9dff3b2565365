from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tolerances import rounding, terms_of

from seqgen.config import FeatureConfig, ImageFormat
from seqgen.nets.images.features import FeatureNetwork, stage_sizes, with_channels
from seqgen.nets.images.norm import BatchNorm

DIGITS = ImageFormat(channels=1, height=28, width=28, classes=tuple("0123456789"))
SMALL = FeatureConfig(base_size=4, feature_size=6, hidden_size=5)


def network_of(images: ImageFormat = DIGITS, config: FeatureConfig = SMALL) -> FeatureNetwork:
    torch.manual_seed(0)
    network = FeatureNetwork(config, images)
    network.initialise()
    return network


def bytes_of(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 28, 28), (3, 32, 48), (3, 64, 64), (1, 4, 5)])
def test_any_size_gives_the_same_number_of_features(channels: int, height: int, width: int) -> None:
    network = network_of(ImageFormat(channels=channels, height=height, width=width, classes=("a", "b", "c"))).eval()
    images = network.prepare(bytes_of(2, channels, height, width))
    features = network.features(images)
    assert features.shape == (2, 6)
    assert network(images).shape == (2, 3)
    assert torch.equal(network.classify(features), network(images))


def test_stages_halve_the_image_to_eight_or_less() -> None:
    config = FeatureConfig(base_size=32, feature_size=96)
    assert stage_sizes(config, 28) == [32, 96]  # 28, 14, 7
    assert stage_sizes(config, 64) == [32, 64, 96]  # 64, 32, 16, 8
    assert stage_sizes(config, 65) == [32, 64, 96, 96]  # 65, 33, 17, 9, 5
    assert stage_sizes(config, 16) == [96]


def test_images_of_its_own_size_are_only_scaled() -> None:
    pixels = bytes_of(3, 1, 28, 28)
    prepared = network_of().prepare(pixels)
    assert torch.equal(prepared, pixels.float() / 127.5 - 1.0)
    assert prepared.min() == -1.0
    assert prepared.max() == 1.0


def test_other_sizes_and_colours_are_made_to_fit() -> None:
    network = network_of()
    plain = torch.full((1, 3, 50, 33), 200, dtype=torch.uint8)
    assert network.prepare(plain).shape == (1, 1, 28, 28)
    assert network.prepare(plain).flatten().tolist() == pytest.approx([200 / 127.5 - 1.0] * 784, abs=1e-5)


def test_grey_is_what_pillow_makes_of_colour() -> None:
    colour = bytes_of(1, 3, 16, 16)
    image = Image.fromarray(colour[0].permute(1, 2, 0).numpy())
    assert with_channels(colour, 1)[0, 0].tolist() == np.asarray(image.convert("L")).tolist()
    assert with_channels(colour, 3) is colour
    assert with_channels(bytes_of(2, 1, 3, 3), 3).shape == (2, 3, 3, 3)


def test_the_company_does_not_count_once_it_is_trained() -> None:
    network = network_of()
    network(network.prepare(bytes_of(8, 1, 28, 28)))  # running averages that are not those of the start
    network.eval()
    images = network.prepare(bytes_of(5, 1, 28, 28))
    alone = torch.cat([network.features(image[None]) for image in images])
    torch.testing.assert_close(alone, network.features(images), rtol=0, atol=rounding(terms_of(network)))


def test_weights_are_a_function_of_the_seed_and_keep_the_signal() -> None:
    one, two = network_of(), network_of()
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    assert 0.1 < one(one.prepare(bytes_of(64, 1, 28, 28))).std().item() < 10.0


def test_batch_norm_is_that_of_pytorch_without_its_counter() -> None:
    ours, theirs = BatchNorm(3), torch.nn.BatchNorm2d(3)
    for step in range(3):
        images = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(step))
        assert torch.equal(ours(images), theirs(images))
    ours.eval()
    theirs.eval()
    assert torch.equal(ours(images), theirs(images))
    state = theirs.state_dict()
    del state["num_batches_tracked"]
    assert {name: value.tolist() for name, value in ours.state_dict().items()} == {
        name: value.tolist() for name, value in state.items()
    }
