"""The images that the examples in the helps name, in the current directory."""

from __future__ import annotations

import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
from PIL import Image

COUNT, SIDE, CLASSES = 40, 28, 10


def write_pictures() -> None:
    """MNIST's training images, in small; folders of two classes; archives of them."""
    draw = np.random.RandomState(0)
    pixels = draw.randint(0, 256, (COUNT, SIDE, SIDE)).astype(np.uint8)
    labels = (np.arange(COUNT) % CLASSES).astype(np.uint8)
    for name, array in (("train-images-idx3-ubyte.gz", pixels), ("train-labels-idx1-ubyte.gz", labels)):
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        Path(name).write_bytes(gzip.compress(header + array.tobytes()))
    for folder in ("photos", "real", "fakes", "maps", "horses", "zebras"):
        for i, image in enumerate(pixels[:16]):
            place = Path(folder, "ab"[i % 2])
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{i}.png")
    Image.fromarray(pixels[0]).save("drawing.png")
    Image.fromarray(pixels[1]).convert("RGB").save("photo.png")
    for folder in ("fakes", "photos"):
        shutil.make_archive(folder, "zip", folder)
