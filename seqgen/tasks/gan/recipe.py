"""What `gan-train` brings to the training: its images, networks, task, measures and card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from seqgen import modeldir
from seqgen.config import GanNetworks, GanSettings, ImageFormat, LapGanNetworks, LapGanSettings, in_words
from seqgen.data.images import INDEX, ImageSet, build_images, image_sources
from seqgen.errors import ConfigError, DataError, UsageError
from seqgen.gan.lapgan import LapGan, level_sizes
from seqgen.seeds import derive
from seqgen.tasks.card import model_card, table
from seqgen.tasks.gan.family import ByLabel, Sampled
from seqgen.tasks.gan.imagine import Imagination
from seqgen.tasks.gan.judge import FEWEST, NO_MODEL, REFERENCES, Judge
from seqgen.tasks.gan.kind import MEASURED_ON, MEASURES
from seqgen.tasks.gan.levels import ByLevel
from seqgen.tasks.gan.model import Adversaries, GanModel
from seqgen.tasks.gan.task import GanTask
from seqgen.tasks.gan.watch import SampleWatch
from seqgen.train.recipe import Made

# With fewer real images a distance says next to nothing, however short the run.
LEAST_REFERENCES = 500


class GanRecipe:
    """See `seqgen.train.recipe.Recipe`.

    Args:
        settings (GanSettings | LapGanSettings): what is wanted.
        warn (Callable[[str], None]): told about images that were passed over.
    """

    index = INDEX
    measured_on = MEASURED_ON
    measures = MEASURES
    used_by = "seqgen gan-sample"

    def __init__(
        self, settings: GanSettings | LapGanSettings, warn: Callable[[str], None] = lambda message: None
    ) -> None:
        self.settings, self._warn = settings, warn

    def sources(self) -> list[str]:
        """The images, and the file of their labels."""
        return image_sources(self.settings.images)

    def make(self, folder: Path) -> ImageSet:
        """Decode the images, or reopen them."""
        if (features := self.settings.game.features) not in NO_MODEL:
            modeldir.locate(features)  # before the run begins, not after
        images = build_images(self.settings.images, folder, self._warn)
        if len(images) < FEWEST:
            raise DataError(f"a GAN is trained on {FEWEST} images at least, not on {len(images)}")
        if self.settings.network.arch == "cgan" and images.labels is None:
            raise DataError(
                f"a cgan needs labels, and these images have none{images.lacking}",
                hint="give a folder of one folder per class, or an idx or npz file with labels; or take --arch dcgan",
            )
        return images

    open = make

    def build(self, data: ImageSet) -> GanTrainee:
        """Untrained networks, their weights a function of the seed."""
        settings, (_, channels, height, width) = self.settings, data.pixels.shape
        classes = () if settings.network.arch == "dcgan" else data.classes
        images = ImageFormat(channels=channels, height=height, width=width, classes=classes)
        return GanTrainee(settings, data, GanModel.new(_networks_for(settings, images), settings.train.seed))


def _networks_for(settings: GanSettings | LapGanSettings, images: ImageFormat) -> GanNetworks | LapGanNetworks:
    """The networks for these images.

    Raises:
        UsageError: they have more levels than the images can be halved.
    """
    if isinstance(settings, GanSettings):
        return GanNetworks(images=images, gan=settings.network)
    try:
        return LapGanNetworks(images=images, lapgan=settings.network)
    except ConfigError as error:
        raise UsageError(error.message, hint=error.hint) from None


class GanTrainee:
    """See `seqgen.train.recipe.Trainee`."""

    def __init__(self, settings: GanSettings | LapGanSettings, images: ImageSet, model: GanModel) -> None:
        self.settings, self.images, self.model = settings, images, model
        self._judges: dict[int, Judge] = {}

    @property
    def network(self) -> Adversaries | LapGan:
        """Generators and discriminators."""
        return self.model.networks

    def task(self, share: Callable[[int], slice]) -> GanTask:
        """Batches of images, and the judge of those that are made."""
        if len(range(2)[share(2)]) < 2:
            raise UsageError("batch norm sees a batch as a whole, so a GAN is trained by one process")
        settings, train = self.settings, self.settings.train
        family: Sampled
        if isinstance(settings, LapGanSettings):
            family = ByLevel(self.model, self.images, settings.game)
        else:
            family = ByLabel(self.model, self.images, settings.game)
        judge = self._judge(max(LEAST_REFERENCES, round(REFERENCES * train.validation_share)))
        return GanTask(
            family,
            SampleWatch(family, judge, seed=train.seed, validation_share=train.validation_share),
            np.arange(len(self.images)),
            settings.game,
            batch_size=train.batch_size,
            seed=train.seed,
        )

    def _judge(self, references: int = REFERENCES) -> Judge:
        """That which compares with so many real images: a short run compares with fewer, its finished model never."""
        if references not in self._judges:
            settings = self.settings
            self._judges[references] = Judge(
                self.images, settings.game.features, settings.train.seed, self.model.device, references=references
            )
        return self._judges[references]

    def files(self) -> dict[str, bytes]:
        """`config.json`."""
        return self.model.files()

    def described(self) -> tuple[str, str]:
        """Images and parameters; sizes."""
        images, networks = self.model.config.images, self.model.networks
        made = sum(p.numel() for p in networks.generator.parameters())
        judged = sum(p.numel() for p in networks.parameters()) - made
        classes = f" in {len(self.images.classes)} classes" if self.images.classes else ""
        channels = {1: "grey"}.get(images.channels, "colour")
        return (
            f"{len(self.images):,} {channels} images of {images.height}x{images.width}{classes}; "
            f"generator {made:,} parameters, discriminator {judged:,}",
            f"{in_words(self.settings.network)}; {in_words(self.settings.game)}",
        )

    def judge(self, note: Callable[[str], None], stop: Callable[[], bool]) -> dict[str, float] | None:
        """The measures of as many samples as real images that they are compared with."""
        if stop():
            return None
        judge = self._judge()
        self.model.networks.eval()
        seed, count = self.settings.train.seed, judge.count
        made, labels = Imagination(self.model, derive(seed, "final")), None
        if self.model.classes and self.images.labels is not None:
            # Drawn from the sorted labels: the order of the images must not matter.
            generator = np.random.Generator(np.random.PCG64(derive(seed, "asked")))
            labels = generator.choice(np.sort(self.images.labels), count)
        pixels = np.concatenate(list(made.images(range(count), [] if labels is None else labels.tolist())))
        return judge.judge(pixels, labels)

    def summary(self, measures: Mapping[str, float]) -> str:
        """Fréchet distance and what it is worth."""
        return (
            f"Fréchet distance {measures['frechet']:.3g} from training images on {self._judge().extractor.identity} "
            f"(floor {measures['floor']:.3g}, {self._judge().count:,} images each), recall {measures['recall']:.2f}"
        )

    def card(self, made: Made, measures: Mapping[str, float]) -> str:
        """The model card."""
        settings, images = self.settings, self.model.config.images
        paths = ", ".join(f"`{path}`" for path in settings.paths)
        told = "a conditional GAN" if self.model.classes else "a DCGAN"
        if isinstance(settings, LapGanSettings):
            sizes = level_sizes(images, settings.network.levels)
            told = f"a LapGAN over {', '.join(f'{height}x{width}' for height, width in sizes)} pixels"
        classes = f", of {len(images.classes)} classes" if images.classes else ""
        return model_card(
            made,
            kind=(
                f"{told[0].upper()}{told[1:]} for images of {images.height}x{images.width}{classes}: "
                f"{sum(p.numel() for p in self.model.generator.parameters()):,} parameters in the generator, "
                f"{settings.game.loss} loss.\nIt makes images like those that it was trained on, and nothing else."
            ),
            use=f"seqgen gan-sample -m {made.name} --n 64 > grid.png",
            data=(
                f"Trained on {len(self.images):,} images of {paths}. The images and their licence are their owner's; "
                "samples may resemble some of them."
            ),
            measures=(
                f"{self._judge().count:,} samples against as many of the training images, features "
                f"`{self._judge().extractor.identity}`. The floor is the distance of the latter from as many other "
                "training images.\n\n"
                f"{_measured(measures)}"
            ),
        )


def _measured(measures: Mapping[str, float]) -> str:
    columns = {
        "Fréchet distance": f"{measures['frechet']:.4g}",
        "floor": f"{measures['floor']:.4g}",
        "precision": f"{measures['precision']:.3f}",
        "recall": f"{measures['recall']:.3f}",
        "bins that differ": f"{measures['different_bins']:.0%}",
    }
    if "as_asked" in measures:
        columns["class as asked"] = f"{measures['as_asked']:.1%}"
    return table(columns)
