"""Small images with something to learn, and GANs of a few thousand weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqgen import modeldir
from seqgen.config import AdversarialConfig, GanArchitecture, GanConfig, GanNetworks, ImageFormat
from seqgen.data.images import ImageSet
from seqgen.tasks.gan.family import ByLabel
from seqgen.tasks.gan.judge import Judge
from seqgen.tasks.gan.model import GanModel
from seqgen.tasks.gan.task import GanTask
from seqgen.tasks.gan.watch import SampleWatch

CPU = torch.device("cpu")
CLASSES = ("lying", "standing")


def bars(count: int, *, side: int = 12, channels: int = 1, labelled: bool = True) -> ImageSet:
    """Bright bars of two pixels on dark noise; the even images lie, the odd ones stand."""
    draw = np.random.Generator(np.random.PCG64(0))
    pixels = draw.integers(0, 40, size=(count, channels, side, side)).astype(np.uint8)
    for i, place in enumerate(draw.integers(0, side - 1, size=count)):
        across = (
            (slice(None), slice(place, place + 2))
            if i % 2 == 0
            else (slice(None), slice(None), slice(place, place + 2))
        )
        pixels[i][across] = 230
    return ImageSet(pixels, np.arange(count) % 2 if labelled else None, CLASSES if labelled else ())


def model_of(images: ImageSet, *, conditional: bool = True, seed: int = 0, **config: Any) -> GanModel:
    _, channels, height, width = images.pixels.shape
    form = ImageFormat(channels=channels, height=height, width=width, classes=images.classes if conditional else ())
    sizes = {"latent_size": 6, "generator_size": 8, "discriminator_size": 8} | config
    arch: GanArchitecture = "cgan" if conditional else "dcgan"
    return GanModel.new(GanNetworks(images=form, gan=GanConfig(arch=arch, **sizes)), seed)


def task_of(
    images: ImageSet, model: GanModel | None = None, *, batch_size: int = 16, seed: int = 0, **game: Any
) -> GanTask:
    judge = Judge(images, "pixels", seed, CPU)
    config = AdversarialConfig(**game)
    family = ByLabel(model or model_of(images), images, config)
    watch = SampleWatch(family, judge, seed=seed)
    return GanTask(family, watch, np.arange(len(images)), config, batch_size=batch_size, seed=seed)


def watch_of(task: GanTask) -> SampleWatch:
    assert isinstance(task._watch, SampleWatch)
    return task._watch


def write_model(directory: Path, model: GanModel) -> Path:
    weights = {modeldir.WEIGHTS: modeldir.tensors_to_bytes(model.networks.state_dict())}
    modeldir.write_directory(directory, model.files() | weights)
    return directory
