"""Images of images: any size, the same in any company, in tiles as in one piece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from shapes import CPU, loaded, model_of, noisy_picture, shapes, write_model

from seqgen.data.conditions import derived
from seqgen.errors import DataError, ModelError, UsageError
from seqgen.tasks.image_translation.inputs import Inputs
from seqgen.tasks.image_translation.model import TranslatorModel
from seqgen.tasks.image_translation.translate import ImageTranslator, made_of


def lively(**config: Any) -> TranslatorModel:
    """An untrained model whose weights are large enough to show."""
    model = model_of(shapes(4), **config)
    for parameter in model.networks.parameters():
        parameter.data.mul_(4.0 if parameter.ndim > 1 else 1.0)
    model.networks.eval().requires_grad_(False)
    return model


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("size", [(16, 16), (15, 40), (3, 3)])
def test_an_image_of_any_size_keeps_it(size: tuple[int, int], seed: int | None) -> None:
    translator = ImageTranslator(lively().way(), seed=seed)
    picture = noisy_picture(*size)
    made = translator.translate(picture)
    assert made.shape == (3, *size)
    assert np.array_equal(translator.translate(picture), made)
    translator.translate(noisy_picture(20, 17, seed=1))
    assert np.array_equal(translator.translate(picture), made)


def test_an_image_that_is_too_small_is_refused() -> None:
    with pytest.raises(DataError, match="3 pixels a side at least"):
        ImageTranslator(lively().way()).translate(noisy_picture(2, 30))


def test_another_seed_is_other_noise_and_none_is_none() -> None:
    model, picture = lively(noise=0.5), noisy_picture(16, 16)
    made = [ImageTranslator(model.way(), seed=seed).translate(picture) for seed in (0, 0, 1, None)]
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
    assert not np.array_equal(made[0], made[3])


@pytest.mark.parametrize("tile", [4, 32, 48])
def test_tiles_make_the_same_picture(tile: int) -> None:
    model, picture = lively(), noisy_picture(70, 131)
    whole = ImageTranslator(model.way(), seed=None).translate(picture)
    tiled = ImageTranslator(model.way(), seed=None, tile=tile).translate(picture)
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_a_tile_of_an_odd_size_is_refused() -> None:
    with pytest.raises(UsageError, match="multiple of 4"):
        ImageTranslator(lively().way(), tile=6)


def test_what_is_made_together_to_be_judged_is_what_is_made_alone() -> None:
    model, pairs = lively(), shapes(40)
    alone = ImageTranslator(model.way(), seed=None)
    together = made_of(model.way(), pairs.sources, None)
    expected = np.stack([alone.translate(source) for source in pairs.sources])
    assert np.abs(together.astype(int) - expected).max() <= 1


# Inputs -------------------------------------------------------------------------------------------------------


def inputs_of(model: TranslatorModel, **more: Any) -> Inputs:
    return Inputs(model, model.way(), **more)


def rgb(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    return noisy_picture(height, width, channels).transpose(1, 2, 0)


def test_an_image_is_its_own_input_in_the_channels_of_the_model() -> None:
    source, target = inputs_of(lively()).of(rgb(9, 12))
    assert source.shape == (1, 9, 12)
    assert target is None
    source, _ = inputs_of(lively(), size=(16, 16)).of(rgb(9, 12))
    assert source.shape == (1, 16, 16)
    source, _ = inputs_of(lively()).of(np.zeros((5, 5, 4), np.uint8))
    assert (source == 255).all()  # what is transparent lies on white


def test_an_input_is_derived_as_it_was_in_training() -> None:
    source, target = inputs_of(lively(condition="edges"), derive=True).of(rgb(9, 12))
    assert target is not None
    assert np.array_equal(target, rgb(9, 12).transpose(2, 0, 1))
    assert np.array_equal(source, derived(target[None], "edges")[0])
    with pytest.raises(UsageError, match="nothing to derive"):
        inputs_of(lively(), derive=True)


def test_a_pair_is_halved_as_it_was_in_training() -> None:
    pair = rgb(9, 24, 1)
    source, target = inputs_of(lively(), pair=True).of(pair)
    assert np.array_equal(source, pair[:, :12].transpose(2, 0, 1))
    assert target is not None
    assert np.array_equal(target, np.repeat(pair[:, 12:], 3, axis=2).transpose(2, 0, 1))
    with pytest.raises(DataError, match="its width is odd"):
        inputs_of(lively(), pair=True).of(rgb(9, 23))
    with pytest.raises(UsageError, match="learned from the edges"):
        inputs_of(lively(condition="edges"), pair=True)


# Model directories ----------------------------------------------------------------------------------------------


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    model = lively()
    again = loaded(write_model(tmp_path / "m", model))
    assert again.config == model.config
    pairs = shapes(3)
    assert np.array_equal(made_of(again.way(), pairs.sources, 0), made_of(model.way(), pairs.sources, 0))


def test_another_kind_of_model_is_refused() -> None:
    with pytest.raises(ModelError, match="not a network that translates images"):
        TranslatorModel.load("mnist-cgan", CPU)
