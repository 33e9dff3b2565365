"""What `evaluate` says of a network that makes images of images: by pairs, or by the images of two domains."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqgen.config import CycleGanNetworks, PairConfig, Pix2PixNetworks
from seqgen.config.evaluation import ImageTranslationEvaluation
from seqgen.data.image_domains import Domains, build_domains
from seqgen.data.image_pairs import build_pairs
from seqgen.data.images import ImageSet
from seqgen.errors import DataError, UsageError
from seqgen.metrics.label_maps import MOST_CLASSES, LabelAgreement, label_agreement, labels_of, palette
from seqgen.nets.images.features import with_channels
from seqgen.tasks.features.evaluate import alike
from seqgen.tasks.features.pretrained import open_features
from seqgen.tasks.features.texture import TextureFeatures
from seqgen.tasks.image_translation.judge import Extractor, PairJudge
from seqgen.tasks.image_translation.model import WAYS, TranslatorModel, Way
from seqgen.tasks.image_translation.translate import made_of
from seqgen.tasks.image_translation.unpaired_judge import UnpairedJudge, kept_classes, truth_of
from seqgen.tasks.kind import Evaluated, Request

SEED = 0
Pixels = NDArray[np.uint8]
# Images that are translated between two looks at the progress.
BLOCK = 256


def evaluate_translator(request: Request) -> Evaluated:
    """What is made of images by what should be made of them.

    Raises:
        SeqgenError: the model or the images cannot be used.
    """
    model = TranslatorModel.load(request.model, request.device)
    if isinstance(model.config, Pix2PixNetworks):
        return _by_pairs(request, model, model.config)
    return _by_domains(request, model, model.config)


# Pairs --------------------------------------------------------------------------------------------------------


def _by_pairs(request: Request, model: TranslatorModel, config: Pix2PixNetworks) -> Evaluated:
    """The pairs lie as those did that the model learned from."""
    options: ImageTranslationEvaluation = request.options
    for name, typed in (("features-a", bool(options.features_a)), ("aligned", options.aligned)):
        if typed:
            raise UsageError(f"--{name} has no effect on a pix2pix model, whose images are pairs")
    if config.condition != "none" and len(request.paths) > 1:
        raise UsageError("the inputs are derived from the targets: give these alone")
    way, channels = model.way(), config.images.channels
    most = max(way.source_channels, channels) if config.condition == "none" else channels
    images = alike(request.paths, dataclasses.replace(config.images, channels=most))
    how = PairConfig(direction=config.direction, condition=config.condition)
    with tempfile.TemporaryDirectory() as folder:
        pairs = build_pairs(images, how, Path(folder), request.warn)
        sources = with_channels(torch.tensor(pairs.sources), way.source_channels).numpy()
        targets = with_channels(torch.tensor(pairs.targets), channels).numpy()
    if len(targets) < 2:
        raise DataError(f"{', '.join(request.paths)}: one pair is too few to judge by")
    reader = _reader(options.reader, way, sources, request)
    extractor, made = _extractor(options.features, request), _translated(way, sources, request)
    quality = PairJudge(targets, extractor, SEED).judge(made)
    measures = quality.known() | {"features": extractor.identity, "pairs": len(targets)}
    rows = [("L1", f"{quality.l1:.4f}"), ("PSNR", f"{quality.psnr:.2f} dB"), ("SSIM", f"{quality.ssim:.4f}")]
    if quality.frechet is not None and quality.floor is not None:
        half = len(targets) // 2
        by = f"by {extractor.identity}; {half:,} outputs, {half:,} other targets"
        rows.append(("Fréchet distance", f"{quality.frechet:.4f}   {by}"))
        rows.append(("its floor", f"{quality.floor:.4f}   {half:,} targets, {half:,} other targets"))
    if reader is not None:
        read, of_targets = (reader.agreement(images, sources) for images in (made, targets))
        measures |= {"labels": dataclasses.asdict(read), "labels_of_targets": dataclasses.asdict(of_targets)}
        rows.append(("labels read", f"{read.right:.2%}   of the pixels; in the targets {of_targets.right:.2%}"))
        overlaps = f"{read.overlap:.4f}   over union, mean of {len(reader.colours)} labels"
        rows.append(("intersection", f"{overlaps}; in the targets {of_targets.overlap:.4f}"))
    return _evaluated(measures, [*rows, ("pairs", f"{len(targets):,}")])


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Another model, which finds the labels of images."""

    way: Way
    colours: NDArray[np.float64]
    request: Request

    def agreement(self, images: Pixels, maps: Pixels) -> LabelAgreement:
        """How far the labels that it finds in images are those of their maps."""
        given = with_channels(torch.tensor(images), self.way.source_channels).numpy()
        read = _translated(self.way, given, self.request)
        found = with_channels(torch.tensor(read), maps.shape[1]).numpy()
        return label_agreement(labels_of(maps, self.colours), labels_of(found, self.colours), len(self.colours))


