"""Outlines and the shapes that they are of, and pix2pix models of a few thousand weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqgen import modeldir
from seqgen.config import ImageFormat, PairConfig, PairedGameConfig, Pix2PixConfig, Pix2PixNetworks
from seqgen.data.image_pairs import PairSet
from seqgen.tasks.gan.task import GanTask
from seqgen.tasks.image_translation.model import TranslatorModel
from seqgen.tasks.image_translation.paired import Paired
from seqgen.tasks.image_translation.watch import TranslationWatch

CPU = torch.device("cpu")
SIDE = 16


def shapes(count: int, seed: int = 0) -> PairSet:
    """Rectangles: black outlines on white, filled with a colour that depends on their width, on a light ground."""
    draw = np.random.Generator(np.random.PCG64(seed))
    sources = np.full((count, 1, SIDE, SIDE), 255, np.uint8)
    targets = np.full((count, 3, SIDE, SIDE), 230, np.uint8)
    for i in range(count):
        top, left = draw.integers(0, 6, size=2)
        bottom, right = draw.integers(9, SIDE, size=2)
        inner = (slice(top, bottom + 1), slice(left, right + 1))
        sources[i, 0, top, inner[1]] = sources[i, 0, bottom, inner[1]] = 0
        sources[i, 0, inner[0], left] = sources[i, 0, inner[0], right] = 0
        colour = (200, 30, 30) if right - left > 8 else (20, 60, 180)
        targets[i][(slice(None), *inner)] = np.array(colour)[:, None, None]
    return PairSet(sources, targets)


def model_of(pairs: PairSet, *, seed: int = 0, condition: Any = "none", **config: Any) -> TranslatorModel:
    _, channels, height, width = pairs.targets.shape
    sizes: dict[str, Any] = {"generator_size": 8, "discriminator_size": 8, "halvings": 2, "patch": "16"} | config
    networks = Pix2PixNetworks(
        source_channels=pairs.sources.shape[1],
        images=ImageFormat(channels=channels, height=height, width=width),
        direction="a2b",
        condition=condition,
        pix2pix=Pix2PixConfig(**sizes),
    )
    return TranslatorModel.new(networks, seed)


def task_of(
    pairs: PairSet, model: TranslatorModel, *, seed: int = 0, held_out: int = 24, shift: float = 0.0, **game: Any
) -> GanTask:
    config, learned = PairedGameConfig(**game), np.arange(held_out, len(pairs))
    family = Paired(model, pairs, PairConfig(shift=shift), config, learned)
    watch = TranslationWatch(family, model, pairs, np.arange(held_out), config, seed=seed)
    return GanTask(family, watch, learned, config, batch_size=16, seed=seed)


def train(task: GanTask, steps: int, *, lr: float = 2e-3, first: int = 0) -> None:
    """Some steps as the loop takes them, without its trimmings."""
    optimizers = {
        name: torch.optim.Adam(net.parameters(), lr, betas=(0.5, 0.999)) for name, net in task.players.items()
    }
    for network in task.players.values():
        network.train()
    for step in range(first, first + steps):
        torch.manual_seed(step)
        task.prepare(step)
        for name, optimizer in optimizers.items():
            if not task.pace(name, step):
                continue
            for other, network in task.players.items():
                network.requires_grad_(other == name)
            optimizer.zero_grad()
            task.loss(name, 0, 1).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    for network in task.players.values():
        network.requires_grad_(True)


def measured(task: GanTask) -> dict[str, Any]:
    found = task.evaluate(lambda: False)
    assert found is not None
    return found


def write_model(directory: Path, model: TranslatorModel) -> Path:
    weights = {modeldir.WEIGHTS: modeldir.tensors_to_bytes(model.networks.state_dict())}
    modeldir.write_directory(directory, model.files() | weights)
    return directory


def loaded(directory: Path) -> TranslatorModel:
    return TranslatorModel.load(str(directory), CPU)


def noisy_picture(height: int, width: int, channels: int = 1, seed: int = 0) -> NDArray[np.uint8]:
    draw = np.random.Generator(np.random.PCG64(seed))
    return draw.integers(0, 256, size=(channels, height, width)).astype(np.uint8)
