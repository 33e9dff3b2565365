"""How a feature network is trained: to tell the classes of labelled images apart.

The labels are a means. What is wanted is the layer before them, so the training is short and plain: cross-entropy, each
image moved a little at random so that position does not count, and no label smoothing, which would draw the images of a
class together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import LabelledConfig
from seqgen.data.epochs import Indices, shuffled
from seqgen.data.image_order import Digests, digests_of
from seqgen.data.image_shift import shifted
from seqgen.data.images import ImageSet
from seqgen.data.spread import spread
from seqgen.errors import DataError
from seqgen.nets.images.features import FeatureNetwork
from seqgen.seeds import derive
from seqgen.train.task import OnePlayer

VALIDATION_IMAGES = 500
# In training, so many images at most are validated on, and in short runs fewer.
MOST_VALIDATED, LEAST_VALIDATED = 5000, 500


def labels_of(images: ImageSet) -> Indices:
    """The class of each image.

    Raises:
        DataError: there are no labels, or only one class.
    """
    if images.labels is None or len(images.classes) < 2:
        raise DataError(
            f"the images have {'one class only' if images.classes else 'no labels'}, so there is nothing to tell apart"
            f"{images.lacking}",
            hint="a folder of folders names them, or an idx file with labels beside it, or an npz with labels",
        )
    return images.labels


def split(digests: Digests, valid: float, seed: int) -> tuple[Indices, Indices]:
    """Which images are trained on, one at least, and which are held out, drawn at random; copies stay together.

    Args:
        digests (Digests): of the images, `(n,)`; equal for copies.
        valid (float): the share of different images that is held out.
        seed (int): of the draw.
    """
    _, first, which = np.unique(digests, return_index=True, return_inverse=True)
    original = first[which]  # the place of the first image that shows the same
    different = np.unique(original)
    order = np.random.Generator(np.random.PCG64(derive(seed, "held out"))).permutation(different)
    held_out = np.isin(original, order[: min(round(valid * len(order)), len(order) - 1)])
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


@torch.inference_mode()
def evaluate(
    network: FeatureNetwork,
    images: ImageSet,
    indices: Indices,
    *,
    stop: Callable[[], bool] = lambda: False,
    advance: Callable[[int], None] = lambda images: None,
) -> dict[str, float] | None:
    """How well a network tells the classes of some images apart.

    Args:
        network (FeatureNetwork): in evaluation mode.
        images (ImageSet): with labels that count its classes.
        indices (Indices): which, at least one.
        stop (Callable[[], bool]): asked now and then; true ends the pass.
        advance (Callable[[int], None]): told how many more images were judged.

    Returns:
        dict[str, float] | None: `accuracy`, `loss` in nats per image, `images`; None when stopped.
    """
    nats, right = 0.0, 0
    device = network.output.weight.device
    for first in range(0, len(indices), VALIDATION_IMAGES):
        if stop():
            return None
        inputs, labels = images.read(indices[first : first + VALIDATION_IMAGES])
        assert labels is not None
        logits, wanted = network(inputs.to(device)).float(), labels.to(device)
        nats += functional.cross_entropy(logits, wanted, reduction="sum").item()
        right += int((logits.argmax(dim=1) == wanted).sum())
        advance(len(labels))
    return {"accuracy": right / len(indices), "loss": nats / len(indices), "images": len(indices)}


class FeatureTask(OnePlayer):
    """Trains a network on labelled images (see `seqgen.train.task.Task`).

    Args:
        network (FeatureNetwork): on its device already.
        images (ImageSet): with labels.
        config (LabelledConfig): what is held out, and how far images are moved.
        batch_size (int): images per step.
        seed (int): the run's.
        share (Callable[[int], slice]): which of so many images are computed here.
        validation_share (float): of the usual number of images to validate on.
    """

    def __init__(
        self,
        network: FeatureNetwork,
        images: ImageSet,
        config: LabelledConfig,
        *,
        batch_size: int,
        seed: int,
        share: Callable[[int], slice] = slice,
        validation_share: float = 1.0,
    ) -> None:
        self.players: Mapping[str, nn.Module] = {"model": network}
        self._network, self._images, self._config = network, images, config
        self._seed, self._share = seed, share
        train, held_out = split(digests_of(images.pixels), config.valid, seed)
        self._valid = held_out[spread(len(held_out), max(LEAST_VALIDATED, round(MOST_VALIDATED * validation_share)))]
        self._batch_size = min(batch_size, len(train))
        self._epochs = shuffled(train, self._batch_size, seed)
        self.steps_per_epoch = self._epochs.steps_per_epoch
        self.criterion = "valid_loss" if len(self._valid) else None
        self._inputs, self._labels = torch.empty(0), torch.empty(0, dtype=torch.long)

    def prepare(self, step: int) -> int:
        """Read this process's share of the images of a step; an epoch leaves out what does not fill a batch."""
        indices = self._epochs.batch(step)
        inputs, labels = self._images.read(indices)
        assert labels is not None
        rows, device = self._share(len(indices)), self._network.output.weight.device
        moved = shifted(inputs, self._config.shift, derive(self._seed, "shift", step))
        self._inputs, self._labels = moved[rows].to(device), labels[rows].to(device)
        return len(indices)

    def loss(self, player: str, part: int, parts: int) -> Tensor:
        """The part's share of the mean cross-entropy in nats per image."""
        here = len(self._labels)
        rows = slice(part * here // parts, (part + 1) * here // parts)
        if rows.start == rows.stop:  # fewer images than processes, or than parts
            return torch.zeros((), requires_grad=True)
        logits = self._network(self._inputs[rows]).float()
        return functional.cross_entropy(logits, self._labels[rows], reduction="sum") / self._batch_size

    def measures(self, losses: Mapping[str, float]) -> dict[str, float]:
        """Nats per image."""
        return {"loss": losses["model"]}

    def evaluate(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        """Loss and accuracy on an even share of the images that are held out; empty without any."""
        if not len(self._valid):
            return {}
        measures = evaluate(self._network, self._images, self._valid, stop=stop)
        return None if measures is None else {f"valid_{name}": measures[name] for name in ("loss", "accuracy")}
