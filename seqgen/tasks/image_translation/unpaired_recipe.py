"""What `gan-train --arch cyclegan` brings to the training: its domains, networks, task, measures and card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqgen import modeldir
from seqgen.config import CycleGanNetworks, ImageFormat, UnpairedSettings, in_words
from seqgen.data.epochs import Indices
from seqgen.data.image_domains import LAST, Domains, build_domains
from seqgen.data.image_order import digests_of
from seqgen.data.images import ImageSet
from seqgen.errors import ConfigError, DataError, UsageError
from seqgen.tasks.card import model_card, table
from seqgen.tasks.features.task import split
from seqgen.tasks.gan.task import GanTask
from seqgen.tasks.image_translation.judge import extractor_for
from seqgen.tasks.image_translation.kind import MEASURES
from seqgen.tasks.image_translation.model import WAYS, CycleGan, Pix2Pix, TranslatorModel
from seqgen.tasks.image_translation.recipe import NO_MODEL, channels_in_words
from seqgen.tasks.image_translation.unpaired import Unpaired
from seqgen.tasks.image_translation.unpaired_judge import UnpairedJudge
from seqgen.tasks.image_translation.unpaired_watch import UnpairedWatch
from seqgen.train.recipe import Made


class UnpairedRecipe:
    """See `seqgen.train.recipe.Recipe`.

    Args:
        settings (UnpairedSettings): what is wanted.
        warn (Callable[[str], None]): told about images that were passed over.
    """

    index = LAST
    measured_on = "valid"
    measures = MEASURES
    used_by = "seqgen gan-translate"

    def __init__(self, settings: UnpairedSettings, warn: Callable[[str], None] = lambda message: None) -> None:
        self.settings, self._warn = settings, warn

    def sources(self) -> list[str]:
        """The images."""
        return list(self.settings.paths)

    def make(self, folder: Path) -> Domains:
        """Decode the images, or reopen them."""
        if (features := self.settings.game.features) not in NO_MODEL:
            modeldir.locate(features)  # before the run begins, not after
        domains = build_domains(self.settings.images, folder, self._warn)
        for side, path in zip((domains.a, domains.b), self.settings.paths, strict=True):
            if len(side) < 2:
                raise DataError(f"{path}: one to learn from, and one to be judged by, are the least, not {len(side)}")
        networks_of(self.settings, domains)  # said before a run begins
        return domains

    open = make

    def build(self, data: Domains) -> UnpairedTrainee:
        """Untrained networks, their weights a function of the seed."""
        model = TranslatorModel.new(networks_of(self.settings, data), self.settings.train.seed)
        return UnpairedTrainee(self.settings, data, model)


def networks_of(settings: UnpairedSettings, domains: Domains) -> CycleGanNetworks:
    """The networks for these images.

    Raises:
        UsageError: the images are too small, or cannot stay as they are.
    """
    a, b = (_format(side) for side in (domains.a, domains.b))
    if settings.game.identity and a.channels != b.channels:
        raise UsageError("--identity: images of other channels cannot stay as they are", hint="--channels rgb, or grey")
    try:
        return CycleGanNetworks(images_a=a, images_b=b, cyclegan=settings.network)
    except ConfigError as error:
        raise UsageError(error.message, hint=error.hint or "a larger --image-size") from None


def _format(side: ImageSet) -> ImageFormat:
    _, channels, height, width = side.pixels.shape
    return ImageFormat(channels=channels, height=height, width=width)


@dataclass(frozen=True)
class UnpairedTrainee:
    """See `seqgen.train.recipe.Trainee`."""

    settings: UnpairedSettings
    domains: Domains
    model: TranslatorModel

    @property
    def network(self) -> Pix2Pix | CycleGan:
        """All four networks."""
        return self.model.networks

    def task(self, share: Callable[[int], slice]) -> GanTask:
        """Batches of images of both domains, and what watches them."""
        settings, train = self.settings, self.settings.train
        (train_a, held_a), (train_b, held_b) = self._split(self.domains.a), self._split(self.domains.b)
        family = Unpaired(self.model, self.domains, settings.domains, settings.game, train_b)
        watch = UnpairedWatch(
            family,
            self.model,
            self.domains,
            (held_a, held_b),
            settings.game,
            share=share,
            seed=train.seed,
            validation_share=train.validation_share,
        )
        batch_size = train.batch_size
        return GanTask(family, watch, train_a, settings.game, batch_size=batch_size, seed=train.seed, share=share)

    def _split(self, side: ImageSet) -> tuple[Indices, Indices]:
        return split(digests_of(side.pixels), self.settings.domains.valid, self.settings.train.seed)

    def files(self) -> dict[str, bytes]:
        """`config.json`."""
        return self.model.files()

    def described(self) -> tuple[str, str]:
        """Images and parameters; sizes."""
        sides = []
        for name, side in (("A", self.domains.a), ("B", self.domains.b)):
            learned, held_out = self._split(side)
            channels = channels_in_words(side.pixels.shape[1])
            sides.append(f"{name}: {len(learned):,} {channels} images, {len(held_out):,} held out")
        assert isinstance(self.model.networks, CycleGan)
        networks = self.model.networks
        sizes = [sum(p.numel() for p in part.parameters()) for part in (networks.generators, networks.discriminator_a)]
        height, width = self.domains.a.pixels.shape[2:]
        return (
            f"{'; '.join(sides)}; {height}x{width}; generators {sizes[0]:,} parameters, a discriminator {sizes[1]:,}",
            f"{in_words(self.settings.network)}; {in_words(self.settings.game)}",
        )

    def judge(self, note: Callable[[str], None], stop: Callable[[], bool]) -> dict[str, Any] | None:
        """The measures of all held-out images, both ways."""
        (_, held_a), (_, held_b) = self._split(self.domains.a), self._split(self.domains.b)
        if not min(len(held_a), len(held_b)):
            return {}
        name, ways = self.settings.game.features, self.model.ways
        a, b = self.domains.a.pixels[held_a], self.domains.b.pixels[held_b]
        extractors = (extractor_for(name, a, ways["a2b"].device), extractor_for(name, b, ways["a2b"].device))
        judge = UnpairedJudge(a, b, extractors, self.settings.train.seed)
        measures: dict[str, Any] = {}
        for way, back in WAYS:
            if stop():
                return None
            found = judge.judge(ways[way], ways[back], way)
            known = {"cycle": found.cycle, "frechet": found.frechet, "floor": found.floor}
            measures |= {f"{name}_{way}": value for name, value in known.items() if value is not None}
        return measures | {
            "cycle": float(np.mean([measures["cycle_a2b"], measures["cycle_b2a"]])),
            "images_a": len(held_a),
            "images_b": len(held_b),
        }

    def summary(self, measures: Mapping[str, float]) -> str:
        """Distances in a few words."""
        ways = []
        for way in ("a2b", "b2a"):
            distance = (
                f", Fréchet distance {measures[f'frechet_{way}']:.3g} (floor {measures[f'floor_{way}']:.3g})"
                if f"frechet_{way}" in measures
                else ""
            )
            ways.append(f"{way}: there and back {measures[f'cycle_{way}']:.4f}{distance}")
        return "; ".join(ways)

    def card(self, made: Made, measures: Mapping[str, float]) -> str:
        """The model card."""
        settings, images = self.settings, self.model.way().images
        a, b = (f"`{path}`" for path in settings.paths)
        parameters = sum(p.numel() for p in self.model.way().generator.parameters())
        return model_card(
            made,
            kind=(
                f"A CycleGAN between two kinds of images, trained without pairs at {images.height}x{images.width} "
                f"pixels: {parameters:,} parameters\nin the generator from A to B. What it was never shown it makes up."
            ),
            use=f"seqgen gan-translate -m {made.name} --direction a2b a.png > b.png",
            data=(
                f"A: {a}. B: {b}. {settings.domains.valid:.0%} of each held out, drawn at random. The images and their "
                "licence are their owner's."
            ),
            measures=_measured(measures, settings) if measures else "None: nothing was held out.",
        )


def _measured(measures: Mapping[str, float], settings: UnpairedSettings) -> str:
    columns = {}
    for way in ("a2b", "b2a"):
        columns[f"there and back, {way}"] = f"{measures[f'cycle_{way}']:.4f}"
        if f"frechet_{way}" in measures:
            columns[f"Fréchet distance, {way}"] = f"{measures[f'frechet_{way}']:.4g}"
            columns[f"its floor, {way}"] = f"{measures[f'floor_{way}']:.4g}"
    return (
        f"On the images held out, {measures['images_a']:,} of A and {measures['images_b']:,} of B. L1 of an image that "
        f"went there and back from itself; Fréchet distances in `{settings.game.features}` features.\n\n"
        f"{table(columns)}"
    )
