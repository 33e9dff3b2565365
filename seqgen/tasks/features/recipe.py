"""What `train-features` brings to the training: its data, network, task, measures and card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from seqgen.config import FeatureConfig, FeatureSettings, ImageFormat, in_words
from seqgen.data.epochs import Indices
from seqgen.data.image_order import digests_of
from seqgen.data.images import INDEX, ImageSet, build_images, image_sources
from seqgen.nets.images.features import FeatureNetwork, stage_sizes
from seqgen.tasks.card import model_card, table
from seqgen.tasks.features.kind import MEASURES
from seqgen.tasks.features.model import model_files, new_network
from seqgen.tasks.features.task import FeatureTask, evaluate, labels_of, split
from seqgen.tasks.how_long import HowLong
from seqgen.train.recipe import Made


class FeatureRecipe:
    """See `seqgen.train.recipe.Recipe`.

    Args:
        settings (FeatureSettings): what is wanted.
        warn (Callable[[str], None]): told about images that were passed over or changed.
    """

    index = INDEX
    measured_on = "valid"
    measures = MEASURES
    used_by = "seqgen evaluate DATA"

    def __init__(self, settings: FeatureSettings, warn: Callable[[str], None] = lambda message: None) -> None:
        self.settings, self._warn = settings, warn

    def sources(self) -> list[str]:
        """The images, and the file of their labels."""
        return image_sources(self.settings.images)

    def make(self, folder: Path) -> ImageSet:
        """Decode the images, or reopen them."""
        images = build_images(self.settings.images, folder, self._warn)
        labels_of(images)  # said before a run begins
        return images

    open = make

    def build(self, data: ImageSet) -> FeatureTrainee:
        """An untrained network, its weights a function of the seed."""
        _, channels, height, width = data.pixels.shape
        images = ImageFormat(channels=channels, height=height, width=width, classes=data.classes)
        config = self.settings.network
        if len(stage_sizes(config, max(height, width))) == 1 and config.base_size != FeatureConfig().base_size:
            self._warn(
                f"images of {height}x{width} take one stage, of --feature-size channels: --base-size is not used"
            )
        return FeatureTrainee(self.settings, data, new_network(config, images, self.settings.train.seed))


@dataclass(frozen=True)
class FeatureTrainee:
    """See `seqgen.train.recipe.Trainee`."""

    settings: FeatureSettings
    images: ImageSet
    network: FeatureNetwork

    def task(self, share: Callable[[int], slice]) -> FeatureTask:
        """Batches of labelled images."""
        train = self.settings.train
        return FeatureTask(
            self.network,
            self.images,
            self.settings.labelled,
            batch_size=train.batch_size,
            seed=train.seed,
            share=share,
            validation_share=train.validation_share,
        )

    def files(self) -> dict[str, bytes]:
        """`config.json`."""
        return model_files(self.network)

    def described(self) -> tuple[str, str]:
        """Images and parameters; sizes."""
        train, valid = self._split()
        return (
            f"{len(train):,} images to train on, {len(valid):,} to validate on, {len(self.images.classes)} classes; "
            f"{self._parameters:,} parameters, {self.network.feature_size} features",
            f"{' x '.join(map(str, self.images.pixels.shape[1:]))}; {in_words(self.network.config)}",
        )

    def judge(self, note: Callable[[str], None], stop: Callable[[], bool]) -> dict[str, float] | None:
        """Accuracy and loss on the images that are held out."""
        _, valid = self._split()
        if not len(valid):
            return {}
        network, advance = self.network.eval(), HowLong(note, len(valid))
        return evaluate(network, self.images, valid, stop=stop, advance=advance)

    def summary(self, measures: Mapping[str, float]) -> str:
        """Accuracy and nats."""
        return f"{measures['accuracy']:.2%} right, {measures['loss']:.4f} nats"

    def card(self, made: Made, measures: Mapping[str, float]) -> str:
        """The model card."""
        _, channels, height, width = self.images.pixels.shape
        paths = ", ".join(f"`{path}`" for path in self.settings.paths)
        colour = "grey" if channels == 1 else "colour"
        return model_card(
            made,
            kind=(
                f"A convolutional classifier of {colour} images of {height}x{width} pixels, {self._parameters:,} "
                f"parameters, whose\n{self.network.feature_size} pooled features serve to compare sets of such images."
                "\nDistances that it gives compare only with others that it gave: it is not Inception."
            ),
            use=f"seqgen evaluate --features {made.name} REAL FAKE",
            data=(
                f"Trained on {paths}; {self.settings.labelled.valid:.0%} held out, drawn at random. "
                "The images and their licence are their owner's."
            ),
            measures=_measured(measures) if measures else "None: nothing was held out.",
        )

    @property
    def _parameters(self) -> int:
        return sum(p.numel() for p in self.network.parameters())

    def _split(self) -> tuple[Indices, Indices]:
        return split(digests_of(self.images.pixels), self.settings.labelled.valid, self.settings.train.seed)


def _measured(measures: Mapping[str, float]) -> str:
    columns = {
        "accuracy": f"{measures['accuracy']:.4f}",
        "nats per image": f"{measures['loss']:.4f}",
        "images": f"{measures['images']:,}",
    }
    return f"On the images held out:\n\n{table(columns)}"
