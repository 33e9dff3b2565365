"""`seqgen evaluate` on images: two sets against each other, a GAN against real images, a feature network on labels."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqgen.cli import streams
from seqgen.cli.answering import Judged
from seqgen.cli.terminal import Terminal
from seqgen.config import ImageConfig, ImageFormat
from seqgen.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from seqgen.data.images import ImageSet
    from seqgen.tasks.features.image_scores import Comparison, Side
    from seqgen.tasks.features.model import FeatureModel
    from seqgen.tasks.gan.model import GanModel

# Fakes that a GAN makes at most unless told, and beside statistics: as many as these are of, within reason.
SAMPLES, SAMPLES_BESIDE_STATISTICS = 10_000, 50_000
SEED = 0


@dataclass(frozen=True)
class Wanted:
    """How images are to be compared.

    Args:
        features (str): the feature network; empty for the one that suits the images.
        weights (Path | None): its weights, where they are not part of a model.
        samples (int): how many images a GAN makes; 0 for as many as one half of the real ones, within reason.
        save_statistics (Path | None): where the moments of the real images go.
    """

    features: str
    weights: Path | None
    samples: int
    save_statistics: Path | None


# What is judged -----------------------------------------------------------------------------------------------


def compare_sets(paths: list[str], wanted: Wanted, place: torch.device, terminal: Terminal, judged: Judged) -> None:
    """Judge the images of the second path by those of the first; either may be a statistics file."""
    from seqgen.tasks.features.image_scores import compare

    if len(paths) != 2 and not (len(paths) == 1 and wanted.save_statistics):
        raise UsageError("two sets of images are compared: the real ones and the others", hint="seqgen evaluate A B")
    with tempfile.TemporaryDirectory() as folder:
        sets = [_open(ImageConfig(paths=(p,)), Path(folder, str(i)), terminal) for i, p in enumerate(paths)]
        model = _feature_model(wanted, sets, place)
        sides = [_side(model, images, terminal) for images in sets]
    _save_statistics(wanted, sides[0])
    if len(sides) == 2:
        _report(compare(model, sides[0], sides[1], SEED), terminal, judged)


def judge_gan(
    name: str, paths: list[str], wanted: Wanted, place: torch.device, terminal: Terminal, judged: Judged
) -> None:
    """Judge what a GAN makes by real images: as many as half of them, and of the same classes where these are known."""
    from seqgen.tasks.features.image_scores import compare, look, match_classes
    from seqgen.tasks.gan.model import GanModel

    if wanted.samples == 1:
        raise UsageError("--samples 1: one image is no set to compare", hint="2 at least, better as many as are real")
    gan = GanModel.load(name, place)
    with tempfile.TemporaryDirectory() as folder:
        real = _open(_alike(paths, gan.config.images), Path(folder), terminal)
        model = _feature_model(wanted, [real], place)
        side = _side(model, real, terminal)
        labels = None if isinstance(real, Path) else match_classes(real.classes, gan.classes, real.labels)
    _save_statistics(wanted, side)
    count = wanted.samples or _fakes_beside(side)
    fakes, asked = _imagine(gan, count, labels, terminal)
    with terminal.progress("looking", count) as advance:
        fake = look(model, fakes, asked, gan.classes, advance)
    _report(compare(model, side, fake, SEED), terminal, judged)


def judge_features(name: str, paths: list[str], place: torch.device, terminal: Terminal, judged: Judged) -> None:
    """Say how well a feature network tells classes apart."""
    import numpy as np

    from seqgen.nets.images.features import FeatureNetwork
    from seqgen.tasks.features.image_scores import match_classes
    from seqgen.tasks.features.model import FeatureModel
    from seqgen.tasks.features.task import evaluate, labels_of

    network = FeatureModel.load(name, place).network
    assert isinstance(network, FeatureNetwork)
    with tempfile.TemporaryDirectory() as folder:
        images = _open(_alike(paths, network.images), Path(folder), terminal)
        if isinstance(images, Path):
            raise DataError(f"{images} holds statistics, not images")
        labels = match_classes(images.classes, network.classes, labels_of(images))
        if labels is None:
            unknown = ", ".join(sorted(set(images.classes) - set(network.classes)))
            raise DataError(f"{', '.join(paths)} has classes that {name} does not know: {unknown}")
        with terminal.progress("evaluating", len(images)) as advance:
            numbered = dataclasses.replace(images, labels=labels)
            measures = evaluate(network, numbered, np.arange(len(images)), advance=advance)
    assert measures is not None  # nothing asks this pass to stop
    if judged.as_json:
        judged.write_json(measures)
        return
    streams.show(
        f"{judged.heading(10)}"
        f"accuracy  {measures['accuracy']:.4f}\n"
        f"loss      {measures['loss']:.4f} nats per image\n"
        f"images    {measures['images']:,}\n"
    )


# Opening and looking ------------------------------------------------------------------------------------------


def _alike(paths: list[str], form: ImageFormat) -> ImageConfig:
    """Images of the size and colours that a model knows."""
    size = f"{form.height}x{form.width}"
    return ImageConfig(paths=tuple(paths), image_size=size, channels="grey" if form.channels == 1 else "rgb")


def _open(config: ImageConfig, folder: Path, terminal: Terminal) -> ImageSet | Path:
    """Images, decoded into a folder, or a statistics file as it is."""
    from seqgen.data.images import build_images
    from seqgen.metrics.image_statistics import is_statistics

    first = Path(config.paths[0])
    if len(config.paths) == 1 and is_statistics(first):
        return first
    images = build_images(config, folder, terminal.warn, any_size=True)
    if len(images) < 2:
        raise DataError(f"{', '.join(config.paths)}: one image is no set to compare")
    return images


def _feature_model(wanted: Wanted, sets: Sequence[ImageSet | Path], place: torch.device) -> FeatureModel:
    from seqgen.tasks.features.pretrained import default_features, open_features

    channels = [images.pixels.shape[1] for images in sets if not isinstance(images, Path)]
    if not (channels or wanted.features):
        raise UsageError("statistics do not say by which network they were made", hint="name it: --features NETWORK")
    return open_features(wanted.features or default_features(max(channels)), wanted.weights, place)


def _side(model: FeatureModel, images: ImageSet | Path, terminal: Terminal) -> Side:
    from seqgen.metrics.image_statistics import read_statistics
    from seqgen.tasks.features.image_scores import Side, look

    if not isinstance(images, Path):
        with terminal.progress("looking", len(images)) as advance:
            return look(model, images.pixels, images.labels, images.classes, advance)
    statistics = read_statistics(images)
    if statistics.features not in ("", model.identity) or len(statistics.mean) != model.network.feature_size:
        made_by = statistics.features or f"a network of {len(statistics.mean)} features"
        raise UsageError(f"{images} was made by {made_by}, not by {model.identity}")
    return Side(statistics)


def _fakes_beside(real: Side) -> int:
    """How many images a GAN makes when it is not told: what a distance and its floor can use."""
    if real.seen is not None:
        return min(SAMPLES, max(2, len(real.seen) // 2))
    return min(SAMPLES_BESIDE_STATISTICS, real.statistics.images or SAMPLES)


def _imagine(
    gan: GanModel, count: int, labels: NDArray[np.int64] | None, terminal: Terminal
) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
    """So many images of a GAN, and the classes that were asked for: drawn from those of the real images."""
    import numpy as np

    from seqgen.seeds import derive
    from seqgen.tasks.gan.imagine import Imagination

    imagination, indices = Imagination(gan, SEED), range(count)
    generator = np.random.Generator(np.random.PCG64(derive(SEED, "classes")))
    classes = [] if labels is None else generator.permutation(np.sort(labels)).tolist()
    pieces = []
    with terminal.progress("imagining", count) as advance:
        for some in imagination.images(indices, classes):
            pieces.append(some)
            advance(len(some))
    asked = imagination.labels(indices, classes)
    return np.concatenate(pieces), None if asked is None else asked.cpu().numpy()


# Reporting ----------------------------------------------------------------------------------------------------


def _save_statistics(wanted: Wanted, real: Side) -> None:
    if wanted.save_statistics is not None:
        streams.write_file(wanted.save_statistics, real.statistics.to_bytes())


def _report(comparison: Comparison, terminal: Terminal, judged: Judged) -> None:
    frechet, images = comparison.frechet, comparison.images
    sides = [f"{n:,}" if n else "unknown" for n in (frechet.real_images, frechet.fake_images)]
    if frechet.real_images != frechet.fake_images:
        terminal.warn(
            f"the counts of the two sides, {sides[0]} real and {sides[1]} others, are not equal: "
            "this distance compares only with one of the same two counts"
        )
    if judged.as_json:
        judged.write_json(comparison.to_json())
        return
    streams.show(
        f"{judged.heading(18)}"
        f"Fréchet distance  {frechet.frechet:.4f}   by {frechet.features}, {frechet.feature_size} features; "
        f"{sides[0]} real, {sides[1]} others\n"
    )
    if frechet.floor is not None:
        count = frechet.floor_images
        streams.show(f"its floor         {frechet.floor:.4f}   {count:,} real, {count:,} other real\n")
    if frechet.frechet_extrapolated is not None:
        streams.show(f"extrapolated      {frechet.frechet_extrapolated:.4f}   to infinitely many images\n")
    if images is not None:
        streams.show(
            f"kernel distance   {images.kernel:.6f}\n"
            f"precision         {images.precision:.4f}   of {images.neighbour_images:,} on each side\n"
            f"recall            {images.recall:.4f}\n"
            f"bins that differ  {images.different_bins} of {images.bins}, divergence {images.bin_divergence:.4f}\n"
        )
    if comparison.right is not None:
        streams.show(f"as asked          {comparison.right:.4f}\n")
    _report_classes(comparison)


def _report_classes(comparison: Comparison) -> None:
    """A line for each class: how many are taken for it, and what became of those that were to be of it."""
    if not comparison.classes:
        return
    width = max(len("class"), *(len(score.name) for score in comparison.classes))
    streams.show(f"\n{'class':{width}}     real   others  as asked   Fréchet  recall\n")
    for score in comparison.classes:
        cells = [
            f"{score.real:7,}",
            f"{score.fake:7,}",
            f"{score.right:8.1%}" if score.right is not None else f"{'-':>8}",
            f"{score.frechet:8.3f}" if score.frechet is not None else f"{'-':>8}",
            f"{score.recall:6.3f}" if score.recall is not None else f"{'-':>6}",
        ]
        streams.show(f"{score.name:{width}}  {'  '.join(cells)}{'  missing' if score.missing else ''}\n")