def _reader(name: str, way: Way, sources: Pixels, request: Request) -> _Reader | None:
    """Who reads the labels of images, if somebody was asked to.

    Raises:
        SeqgenError: no such model, or there are no labels to read.
    """
    if not name:
        return None
    reader = TranslatorModel.load(name, request.device).way()
    form, wanted = reader.images, (way.source_channels, way.images.height, way.images.width)
    if (form.channels, form.height, form.width) != wanted:
        raise UsageError(f"--reader: {name} makes images of another size or colour than the label maps")
    if not 2 <= len(colours := palette(sources)) <= MOST_CLASSES:
        raise DataError("--reader: the inputs are no label maps, in which a few colours have most of the pixels")
    return _Reader(reader, colours, request)


def _translated(way: Way, sources: Pixels, request: Request) -> Pixels:
    """What is made of images."""
    made = []
    with request.progress("translating", len(sources)) as advance:
        for first in range(0, len(sources), BLOCK):
            made.append(made_of(way, sources[first : first + BLOCK], SEED))
            advance(len(made[-1]))
    return np.concatenate(made)


# Domains ------------------------------------------------------------------------------------------------------


def _by_domains(request: Request, model: TranslatorModel, config: CycleGanNetworks) -> Evaluated:
    """The images of A and of B; with labels, whether these are kept; with aligned rows, how near the truth is."""
    options: ImageTranslationEvaluation = request.options
    if options.reader:
        raise UsageError("--reader has no effect on a CycleGAN: it reads label maps of pairs")
    if len(request.paths) != 2:
        raise UsageError("a CycleGAN is judged by the images of both domains", hint="seqgen evaluate -m MODEL A B")
    domains = _domains(request, config)
    a, b = domains.a.pixels, domains.b.pixels
    if options.aligned and len(a) != len(b):
        raise DataError(f"--aligned: there are {len(a):,} images of A and {len(b):,} of B")
    of_a = _extractor(options.features_a or options.features, request)
    judge = UnpairedJudge(a, b, (of_a, _extractor(options.features, request)), SEED)
    measures: dict[str, Any] = {}
    rows: list[tuple[str, str]] = []
    with request.progress("translating", len(a) + len(b)) as advance:
        for (way, back), source in zip(WAYS, (domains.a, domains.b), strict=True):
            found = judge.judge(model.way(way), model.way(back), way)
            advance(len(source))
            known: dict[str, Any] = {"cycle": found.cycle, "frechet": found.frechet, "floor": found.floor}
            known |= {"kept": kept_classes(found.made, source, judge.extractors[way])}
            known |= {"features": judge.extractors[way].identity, "images": len(source)}
            if options.aligned:
                known |= truth_of(way, domains, found.made)
            measures[way] = {name: value for name, value in known.items() if value is not None}
            rows += [(f"{way}: {name}", text) for name, text in _said(measures[way])]
    return _evaluated(measures, rows)


def _said(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [("there and back", f"{found['cycle']:.4f}   L1 of {found['images']:,} images")]
    if "frechet" in found:
        rows.append(("Fréchet distance", f"{found['frechet']:.4f}   by {found['features']}"))
        rows.append(("its floor", f"{found['floor']:.4f}"))
    if "kept" in found:
        rows.append(("class kept", f"{found['kept']:.2%}"))
    if "truth" in found:
        others = f"the input itself {found['identity']:.4f}, its histogram matched {found['histogram']:.4f}"
        rows.append(("from the truth", f"{found['truth']:.4f}   {others}"))
    return rows


def _domains(request: Request, config: CycleGanNetworks) -> Domains:
    """The images of both, in the size and the channels that the model knows."""
    sides = (config.images_a, config.images_b)
    images = alike(request.paths, dataclasses.replace(sides[0], channels=max(side.channels for side in sides)))
    with tempfile.TemporaryDirectory() as folder:
        found = build_domains(images, Path(folder), request.warn)
        a, b = (_held(side, form.channels) for side, form in zip((found.a, found.b), sides, strict=True))
    for side, path in zip((a, b), request.paths, strict=True):
        if len(side) < 2:
            raise DataError(f"{path}: one image is no set to compare")
    return Domains(a, b)


def _held(side: ImageSet, channels: int) -> ImageSet:
    """Images in memory, grey or colour."""
    return dataclasses.replace(side, pixels=with_channels(torch.tensor(side.pixels), channels).numpy())


# Both ---------------------------------------------------------------------------------------------------------


def _extractor(name: str, request: Request) -> Extractor:
    options: ImageTranslationEvaluation = request.options
    if name in ("", "texture") and options.weights is None:
        return TextureFeatures()
    return open_features(name, options.weights, request.device)


def _evaluated(measures: dict[str, Any], rows: Sequence[tuple[str, str]]) -> Evaluated:
    width = max(len(name) for name, _ in rows) + 2
    return Evaluated(measures, "".join(f"{name:{width}}{text}\n" for name, text in rows), width)
