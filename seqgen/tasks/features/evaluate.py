"""What `evaluate` says of sets of images, and of a feature network and labelled images."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from seqgen.config import ImageConfig, ImageFormat
from seqgen.config.evaluation import GanEvaluation, SetsEvaluation
from seqgen.data.images import ImageSet, build_images
from seqgen.errors import DataError, UsageError
from seqgen.metrics.image_statistics import is_statistics, read_statistics
from seqgen.nets.images.features import FeatureNetwork
from seqgen.tasks.features.image_scores import Comparison, Side, compare, extracted_side, match_classes
from seqgen.tasks.features.model import FeatureModel
from seqgen.tasks.features.pretrained import default_features, open_features
from seqgen.tasks.features.task import evaluate, labels_of
from seqgen.tasks.kind import Evaluated, Request

SEED = 0


def compare_sets(request: Request) -> Evaluated:
    """The images of the second path by those of the first; either may be a statistics file.

    Raises:
        SeqgenError: the network or the images cannot be used.
    """
    paths, options = request.paths, request.options
    if len(paths) != 2 and not (len(paths) == 1 and options.save_statistics):
        raise UsageError("two sets of images are compared: the real ones and the others", hint="seqgen evaluate A B")
    with tempfile.TemporaryDirectory() as folder:
        sets = [open_images(ImageConfig(paths=(p,)), Path(folder, str(i)), request) for i, p in enumerate(paths)]
        model = feature_model(request, sets)
        sides = [side_of(model, images, request) for images in sets]
    if len(sides) == 1:
        return Evaluated({}, "", 0, statistics_of(sides[0], options))
    return reported(compare(model, sides[0], sides[1], SEED), request, statistics_of(sides[0], options))


def evaluate_classes(request: Request) -> Evaluated:
    """How well a feature network tells classes apart.

    Raises:
        SeqgenError: the network or the images cannot be used.
    """
    network = FeatureModel.load(request.model, request.device).network
    assert isinstance(network, FeatureNetwork)
    with tempfile.TemporaryDirectory() as folder:
        images = open_images(alike(request.paths, network.images), Path(folder), request)
        if isinstance(images, Path):
            raise DataError(f"{images} holds statistics, not images")
        labels = match_classes(images.classes, network.classes, labels_of(images))
        if labels is None:
            unknown = ", ".join(sorted(set(images.classes) - set(network.classes)))
            raise DataError(f"{', '.join(request.paths)} has classes that {request.model} does not know: {unknown}")
        with request.progress("evaluating", len(images)) as advance:
            numbered = dataclasses.replace(images, labels=labels)
            measures = evaluate(network, numbered, np.arange(len(images)), advance=advance)
    assert measures is not None  # nothing asks this pass to stop
    return Evaluated(
        measures,
        f"accuracy  {measures['accuracy']:.4f}\n"
        f"loss      {measures['loss']:.4f} nats per image\n"
        f"images    {measures['images']:,}\n",
        width=10,
    )


# Opening ------------------------------------------------------------------------------------------------------


def alike(paths: Sequence[str], form: ImageFormat) -> ImageConfig:
    """Images of the size and colours that a model knows."""
    size = f"{form.height}x{form.width}"
    return ImageConfig(paths=tuple(paths), image_size=size, channels="grey" if form.channels == 1 else "rgb")


def open_images(config: ImageConfig, folder: Path, request: Request) -> ImageSet | Path:
    """Images, decoded into a folder, or a statistics file as it is.

    Raises:
        DataError: they cannot be read, or are too few.
    """
    first = Path(config.paths[0])
    if len(config.paths) == 1 and is_statistics(first):
        return first
    images = build_images(config, folder, request.warn, any_size=True)
    if len(images) < 2:
        raise DataError(f"{', '.join(config.paths)}: one image is no set to compare")
    return images


def feature_model(request: Request, sets: Sequence[ImageSet | Path]) -> FeatureModel:
    """The network that was asked for, or the one that suits the images.

    Raises:
        UsageError: only statistics are given, and no network is named.
    """
    options: SetsEvaluation | GanEvaluation = request.options
    channels = [images.pixels.shape[1] for images in sets if not isinstance(images, Path)]
    if not (channels or options.features):
        raise UsageError("statistics do not say by which network they were made", hint="name it: --features NETWORK")
    return open_features(options.features or default_features(max(channels)), options.weights, request.device)


def side_of(model: FeatureModel, images: ImageSet | Path, request: Request) -> Side:
    """What a network extracts from images, or what a statistics file says of others.

    Raises:
        UsageError: the statistics are those of another network.
    """
    if not isinstance(images, Path):
        with request.progress("looking", len(images)) as advance:
            return extracted_side(model, images.pixels, images.labels, images.classes, advance)
    statistics = read_statistics(images)
    if statistics.features not in ("", model.identity) or len(statistics.mean) != model.network.feature_size:
        made_by = statistics.features or f"a network of {len(statistics.mean)} features"
        raise UsageError(f"{images} was made by {made_by}, not by {model.identity}")
    return Side(statistics)


# Reporting ----------------------------------------------------------------------------------------------------


def statistics_of(real: Side, options: SetsEvaluation | GanEvaluation) -> Mapping[Path, bytes]:
    """The statistics file of the real images, if it is wanted."""
    return {} if options.save_statistics is None else {options.save_statistics: real.statistics.to_bytes()}


def reported(comparison: Comparison, request: Request, files: Mapping[Path, bytes]) -> Evaluated:
    """A comparison in numbers and in lines."""
    frechet = comparison.frechet
    sides = [f"{n:,}" if n else "unknown" for n in (frechet.real_images, frechet.fake_images)]
    if frechet.real_images != frechet.fake_images:
        request.warn(
            f"the counts of the two sides, {sides[0]} real and {sides[1]} others, are not equal: "
            "this distance compares only with one of the same two counts"
        )
    lines = [
        f"Fréchet distance  {frechet.frechet:.4f}   by {frechet.features}, {frechet.feature_size} features; "
        f"{sides[0]} real, {sides[1]} others"
    ]
    if frechet.floor is not None:
        count = frechet.floor_images
        lines.append(f"its floor         {frechet.floor:.4f}   {count:,} real, {count:,} other real")
    if frechet.frechet_extrapolated is not None:
        lines.append(f"extrapolated      {frechet.frechet_extrapolated:.4f}   to infinitely many images")
    if (images := comparison.images) is not None:
        lines += [
            f"kernel distance   {images.kernel:.6f}",
            f"precision         {images.precision:.4f}   of {images.neighbour_images:,} on each side",
            f"recall            {images.recall:.4f}",
            f"bins that differ  {images.different_bins} of {images.bins}, divergence {images.bin_divergence:.4f}",
        ]
    if comparison.right is not None:
        lines.append(f"as asked          {comparison.right:.4f}")
    lines += _class_lines(comparison)
    return Evaluated(comparison.to_json(), "\n".join(lines) + "\n", 18, files)


def _class_lines(comparison: Comparison) -> list[str]:
    """A line for each class: how many are taken for it, and what became of those that were to be of it."""
    if not comparison.classes:
        return []
    width = max(len("class"), *(len(score.name) for score in comparison.classes))
    lines = ["", f"{'class':{width}}     real   others  as asked   Fréchet  recall"]
    for score in comparison.classes:
        cells = [
            f"{score.real:7,}",
            f"{score.fake:7,}",
            f"{score.right:8.1%}" if score.right is not None else f"{'-':>8}",
            f"{score.frechet:8.3f}" if score.frechet is not None else f"{'-':>8}",
            f"{score.recall:6.3f}" if score.recall is not None else f"{'-':>6}",
        ]
        lines.append(f"{score.name:{width}}  {'  '.join(cells)}{'  missing' if score.missing else ''}")
    return lines
