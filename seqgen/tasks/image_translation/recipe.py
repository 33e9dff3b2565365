"""What `gan-train --arch pix2pix` brings to the training: its pairs, networks, task, measures and card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from seqgen import modeldir
from seqgen.config import ImageFormat, PairedSettings, Pix2PixNetworks, in_words
from seqgen.data.epochs import Indices
from seqgen.data.image_order import digests_of
from seqgen.data.image_pairs import INDEX, PairSet, build_pairs
from seqgen.errors import ConfigError, DataError, UsageError
from seqgen.tasks.card import model_card, table
from seqgen.tasks.features.task import split
from seqgen.tasks.gan.task import GanTask
from seqgen.tasks.image_translation.judge import PairJudge, extractor_for
from seqgen.tasks.image_translation.kind import MEASURES
from seqgen.tasks.image_translation.model import CycleGan, Pix2Pix, TranslatorModel
from seqgen.tasks.image_translation.paired import Paired
from seqgen.tasks.image_translation.translate import made_of
from seqgen.tasks.image_translation.watch import TranslationWatch
from seqgen.train.recipe import Made

# Names of features that are no models of their own.
NO_MODEL = ("auto", "texture", "pixels", "digits", "efficientnet")


class PairedRecipe:
    """See `seqgen.train.recipe.Recipe`.

    Args:
        settings (PairedSettings): what is wanted.
        warn (Callable[[str], None]): told about images that were passed over.
    """

    index = INDEX
    measured_on = "valid"
    measures = MEASURES
    used_by = "seqgen gan-translate"

    def __init__(self, settings: PairedSettings, warn: Callable[[str], None] = lambda message: None) -> None:
        self.settings, self._warn = settings, warn

    def sources(self) -> list[str]:
        """The images."""
        return list(self.settings.paths)

    def make(self, folder: Path) -> PairSet:
        """Decode the images, or reopen them."""
        settings = self.settings
        if (features := settings.game.features) not in NO_MODEL:
            modeldir.locate(features)  # before the run begins, not after
        pairs = build_pairs(settings.images, settings.pairs, folder, self._warn)
        if len(pairs) < 2:
            raise DataError("there is one pair only: one to learn from, and one to be judged by, are the least")
        networks_of(settings, pairs)  # said before a run begins
        return pairs

    open = make

    def build(self, data: PairSet) -> PairedTrainee:
        """Untrained networks, their weights a function of the seed."""
        model = TranslatorModel.new(networks_of(self.settings, data), self.settings.train.seed)
        return PairedTrainee(self.settings, data, model)


def networks_of(settings: PairedSettings, pairs: PairSet) -> Pix2PixNetworks:
    """The networks for these pairs.

    Raises:
        UsageError: they cannot be as small as the images.
    """
    _, channels, height, width = pairs.targets.shape
    try:
        return Pix2PixNetworks(
            source_channels=pairs.sources.shape[1],
            images=ImageFormat(channels=channels, height=height, width=width),
            direction=settings.pairs.direction,
            condition=settings.pairs.condition,
            pix2pix=settings.network,
        )
    except ConfigError as error:
        raise UsageError(error.message, hint=error.hint or "a smaller --halvings, or a larger --image-size") from None


@dataclass(frozen=True)
class PairedTrainee:
    """See `seqgen.train.recipe.Trainee`."""

    settings: PairedSettings
    pairs: PairSet
    model: TranslatorModel

    @property
    def network(self) -> Pix2Pix | CycleGan:
        """Generator and discriminator."""
        return self.model.networks

    @property
    def _networks(self) -> Pix2Pix:
        assert isinstance(self.model.networks, Pix2Pix)
        return self.model.networks

    def task(self, share: Callable[[int], slice]) -> GanTask:
        """Batches of pairs, and what watches them."""
        if len(range(2)[share(2)]) < 2:
            raise UsageError("batch norm sees a batch as a whole, so a pix2pix model is trained by one process")
        settings, train = self.settings, self.settings.train
        learned, held_out = self._split()
        family = Paired(self.model, self.pairs, settings.pairs, settings.game, learned)
        watch = TranslationWatch(
            family,
            self.model,
            self.pairs,
            held_out,
            settings.game,
            seed=train.seed,
            validation_share=train.validation_share,
        )
        return GanTask(family, watch, learned, settings.game, batch_size=train.batch_size, seed=train.seed)

    def _split(self) -> tuple[Indices, Indices]:
        return split(digests_of(self.pairs.targets), self.settings.pairs.valid, self.settings.train.seed)

    def files(self) -> dict[str, bytes]:
        """`config.json`."""
        return self.model.files()

    def described(self) -> tuple[str, str]:
        """Images and parameters; sizes."""
        way, networks = self.model.way(), self._networks
        images = way.images
        sizes = [sum(p.numel() for p in part.parameters()) for part in (networks.generator, networks.discriminator)]
        learned, held_out = self._split()
        return (
            f"{len(learned):,} pairs to learn from, {len(held_out):,} held out, {images.height}x{images.width}, "
            f"{channels_in_words(way.source_channels)} to {channels_in_words(images.channels)}; "
            f"generator {sizes[0]:,} parameters, discriminator {sizes[1]:,}",
            f"{in_words(self.settings.network)}; {in_words(self.settings.game)}",
        )

    def judge(self, note: Callable[[str], None], stop: Callable[[], bool]) -> dict[str, float] | None:
        """The measures of all held-out pairs."""
        if stop():
            return None
        _, held_out = self._split()
        if not len(held_out):
            return {}
        targets, seed = self.pairs.targets[held_out], self.settings.train.seed
        extractor = extractor_for(self.settings.game.features, targets, self.model.way().device)
        made = made_of(self.model.way(), self.pairs.sources[held_out], seed)
        return PairJudge(targets, extractor, seed).judge(made).known() | {"pairs": len(held_out)}

    def summary(self, measures: Mapping[str, float]) -> str:
        """Distances in a few words."""
        distance = f", Fréchet distance {measures['frechet']:.3g}" if "frechet" in measures else ""
        floor = f" (floor {measures['floor']:.3g})" if "floor" in measures else ""
        return f"L1 {measures['l1']:.4f}, SSIM {measures['ssim']:.3f}{distance}{floor}"

    def card(self, made: Made, measures: Mapping[str, float]) -> str:
        """The model card."""
        settings, images = self.settings, self.model.way().images
        paths = ", ".join(f"`{path}`" for path in settings.paths)
        parameters = sum(p.numel() for p in self._networks.generator.parameters())
        condition = settings.pairs.condition
        told = "of other images" if condition == "none" else f"of the {condition} of images"
        return model_card(
            made,
            kind=(
                f"A pix2pix network that makes images {told}, trained at {images.height}x{images.width} pixels: "
                f"{parameters:,} parameters in the generator,\n{settings.game.loss} loss and {settings.game.l1:g} "
                "times the distance from the target. What it was never shown it makes up."
            ),
            use=f"seqgen gan-translate -m {made.name} drawing.png > image.png",
            data=(
                f"Trained on {paths}; {settings.pairs.valid:.0%} of the pairs held out, drawn at random. The images "
                "and their licence are their owner's."
            ),
            measures=_measured(measures, settings) if measures else "None: nothing was held out.",
        )


def channels_in_words(count: int) -> str:
    """Grey or colour."""
    return {1: "grey"}.get(count, "colour")


def _measured(measures: Mapping[str, float], settings: PairedSettings) -> str:
    columns = {
        "L1": f"{measures['l1']:.4f}",
        "PSNR (dB)": f"{measures['psnr']:.2f}",
        "SSIM": f"{measures['ssim']:.3f}",
        "pairs": f"{measures['pairs']:,}",
    }
    if "frechet" in measures:
        columns |= {"Fréchet distance": f"{measures['frechet']:.4g}", "floor": f"{measures['floor']:.4g}"}
    return (
        f"On the pairs held out. The Fréchet distance, in `{settings.game.features}` features, is that of half of the "
        f"outputs from the targets of the other half.\n\n{table(columns)}"
    )
