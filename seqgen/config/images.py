"""Images, the networks that make and judge them, and the game of a GAN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from seqgen.config.fields import Config, within
from seqgen.errors import ConfigError
from seqgen.names import fault, shown

GanArchitecture = Literal["dcgan", "cgan"]
GanBody = Literal["dcgan", "spectral", "residual"]
GanLoss = Literal["minimax", "non-saturating", "least-squares", "hinge", "wasserstein-gp", "relativistic"]
Augment = Literal["none", "colour", "translation", "cutout", "all"]
OnCollapse = Literal["warn", "stop", "rollback"]
Channels = Literal["auto", "grey", "rgb"]
Fit = Literal["crop", "pad"]

MIN_IMAGE, MAX_IMAGE = 4, 1024
MAX_CLASSES = 10_000


@dataclass(frozen=True, kw_only=True)
class ImageConfig(Config):
    """Where images come from and how they become arrays of one size.

    `paths` are folders, zip or tar files, idx or npz files; `labels` is the label file of an idx file when its name
    does not tell. `image_size` is a number of pixels or HEIGHTxWIDTH; empty: the size of the images if all are alike,
    else the most common one. `fit` says what becomes of an image of another shape: its middle, or all of it with a
    border.
    """

    paths: tuple[str, ...] = ()
    labels: str = ""
    image_size: str = ""
    channels: Channels = "auto"
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        if self.image_size and self.size is None:
            raise ConfigError(f"image-size is {self.image_size!r}", hint="a number of pixels, or HEIGHTxWIDTH: 32x48")
        for side in self.size or ():
            if not MIN_IMAGE <= side <= MAX_IMAGE:
                raise ConfigError(f"image-size is {self.image_size}, but a side has {MIN_IMAGE} to {MAX_IMAGE} pixels")

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width in pixels, or None when the images decide."""
        sides = self.image_size.lower().split("x")
        if not 1 <= len(sides) <= 2 or not all(side.isascii() and side.isdigit() and len(side) < 6 for side in sides):
            return None
        return int(sides[0]), int(sides[-1])


@dataclass(frozen=True, kw_only=True)
class ImageFormat(Config):
    """The shape of the images that a model makes, and the names of their classes, none without labels.

    One channel is grey, three are red, green and blue; no data has others, and no file that is written.
    """

    channels: int
    height: int
    width: int
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise ConfigError(f"channels is {self.channels}, but images have 1 (grey) or 3 (colour)")
        within(self, "height", MIN_IMAGE, MAX_IMAGE)
        within(self, "width", MIN_IMAGE, MAX_IMAGE)
        if len(self.classes) > MAX_CLASSES:
            raise ConfigError(f"there are {len(self.classes)} classes, but at most {MAX_CLASSES} are possible")
        for name in self.classes:
            if why := fault(name):
                raise ConfigError(f"the class {shown(repr(name[:80]))} {why}, so it is no name of a class")
        if len(set(self.classes)) < len(self.classes):
            twice = next(name for name in self.classes if self.classes.count(name) > 1)
            raise ConfigError(f"the class {twice[:80]!r} is named twice")


@dataclass(frozen=True, kw_only=True)
class GanConfig(Config):
    """A generator and a discriminator.

    `arch` says whether both are told the label (`cgan`). `body` is the kind of network: `dcgan` has batch norm in both,
    `spectral` has spectral norm in the discriminator instead, `residual` has no norm at all. The layers nearest to the
    image have `generator_size` and `discriminator_size` channels; the number doubles with each halving of the image, up
    to eightfold.
    """

    arch: GanArchitecture = "dcgan"
    body: GanBody = "dcgan"
    latent_size: int = 64
    generator_size: int = 48
    discriminator_size: int = 32

    def __post_init__(self) -> None:
        for name in ("latent_size", "generator_size", "discriminator_size"):
            within(self, name, 1, 4096)


@dataclass(frozen=True, kw_only=True)
class GanNetworks(Config):
    """What a GAN's `config.json` keeps: enough to build both networks."""

    images: ImageFormat
    gan: GanConfig


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig(Config):
    """The game that the two networks play.

    `r1` and `r2` weigh the squared gradient of the discriminator at real and at fake images, `gradient_penalty` that of
    `wasserstein-gp` between them. The discriminator's learning rate is `lr_ratio` times the generator's, and it moves
    `discriminator_steps` times for each move of the generator. `features` names the network that Fréchet distances are
    measured with; auto takes one that knows these images, else their pixels.
    """

    loss: GanLoss = "non-saturating"
    r1: float = 0.0
    r2: float = 0.0
    gradient_penalty: float = 10.0
    lr_ratio: float = 1.0
    discriminator_steps: int = 1
    augment: Augment = "none"
    features: str = "auto"
    on_collapse: OnCollapse = "warn"

    def __post_init__(self) -> None:
        for name in ("r1", "r2", "gradient_penalty"):
            within(self, name, 0.0, 1e6)
        within(self, "lr_ratio", 0.0, 1e3)
        within(self, "discriminator_steps", 1, 100)

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        return {} if self.loss == "wasserstein-gp" else {"gradient_penalty": f"with --loss {self.loss}"}


@dataclass(frozen=True, kw_only=True)
class FeatureConfig(Config):
    """A convolutional classifier whose inner layer serves to compare images.

    Its first stage has `base_size` channels, its last one `feature_size`, which is the size of the features; a hidden
    layer of `hidden_size` lies between these and the classes.
    """

    base_size: int = 32
    feature_size: int = 96
    hidden_size: int = 128
    dropout: float = 0.2

    def __post_init__(self) -> None:
        for name in ("base_size", "feature_size", "hidden_size"):
            within(self, name, 1, 4096)
        within(self, "dropout", 0.0, 0.99)


@dataclass(frozen=True, kw_only=True)
class FeatureNetworks(Config):
    """What the `config.json` of a feature network keeps."""

    images: ImageFormat
    features: FeatureConfig


@dataclass(frozen=True, kw_only=True)
class LabelledConfig(Config):
    """How labelled images are learned from.

    `valid` is the share of them that is held out, drawn at random. `shift` is how far an image is moved at random in
    training, as a share of its sides.
    """

    valid: float = 0.05
    shift: float = 0.08

    def __post_init__(self) -> None:
        within(self, "valid", 0.0, 0.9)
        within(self, "shift", 0.0, 0.5)
