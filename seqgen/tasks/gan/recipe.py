"""What `gan-train` brings to the training: its images, networks, task, measures and card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from seqgen import modeldir
from seqgen.config import GanNetworks, GanSettings, ImageFormat, in_words
from seqgen.data.images import INDEX, ImageSet, build_images, image_sources
from seqgen.errors import DataError, UsageError
from seqgen.seeds import derive
from seqgen.tasks.card import Made, model_card, table
from seqgen.tasks.gan.imagine import Imagination
from seqgen.tasks.gan.judge import FEWEST, NO_MODEL, REFERENCES, Judge
from seqgen.tasks.gan.model import Adversaries, GanModel
from seqgen.tasks.gan.task import MEASURED_ON, GanTask

# With fewer real images a distance says next to nothing, however short the run.
LEAST_REFERENCES = 500


class GanRecipe:
    """See `seqgen.cli.training.Recipe`.

    Args:
        settings (GanSettings): what is wanted.
        warn (Callable[[str], None]): told about images that were passed over.
    """

    index = INDEX

    measured_on = MEASURED_ON
    _images: ImageSet
    _model: GanModel
    _judge: Judge

    def __init__(self, settings: GanSettings, warn: Callable[[str], None]) -> None:
        self._settings, self._warn = settings, warn

    def sources(self) -> list[str]:
        """The images, and the file of their labels."""
        return image_sources(self._settings.images)

    def prepare(self, folder: Path) -> None:
        """Decode the images, or reopen them."""
        if (features := self._settings.game.features) not in NO_MODEL:
            modeldir.locate(features)  # before the run begins, not after
        self._images = build_images(self._settings.images, folder, self._warn)
        if len(self._images) < FEWEST:
            raise DataError(f"a GAN is trained on {FEWEST} images at least, not on {len(self._images)}")
        if self._settings.network.arch == "cgan" and self._images.labels is None:
            raise DataError(
                f"a cgan needs labels, and these images have none{self._images.lacking}",
                hint="give a folder of one folder per class, or an idx or npz file with labels; or take --arch dcgan",
            )

    def build(self) -> Adversaries:
        """Untrained networks, their weights a function of the seed."""
        settings, (_, channels, height, width) = self._settings, self._images.pixels.shape
        classes = self._images.classes if settings.network.arch == "cgan" else ()
        images = ImageFormat(channels=channels, height=height, width=width, classes=classes)
        self._model = GanModel.new(GanNetworks(images=images, gan=settings.network), settings.train.seed)
        return self._model.networks

    def task(self, share: Callable[[int], slice]) -> GanTask:
        """Batches of images, and the judge of those that are made."""
        if len(range(2)[share(2)]) < 2:
            raise UsageError("batch norm sees a batch as a whole, so a GAN is trained by one process")
        settings, train = self._settings, self._settings.train
        self._judge = self._judge_by(max(LEAST_REFERENCES, round(REFERENCES * train.validation_share)))
        return GanTask(
            self._model,
            self._images,
            self._judge,
            settings.game,
            batch_size=train.batch_size,
            seed=train.seed,
            validation_share=train.validation_share,
        )

    def _judge_by(self, references: int) -> Judge:
        settings = self._settings
        return Judge(
            self._images, settings.game.features, settings.train.seed, self._model.device, references=references
        )

    def model_files(self) -> dict[str, bytes]:
        """`config.json`."""
        return self._model.files()

    def described(self) -> tuple[str, str]:
        """Images and parameters; sizes."""
        images, networks = self._model.config.images, self._model.networks
        sizes = [sum(p.numel() for p in part.parameters()) for part in (networks.generator, networks.discriminator)]
        classes = f" in {len(self._images.classes)} classes" if self._images.classes else ""
        channels = {1: "grey"}.get(images.channels, "colour")
        return (
            f"{len(self._images):,} {channels} images of {images.height}x{images.width}{classes}; "
            f"generator {sizes[0]:,} parameters, discriminator {sizes[1]:,}",
            f"{in_words(self._settings.network)}; {in_words(self._settings.game)}",
        )

    def judge(self, note: Callable[[str], None], stop: Callable[[], bool]) -> dict[str, float] | None:
        """The measures of as many samples as real images that they are compared with."""
        if stop():
            return None
        if self._settings.train.validation_share < 1.0:  # a short run has looked at fewer
            self._judge = self._judge_by(REFERENCES)
        self._model.networks.eval()
        seed, count = self._settings.train.seed, self._judge.count
        made, labels = Imagination(self._model, derive(seed, "final")), None
        if self._model.classes and self._images.labels is not None:
            # Drawn from the sorted labels: the order of the images must not matter.
            generator = np.random.Generator(np.random.PCG64(derive(seed, "asked")))
            labels = generator.choice(np.sort(self._images.labels), count)
        pixels = np.concatenate(list(made.images(range(count), [] if labels is None else labels.tolist())))
        return self._judge.judge(pixels, labels)

    def summary(self, measures: Mapping[str, float]) -> str:
        """Fréchet distance and what it is worth."""
        return (
            f"Fréchet distance {measures['frechet']:.3g} from training images on {self._judge.looks.identity} "
            f"(floor {measures['floor']:.3g}, {self._judge.count:,} images each), recall {measures['recall']:.2f}"
        )

    def card(self, made: Made, measures: Mapping[str, float]) -> str:
        """The model card."""
        settings, images = self._settings, self._model.config.images
        paths = ", ".join(f"`{path}`" for path in settings.paths)
        told = "a conditional GAN" if self._model.classes else "a DCGAN"
        classes = f", of {len(images.classes)} classes" if images.classes else ""
        return model_card(
            made,
            kind=(
                f"{told[0].upper()}{told[1:]} for images of {images.height}x{images.width}{classes}: "
                f"{sum(p.numel() for p in self._model.generator.parameters()):,} parameters in the generator, "
                f"{settings.game.loss} loss.\nIt makes images like those that it was trained on, and nothing else."
            ),
            use=f"seqgen gan-sample -m {made.name} --n 64 > grid.png",
            data=(
                f"Trained on {len(self._images):,} images of {paths}. The images and their licence are their owner's; "
                "samples may resemble some of them."
            ),
            measures=(
                f"{self._judge.count:,} samples against as many of the training images, features "
                f"`{self._judge.looks.identity}`. The floor is the distance of the latter from as many other training "
                "images.\n\n"
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
