"""What `evaluate` says of a GAN, by real images."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqgen.config import LapGanNetworks
from seqgen.config.evaluation import GanEvaluation
from seqgen.data.images import ImageSet
from seqgen.errors import UsageError
from seqgen.seeds import derive
from seqgen.tasks.features.evaluate import SEED, alike, feature_model, open_images, reported, side_of, statistics_of
from seqgen.tasks.features.image_scores import Side, compare, extracted_side, match_classes, score_frechet
from seqgen.tasks.features.model import FeatureModel
from seqgen.tasks.gan.imagine import Imagination
from seqgen.tasks.gan.levels import stages_of
from seqgen.tasks.gan.model import GanModel
from seqgen.tasks.kind import Evaluated, Request

# Fakes that a GAN makes at most unless told, and beside statistics: as many as these are of, within reason.
SAMPLES, SAMPLES_BESIDE_STATISTICS = 10_000, 50_000


def evaluate_samples(request: Request) -> Evaluated:
    """What a GAN makes by real images: as many as half of them, and of the same classes where these are known.

    Raises:
        SeqgenError: the model or the images cannot be used.
    """
    options: GanEvaluation = request.options
    if options.samples == 1:
        raise UsageError("--samples 1: one image is no set to compare", hint="2 at least, better as many as are real")
    gan = GanModel.load(request.model, request.device)
    with tempfile.TemporaryDirectory() as folder:
        real = open_images(alike(request.paths, gan.config.images), Path(folder), request)
        model = feature_model(request, [real])
        side = side_of(model, real, request)
        labels = None if isinstance(real, Path) else match_classes(real.classes, gan.classes, real.labels)
    count = options.samples or _fakes_beside(side)
    fakes, asked = _imagine(gan, count, labels, request)
    with request.progress("looking", count) as advance:
        fake = extracted_side(model, fakes, asked, gan.classes, advance)
    found = reported(compare(model, side, fake, SEED), request, statistics_of(side, options))
    if isinstance(gan.config, LapGanNetworks) and not isinstance(real, Path):
        return _with_levels(found, gan, real, count, [] if asked is None else asked.tolist(), model)
    return found


def _with_levels(
    found: Evaluated, gan: GanModel, real: ImageSet, count: int, asked: Sequence[int], model: FeatureModel
) -> Evaluated:
    """The same, and how far the images of each level are from real ones of that size."""
    made = Imagination(gan, SEED).stages(range(count), asked)
    levels, lines = [], []
    for level, (fakes, reals) in enumerate(zip(made, stages_of(real.pixels, len(made)), strict=True), 1):
        score = score_frechet(model, extracted_side(model, reals), extracted_side(model, fakes))
        height, width = fakes.shape[2:]
        levels.append({"height": height, "width": width, "frechet": score.frechet, "floor": score.floor})
        floor = "" if score.floor is None else f"   floor {score.floor:.4f}"
        lines.append(f"level {level}{'':11}{score.frechet:.4f}   {height}x{width}{floor}\n")
    return Evaluated({**found.measures, "levels": levels}, found.text + "".join(lines), found.width, found.files)


def _fakes_beside(real: Side) -> int:
    """How many images a GAN makes when it is not told: what a distance and its floor can use."""
    if real.extracted is not None:
        return min(SAMPLES, max(2, len(real.extracted) // 2))
    return min(SAMPLES_BESIDE_STATISTICS, real.statistics.images or SAMPLES)


def _imagine(
    gan: GanModel, count: int, labels: NDArray[np.int64] | None, request: Request
) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
    """So many images of a GAN `(count, channels, height, width)`, and the classes that were asked for `(count,)`.

    These are drawn from those of the real images.
    """
    imagination, indices = Imagination(gan, SEED), range(count)
    generator = np.random.Generator(np.random.PCG64(derive(SEED, "classes")))
    classes = [] if labels is None else generator.permutation(np.sort(labels)).tolist()
    pieces = []
    with request.progress("imagining", count) as advance:
        for some in imagination.images(indices, classes):
            pieces.append(some)
            advance(len(some))
    asked = imagination.labels(indices, classes)
    return np.concatenate(pieces), None if asked is None else asked.cpu().numpy()
