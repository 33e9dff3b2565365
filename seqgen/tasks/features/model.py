"""Feature networks: to build, to load, to extract features with.

A feature network gives a vector of features for each image; `seqgen.tasks.features.image_scores` compares
sets of images by these. Ours are trained by `seqgen train-features` (`seqgen.tasks.features.task`); those that others
trained on photographs are opened by `seqgen.tasks.features.pretrained`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqgen import modeldir
from seqgen.config import FeatureConfig, FeatureNetworks, ImageFormat, to_json
from seqgen.errors import ModelError
from seqgen.nets.images.features import FeatureNetwork
from seqgen.seeds import derive
from seqgen.tasks.features.kind import KIND
from seqgen.tasks.opening import Opening

ARCHITECTURE = "convolutional"
DIGITS = "digits-features"
# Images that are read together: as many as this, and no more bytes of pixels than that.
BATCH = 256
BATCH_BYTES = 2**25

Pixels = NDArray[np.uint8] | Tensor


class Extractor(Protocol):
    """A network that features are taken from."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that it tells apart; none when they are of no use here."""

    @property
    def feature_size(self) -> int:
        """How many features an image has."""

    def prepare(self, pixels: Tensor) -> Tensor:
        """Bytes `(batch, channels, height, width)` of any size as what `features` takes."""

    def features(self, images: Tensor) -> Tensor:
        """Features `(batch, feature_size)`."""

    def classify(self, features: Tensor) -> Tensor:
        """Logits `(batch, classes)` from features, where there are classes."""


@dataclass(frozen=True)
class Extracted:
    """What a feature network extracts from images.

    Args:
        features (NDArray[np.float32]): `(n, feature_size)`.
        probs (NDArray[np.float32]): of each class, `(n, classes)`; of none, `(n, 0)`, if it tells none apart.
    """

    features: NDArray[np.float32]
    probs: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class FeatureModel:
    """A feature network in evaluation mode.

    Args:
        network (Extractor): on its device.
        name (str): what it is called.
        sha256 (str): of its weights file, empty for an untrained one.
        device (torch.device): where the network is.
    """

    network: Extractor
    name: str
    sha256: str
    device: torch.device

    @classmethod
    def load(cls, name: str, device: torch.device) -> FeatureModel:
        """Load a model by path or name; everything is checked before it is used.

        Raises:
            ModelError: no such model, or it is damaged, or it is not a feature network.
        """
        opening = Opening(DIGITS if name == "digits" else name, KIND)
        networks, network = opening.network(
            {ARCHITECTURE: FeatureNetworks}, lambda config: FeatureNetwork(config.features, config.images)
        )
        if len(networks.images.classes) < 2:
            raise ModelError(f"{opening.config_path}: a feature network tells two classes apart at least")
        with opening.fill(network, device).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(network, opening.directory.name, digest, device)

    @property
    def identity(self) -> str:
        """The name and the beginning of the hash: figures compare only where both are the same."""
        return f"{self.name}@{self.sha256[:8]}"

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that it tells apart; none when they are of no use here."""
        return tuple(self.network.classes)

    # Extracting -------------------------------------------------------------------------------------------

    def features(self, pixels: Pixels) -> NDArray[np.float32]:
        """Features `(n, feature_size)` of bytes `(n, channels, height, width)`."""
        return self.extract(pixels).features

    def probs(self, pixels: Pixels) -> NDArray[np.float32]:
        """Probabilities of the classes, `(n, classes)`."""
        return self.extract(pixels).probs

    def extract(
        self,
        pixels: Pixels,
        advance: Callable[[int], None] = lambda images: None,
        order: NDArray[np.int64] | None = None,
    ) -> Extracted:
        """Features and probabilities in one pass, some images at a time.

        Args:
            pixels (Pixels): bytes `(n, channels, height, width)`, of a size of their own.
            advance (Callable[[int], None]): told how many more images were read.
            order (NDArray[np.int64] | None): the places `(n,)` of the images in the order in which they are wanted.
        """
        features, probs = [], []
        for batch in _batches(pixels, np.arange(len(pixels)) if order is None else order):
            some = self._extract(batch.to(self.device))
            features.append(some[0])
            probs.append(some[1])
            advance(len(batch))
        return Extracted(np.concatenate(features), np.concatenate(probs))

    @torch.inference_mode()
    def _extract(self, pixels: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        features = self.network.features(self.network.prepare(pixels))
        probs = self.network.classify(features).softmax(dim=1) if self.network.classes else features[:, :0]
        return features.float().cpu().numpy(), probs.float().cpu().numpy()


def _batches(pixels: Pixels, order: NDArray[np.int64]) -> Iterator[Tensor]:
    together = max(1, min(BATCH, BATCH_BYTES // math.prod(pixels.shape[1:])))
    for first in range(0, len(order), together):
        yield torch.as_tensor(pixels[order[first : first + together]])


# Model directories --------------------------------------------------------------------------------------------


def new_network(config: FeatureConfig, images: ImageFormat, seed: int) -> FeatureNetwork:
    """An untrained network, its weights a function of the seed."""
    torch.manual_seed(derive(seed, "weights"))
    network = FeatureNetwork(config, images)
    network.initialise()
    return network


def model_files(network: FeatureNetwork) -> dict[str, bytes]:
    """What turns a weights file into a model directory."""
    networks = to_json(FeatureNetworks(images=network.images, features=network.config))
    return {modeldir.CONFIG: modeldir.ModelConfig(KIND.task, ARCHITECTURE, networks).to_bytes()}
