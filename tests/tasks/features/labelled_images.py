"""Images of three classes that a few steps of training tell apart, and small networks for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from seqgen import modeldir
from seqgen.config import FeatureConfig, ImageConfig, ImageFormat
from seqgen.data.images import ImageSet, build_images
from seqgen.nets.images.features import FeatureNetwork
from seqgen.tasks.features.model import model_files, new_network

CLASSES = ("bar", "dot", "gap")
SIDE = 12
FORMAT = ImageFormat(channels=1, height=SIDE, width=SIDE, classes=CLASSES)
SMALL = FeatureConfig(base_size=4, feature_size=6, hidden_size=8, dropout=0.0)


def drawn_pixels(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noisy pictures `(count, 12, 12)`: a bar from top to bottom, a dot, or a frame around nothing."""
    draw = np.random.RandomState(seed)
    labels = np.arange(count) % len(CLASSES)
    pixels = draw.uniform(0, 60, (count, SIDE, SIDE))
    for image, label in zip(pixels, labels, strict=True):
        row, column = draw.randint(3, SIDE - 4, 2)
        if label == 0:
            image[:, column : column + 2] = 220
        elif label == 1:
            image[row : row + 3, column : column + 3] = 220
        else:
            image[[0, -1]] = image[:, [0, -1]] = 220
    return pixels.astype(np.uint8), labels


def write_npz(path: Path, count: int, seed: int = 0) -> Path:
    """Such images as a file, their classes named 0, 1, 2."""
    pixels, labels = drawn_pixels(count, seed)
    np.savez(path, images=pixels, labels=labels)
    return path


def image_set(folder: Path, count: int, seed: int = 0) -> ImageSet:
    path = write_npz(folder / f"{count}-{seed}.npz", count, seed)
    return build_images(ImageConfig(paths=(str(path),)), folder / f"data-{count}-{seed}", lambda message: None)


def new_small_network(seed: int = 0) -> FeatureNetwork:
    return new_network(SMALL, FORMAT, seed)


def write_model(directory: Path, network: FeatureNetwork) -> Path:
    """A network as a model directory."""
    weights = modeldir.tensors_to_bytes({k: v.to(torch.float16) for k, v in network.state_dict().items()})
    modeldir.write_directory(directory, {**model_files(network), modeldir.WEIGHTS: weights})
    return directory
