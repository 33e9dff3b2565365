"""Images from a GAN: image i of a seed is the same bytes whatever else is made with it.

Every image has random numbers of its own, derived from the seed and its index. Rounding must not depend on the others
either: a matrix product may add in another order when there are more rows, so that a pixel tips over to the next
value. Therefore images are always made `TOGETHER` at a time, and the last batch is filled up.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqgen.errors import UsageError
from seqgen.gan import history
from seqgen.gan.folding import fold
from seqgen.gan.lapgan import Chain
from seqgen.seeds import derive
from seqgen.tasks.gan.model import GanModel

TOGETHER = 64

Pixels = NDArray[np.uint8]


class Imagination:
    """Makes images with a model.

    Args:
        model (GanModel): in evaluation mode.
        seed (int): of all images.
        truncation (float): no latent value is further from 0 than this; infinity leaves them as they are.
        number (torch.dtype): what the generator computes with.
    """

    def __init__(
        self, model: GanModel, seed: int, truncation: float = math.inf, number: torch.dtype = torch.float32
    ) -> None:
        self._model, self._seed, self._truncation, self._number = model, seed, truncation, number
        self._painter = fold(model.generator).to(number)

    def latents(self, indices: Sequence[int]) -> Tensor:
        """The latents of some images, `(images, latent)`."""
        size = self._model.generator.latent_size
        drawn = [torch.randn(size, generator=_generator(self._seed, "latent", index)) for index in indices]
        return truncated(torch.stack(drawn), self._truncation).to(self._model.device)

    def labels(self, indices: Sequence[int], wanted: Sequence[int]) -> Tensor | None:
        """The classes of some images, `(images,)`: the wanted ones in turn, or drawn at random where none is wanted."""
        classes = len(self._model.classes)
        if not classes:
            return None
        chosen = [wanted[i % len(wanted)] if wanted else derive(self._seed, "class", i) % classes for i in indices]
        return torch.tensor(chosen, device=self._model.device)

    def images(self, indices: Sequence[int], wanted: Sequence[int] = ()) -> Iterator[Pixels]:
        """Images `(some, channels, height, width)`, a few at a time, in order."""
        for first in range(0, len(indices), TOGETHER):
            some = indices[first : first + TOGETHER]
            yield self._paint(self._model.generator.inputs(self.latents(some), self.labels(some, wanted)))

    def stages(self, indices: Sequence[int], wanted: Sequence[int] = ()) -> list[Pixels]:
        """The images of each level of a LapGAN, `(images, channels, height, width)` of its size, the coarsest first.

        Raises:
            UsageError: the model has no levels.
        """
        if not isinstance(self._painter, Chain):
            raise UsageError("--stages: this model makes an image at once", hint="seqgen gan-train --arch lapgan")
        made: list[list[Pixels]] = []
        for first in range(0, len(indices), TOGETHER):
            some = indices[first : first + TOGETHER]
            inputs = self._model.generator.inputs(self.latents(some), self.labels(some, wanted))
            with torch.inference_mode():
                levels = self._painter.stages(self._filled(inputs))
            made.append([to_bytes(images[: len(some)]) for images in levels])
        return [np.concatenate(level) for level in zip(*made, strict=True)]

    def between(self, one: int, other: int, count: int, wanted: Sequence[int] = ()) -> Iterator[Pixels]:
        """Images on the way from one index to another, both included.

        Latents go along the arc between the two (White 2016), whose points have the length that latents have; the
        vectors of the labels go straight.
        """
        ends = self._model.generator.inputs(self.latents([one, other]), self.labels([one, other], wanted))
        size = self._model.generator.latent_size
        shares = torch.linspace(0.0, 1.0, count, device=ends.device)[:, None]
        way = torch.cat(
            [arc(ends[0, :size], ends[1, :size], shares), torch.lerp(ends[:1, size:], ends[1:, size:], shares)], dim=1
        )
        for first in range(0, count, TOGETHER):
            yield self._paint(way[first : first + TOGETHER])

    @torch.inference_mode()
    def _paint(self, inputs: Tensor) -> Pixels:
        return to_bytes(self._painter.paint(self._filled(inputs))[: len(inputs)])

    def _filled(self, inputs: Tensor) -> Tensor:
        return torch.cat([inputs, inputs.new_zeros(TOGETHER - len(inputs), inputs.shape[1])]).to(self._number)


def _generator(seed: int, *path: str | int) -> torch.Generator:
    return torch.Generator().manual_seed(derive(seed, *path))


def to_bytes(images: Tensor) -> Pixels:
    """Images in [-1, 1] as bytes, rounded to the nearest."""
    return history.to_bytes(images).numpy()


def truncated(latents: Tensor, limit: float) -> Tensor:
    """Normal values as values of the normal distribution cut at +-limit, in the same order.

    `sqrt(2) erfinv(erf(z / sqrt(2)) erf(limit / sqrt(2)))` maps one cumulative distribution to the other. The smaller
    the limit the more typical, and the more alike, are the images (the truncation of Brock et al. 2019, section 3.1).
    """
    if math.isinf(limit):
        return latents
    return math.sqrt(2) * torch.erfinv(torch.erf(latents / math.sqrt(2)) * math.erf(limit / math.sqrt(2)))


def arc(one: Tensor, other: Tensor, shares: Tensor) -> Tensor:
    """Points `(count, size)` on the arc from one vector to another, at shares `(count, 1)` of it (Shoemake 1985)."""
    cosine = torch.dot(one, other) / (one.norm() * other.norm())
    angle = torch.arccos(cosine.clamp(-1.0, 1.0))
    if angle.sin() < 1e-4:  # the same direction, or the opposite one, where no arc is shorter than another
        return torch.lerp(one[None], other[None], shares)
    return (((1.0 - shares) * angle).sin() * one + (shares * angle).sin() * other) / angle.sin()


def class_indices(model: GanModel, asked: Sequence[str]) -> list[int]:
    """The classes that some values of `--class` ask for, in their order.

    A value is the name of a class; else names with commas between them; else `all`.

    Raises:
        UsageError: the model knows no classes, or not one of these.
    """
    if asked and not model.classes:
        raise UsageError(f"the model knows no classes, so --class {asked[0]} cannot be followed")
    return [index for value in asked for index in _indices(model.classes, value)]


def _indices(classes: Sequence[str], value: str) -> list[int]:
    value = unicodedata.normalize("NFC", value)  # as the names of classes are
    if value in classes:
        return [classes.index(value)]
    names = [name if name in classes else name.strip() for name in value.split(",")]
    if unknown := [name for name in names if name not in classes]:
        if value == "all":
            return list(range(len(classes)))
        known = ", ".join(classes[:20])
        raise UsageError(f"the model knows no class {unknown[0]!r}", hint=f"known: {known}, or all")
    return [classes.index(name) for name in names]


def grown(pixels: Pixels, height: int, width: int) -> Pixels:
    """Images `(n, channels, ...)` made as large by repeating pixels: so that what is coarse looks coarse."""
    times = (-(-side // small) for side, small in zip((height, width), pixels.shape[2:], strict=True))
    for dim, time in zip((2, 3), times, strict=True):
        pixels = np.repeat(pixels, time, axis=dim)
    return pixels[:, :, :height, :width]
