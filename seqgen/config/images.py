"""Images, the networks that make and judge them, and the game of a GAN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from seqgen.config.fields import DATA, MODEL, TRAINING, Config, same_setting, setting
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
    labels: str = setting("", DATA, "Label file of an idx file, if its name does not tell.")
    image_size: str = setting("", DATA, "28, or 32x48; else as the images.", metavar="N|HxW")
    channels: Channels = setting("auto", DATA, "Grey or colour; auto: as the images.")
    fit: Fit = setting("crop", DATA, "What becomes of images of another shape.")

    def __post_init__(self) -> None:
        super().__post_init__()
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
        super().__post_init__()
        if self.channels not in (1, 3):
            raise ConfigError(f"channels is {self.channels}, but images have 1 (grey) or 3 (colour)")
        self.within("height", MIN_IMAGE, MAX_IMAGE)
        self.within("width", MIN_IMAGE, MAX_IMAGE)
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

    arch: GanArchitecture = setting("dcgan", MODEL, "cgan: both networks know the label.")
    body: GanBody = setting("dcgan", MODEL, "The kind of network.")
    latent_size: int = setting(64, MODEL, "Size of the noise.", "--latent-size", "--nz", low=1, high=4096)
    generator_size: int = setting(48, MODEL, "Its channels.", "--generator-size", "--ngf", low=1, high=4096)
    discriminator_size: int = setting(32, MODEL, "Its channels.", "--discriminator-size", "--ndf", low=1, high=4096)

    @property
    def short_name(self) -> str:
        """What a model is called by."""
        return self.arch


@dataclass(frozen=True, kw_only=True)
class GanNetworks(Config):
    """What a GAN's `config.json` keeps: enough to build both networks."""

    images: ImageFormat
    gan: GanConfig


@dataclass(frozen=True, kw_only=True)
class LapGanConfig(Config):
    """A chain of generators, each with a discriminator (Denton et al. 2015): `levels` sizes, each half of the next.

    The coarsest level is a `dcgan`; each finer one makes the difference image that the doubled smaller image lacks, by
    convolutions of `generator_size` channels at half its size. Labels are told to all of them, if there are some.
    """

    arch: Literal["lapgan"] = "lapgan"
    levels: int = setting(3, MODEL, "Sizes, each half of the next.", low=1, high=8)
    latent_size: int = same_setting(GanConfig, "latent_size", 64)
    generator_size: int = same_setting(GanConfig, "generator_size", 48)
    discriminator_size: int = same_setting(GanConfig, "discriminator_size", 32)

    @property
    def short_name(self) -> str:
        """What a model is called by."""
        return self.arch


@dataclass(frozen=True, kw_only=True)
class LapGanNetworks(Config):
    """What the `config.json` of a LapGAN keeps: enough to build all networks."""

    images: ImageFormat
    lapgan: LapGanConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.images.height, self.images.width) < MIN_IMAGE * 2 ** (self.lapgan.levels - 1):
            size = f"{self.images.height}x{self.images.width}"
            raise ConfigError(f"levels is {self.lapgan.levels}, too many for images of {size}", hint="fewer --levels")


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig(Config):
    """The game that the two networks play.

    `r1` and `r2` weigh the squared gradient of the discriminator at real and at fake images, `gradient_penalty` that of
    `wasserstein-gp` between them. The discriminator's learning rate is `lr_ratio` times the generator's, and it moves
    `discriminator_steps` times for each move of the generator. `features` names the network that Fréchet distances are
    measured with; auto takes one that knows these images, else their pixels.
    """

    loss: GanLoss = setting("non-saturating", TRAINING, "What the two play for.")
    r1: float = setting(0.0, TRAINING, "Weight of D's squared slope at real images.", low=0, high=1e6)
    r2: float = setting(0.0, TRAINING, "The same at fake images.", low=0, high=1e6)
    gradient_penalty: float = setting(10.0, TRAINING, "Weight of the penalty of wasserstein-gp.", low=0, high=1e6)
    lr_ratio: float = setting(1.0, TRAINING, "D's learning rate over G's.", low=0, high=1e3)
    discriminator_steps: int = setting(1, TRAINING, "Steps of D for one of G.", low=1, high=100)
    augment: Augment = setting("none", TRAINING, "Change what D sees: for few images.")
    features: str = setting("auto", TRAINING, "Feature network for Fréchet distances, or pixels.")
    on_collapse: OnCollapse = setting("warn", TRAINING, "What to do when it goes wrong.")

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        return {} if self.loss == "wasserstein-gp" else {"gradient_penalty": f"with --loss {self.loss}"}

    @property
    def discriminator_pace(self) -> float:
        """The share of the learning rate with which the discriminator moves; with 0 it has no turn."""
        return self.lr_ratio


@dataclass(frozen=True, kw_only=True)
class LapGanGameConfig(AdversarialConfig):
    """The game of a LapGAN: at each level the same, one level a step, each in turn, or one level only."""

    level: int = setting(0, TRAINING, "Train this level only, 1 is the coarsest; 0: each in turn.", low=0, high=8)


@dataclass(frozen=True, kw_only=True)
class FeatureConfig(Config):
    """A convolutional classifier whose inner layer serves to compare images.

    Its first stage has `base_size` channels, its last one `feature_size`, which is the size of the features; a hidden
    layer of `hidden_size` lies between these and the classes.
    """

    short_name: ClassVar[str] = "features"

    base_size: int = setting(32, MODEL, "Channels of the first stage.", low=1, high=4096)
    feature_size: int = setting(96, MODEL, "Features of an image.", low=1, high=4096)
    hidden_size: int = setting(128, MODEL, "Size of the layer behind them.", low=1, high=4096)
    dropout: float = setting(0.2, MODEL, "Share of that layer's values dropped.", low=0, high=0.99)


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

    valid: float = setting(0.05, DATA, "Share of the images held out.", low=0, high=0.9)
    shift: float = setting(0.08, DATA, "Move images at random by up to this share of a side.", low=0, high=0.5)
