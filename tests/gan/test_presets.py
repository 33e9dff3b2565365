from __future__ import annotations

from typing import get_args

import pytest

from seqgen.config import GanSettings, replace, to_json
from seqgen.gan.presets import PRESETS, Preset


@pytest.mark.parametrize("preset", get_args(Preset))
def test_a_preset_names_fields_that_there_are(preset: Preset) -> None:
    fields = {name for part in to_json(GanSettings()).values() for name in part}
    assert set(PRESETS[preset]) <= fields
    settings = replace(GanSettings(), PRESETS[preset])
    assert (preset == "quick") == (settings == GanSettings())


def test_the_classic_preset_is_that_of_the_paper() -> None:
    settings = replace(GanSettings(), PRESETS["classic"])
    train, network = settings.train, settings.network
    assert (train.lr, train.beta1, train.beta2, train.batch_size) == (2e-4, 0.5, 0.999, 128)
    assert (network.latent_size, network.generator_size, network.body) == (100, 64, "dcgan")
