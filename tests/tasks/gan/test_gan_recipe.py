"""What a GAN is judged by: in training by fewer images where the run is short, at the end by as many as ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gan_models import watch_of

from seqgen.config import AdversarialConfig, GanConfig, GanSettings, ImageConfig, TrainConfig
from seqgen.tasks.gan.recipe import GanRecipe


@pytest.mark.parametrize(
    ("minutes", "compared", "batches"), [(0.1, 500, 4), (1.25, 625, 4), (5.0, 700, 8), (10.0, 700, 16)]
)
def test_short_runs_compare_with_fewer_images_and_the_finished_model_with_all(
    minutes: float, compared: int, batches: int, tmp_path: Path
) -> None:
    draw = np.random.Generator(np.random.PCG64(0))
    np.savez(tmp_path / "images.npz", images=draw.integers(0, 256, (700, 8, 8)).astype(np.uint8))
    settings = GanSettings(
        images=ImageConfig(paths=(str(tmp_path / "images.npz"),)),
        network=GanConfig(latent_size=4, generator_size=4, discriminator_size=4),
        game=AdversarialConfig(features="pixels"),
        train=TrainConfig(minutes=minutes, batch_size=8),
    )
    recipe = GanRecipe(settings, pytest.fail)
    recipe.make(tmp_path / "data")
    trainee = recipe.build(recipe.open(tmp_path / "data"))
    task = trainee.task(slice)
    assert len(watch_of(task)._judge.indices) == compared
    assert watch_of(task)._statistics_batches == batches
    assert trainee.judge(lambda message: None, lambda: False)
    assert len(trainee._judge().indices) == 700
