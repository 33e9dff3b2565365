"""How many modes a GAN finds: Stacked MNIST, three digits as the colour planes of one image, 1000 triples.

    python tests/benchmarks/stacked_mnist.py build shared/data/mnist stacked.npz
    seqgen gan-train stacked.npz --features pixels --minutes 9 --threads 1 --out g
    seqgen gan-sample -m g --n 26000 --seed 0 --format npz --out samples.npz
    python tests/benchmarks/stacked_mnist.py count samples.npz

The set is that of Metz et al. 2017; 26,000 samples are usual since Srivastava et al. 2017. The shipped
`digits-features` looks at each plane, and a mode is found if one sample shows it. The divergence is
KL(samples || uniform) in nats: 0 when all modes are as frequent, log 1000 = 6.91 when there is one. 26,000 images of
the set itself have 1000 modes and 0.024 nats.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from seqgen.seeds import derive
from seqgen.tasks.features.model import DIGITS, FeatureModel

PLANES, MODES, SIDE = 3, 1000, 28
IMAGES = 128_000
TRAIN = "train-images-idx3-ubyte.gz"

Pixels = NDArray[np.uint8]
Indices = NDArray[np.int64]


def stack(digits: Pixels, count: int, seed: int) -> Pixels:
    """Colour images `(count, height, width, 3)`, each of three random ones of the digits `(digits, height, width)`."""
    draw = np.random.Generator(np.random.PCG64(derive(seed, "stacked")))
    return np.ascontiguousarray(digits[draw.integers(len(digits), size=(count, PLANES))].transpose(0, 2, 3, 1))


def triples(digits: Indices) -> Indices:
    """The mode of each image, `(images,)` from 0 to 999, from the digits in its planes `(images, 3)`."""
    return digits @ 10 ** np.arange(PLANES)[::-1]


def coverage(modes: Indices) -> tuple[int, float]:
    """How many of the modes there are, and the divergence of their shares from equal ones in nats."""
    counts = np.bincount(modes, minlength=MODES)
    shares = counts[counts > 0] / len(modes)
    return len(shares), float((shares * np.log(shares * MODES)).sum())


def seen(images: Pixels) -> Indices:
    """The digit in each plane of images `(images, height, width, 3)`, as the shipped classifier sees it."""
    model = FeatureModel.load(DIGITS, torch.device("cpu"))
    digits = [model.probs(np.ascontiguousarray(images[:, None, :, :, plane])).argmax(axis=1) for plane in range(PLANES)]
    return np.stack(digits, axis=1)


def read_digits(path: Path) -> Pixels:
    """All digits of the gzipped idx file, `(digits, height, width)`; its header takes 16 bytes."""
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, SIDE, SIDE)


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    todo = parser.add_subparsers(dest="todo", required=True)
    build = todo.add_parser("build", help="write the training images")
    build.add_argument("mnist", type=Path, help=f"folder with {TRAIN}")
    build.add_argument("out", type=Path, help="npz file")
    build.add_argument("--images", type=int, default=IMAGES)
    build.add_argument("--seed", type=int, default=0)
    count = todo.add_parser("count", help="count the modes of samples")
    count.add_argument("samples", type=Path, help="npz file of gan-sample")
    chosen = parser.parse_args()
    if chosen.todo == "build":
        np.savez(chosen.out, images=stack(read_digits(chosen.mnist / TRAIN), chosen.images, chosen.seed))
        return
    images = np.load(chosen.samples)["images"]
    found, divergence = coverage(triples(seen(images)))
    print(json.dumps({"samples": len(images), "modes": found, "of": MODES, "kl_nats": round(divergence, 4)}))


if __name__ == "__main__":
    main()
