"""What `evaluate` says of a network that makes images of images, by pairs."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import torch

from seqgen.config import PairConfig
from seqgen.config.evaluation import ImagePairsEvaluation
from seqgen.data.image_pairs import build_pairs
from seqgen.errors import DataError, UsageError
from seqgen.nets.images.features import with_channels
from seqgen.tasks.features.evaluate import alike
from seqgen.tasks.features.pretrained import open_features
from seqgen.tasks.features.texture import TextureFeatures
from seqgen.tasks.image_translation.judge import PairJudge
from seqgen.tasks.image_translation.model import TranslatorModel
from seqgen.tasks.image_translation.translate import made_of
from seqgen.tasks.kind import Evaluated, Request

SEED = 0


def evaluate_pairs(request: Request) -> Evaluated:
    """What is made of the inputs of some pairs by their targets: the pairs lie as those did that it learned from.

    Raises:
        SeqgenError: the model or the images cannot be used.
    """
    options: ImagePairsEvaluation = request.options
    model = TranslatorModel.load(request.model, request.device)
    most = max(model.source_channels, model.images.channels) if model.condition == "none" else model.images.channels
    images = alike(request.paths, dataclasses.replace(model.images, channels=most))
    if model.condition != "none" and len(request.paths) > 1:
        raise UsageError("the inputs are derived from the targets: give these alone")
    how = PairConfig(direction=model.config.direction, condition=model.condition)
    with tempfile.TemporaryDirectory() as folder:
        pairs = build_pairs(images, how, Path(folder), request.warn)
        sources = with_channels(torch.tensor(pairs.sources), model.source_channels).numpy()
        targets = with_channels(torch.tensor(pairs.targets), model.images.channels).numpy()
    if len(targets) < 2:
        raise DataError(f"{', '.join(request.paths)}: one pair is too few to judge by")
    named = options.features not in ("", "texture") or options.weights is not None
    extractor = open_features(options.features, options.weights, request.device) if named else TextureFeatures()
    made = []
    with request.progress("translating", len(sources)) as advance:
        for first in range(0, len(sources), 256):
            made.append(made_of(model, sources[first : first + 256], SEED))
            advance(len(made[-1]))
    quality = PairJudge(targets, extractor, SEED).judge(np.concatenate(made))
    measures = quality.known() | {"features": extractor.identity, "pairs": len(targets)}
    lines = [f"L1                {quality.l1:.4f}", f"PSNR              {quality.psnr:.2f} dB"]
    lines.append(f"SSIM              {quality.ssim:.4f}")
    if quality.frechet is not None and quality.floor is not None:
        half = len(targets) // 2
        by = f"by {extractor.identity}; {half:,} outputs, {half:,} other targets"
        lines.append(f"Fréchet distance  {quality.frechet:.4f}   {by}")
        lines.append(f"its floor         {quality.floor:.4f}   {half:,} targets, {half:,} other targets")
    lines.append(f"pairs             {len(targets):,}")
    return Evaluated(measures, "\n".join(lines) + "\n", 18)
