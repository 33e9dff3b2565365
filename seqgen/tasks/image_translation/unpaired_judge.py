"""How good translations without pairs are: what they look like among real images, and what comes back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from seqgen.config import Direction
from seqgen.data.image_domains import Domains
from seqgen.data.images import ImageSet
from seqgen.gan.translation_health import TranslationSignals
from seqgen.metrics.frechet import RealHalves, equal_count
from seqgen.metrics.image_pairs import correlation, mean_distance
from seqgen.nets.images.features import with_channels
from seqgen.seeds import derive
from seqgen.tasks.image_translation.judge import FEWEST, Extractor, apart
from seqgen.tasks.image_translation.model import WAYS, Way
from seqgen.tasks.image_translation.translate import TOGETHER, made_of, scaled

Pixels = NDArray[np.uint8]
# What is added before the way back, in grey values: as little as nobody sees, and as content could be hidden in.
HIDING_NOISE = 8.0


@dataclass(frozen=True)
class Translated:
    """What became of the images of one domain.

    Args:
        made (Pixels): in the other one, `(n, channels, height, width)`.
        cycle (float): mean distance of an image that went there and back from itself, as a share of a pixel's range.
        noisy_cycle (float): the same with noise added before the way back.
        frechet (float | None): distance of what was made from real images of the other domain; None with too few.
        floor (float | None): the same of other real ones.
        sensitivity (float): mean distance of two that were made / of two real ones.
        likeness (float): correlation of what was made with its input.
    """

    made: Pixels
    cycle: float
    noisy_cycle: float
    frechet: float | None
    floor: float | None
    sensitivity: float
    likeness: float

    def signals(self, watched: dict[str, float], *, alike: bool) -> TranslationSignals:
        """What a diagnosis is made of.

        Args:
            watched (dict[str, float]): what the duel was like.
            alike (bool): whether light and dark lie alike in both domains, so that they should not be exchanged.
        """
        return TranslationSignals(
            **watched,
            sensitivity=self.sensitivity,
            noise=0.0,
            likeness=self.likeness if alike else math.nan,
            distance=self.cycle,
            frechet=math.nan if self.frechet is None else self.frechet,
            floor=math.nan if self.floor is None else self.floor,
            hidden=self.noisy_cycle / max(self.cycle, 1e-12),
        )


class UnpairedJudge:
    """Translates the images of both domains, and compares them with real ones.

    Args:
        a (Pixels): images of A, `(n, channels, height, width)`.
        b (Pixels): those of B.
        extractors (tuple[Extractor, Extractor]): what images of A and those of B are compared in.
        seed (int): of what is drawn.
    """

    def __init__(self, a: Pixels, b: Pixels, extractors: tuple[Extractor, Extractor], seed: int) -> None:
        self._real: dict[Direction, Pixels] = {"a2b": a, "b2a": b}
        self._seed = seed
        self.extractors: dict[Direction, Extractor] = {"a2b": extractors[1], "b2a": extractors[0]}
        self._halves: dict[Direction, RealHalves] = {}
        for way, back in WAYS:
            real, source = self._real[back], self._real[way]
            if len(real) >= FEWEST and len(source) >= FEWEST // 2:
                count = equal_count(len(real), len(source))
                self._halves[way] = RealHalves(self.extractors[way].extract(real).features, count, seed=seed)
        means = [x.mean(axis=(0, 1))[None, None].round().astype(np.uint8) for x in (a, b)]
        self.alike = bool(correlation(*means)[0] > 0)

    def judge(self, way: Way, back: Way, direction: Direction) -> Translated:
        """What becomes of the images of one domain in the other, and on the way back."""
        real, goal = self._real[direction], self._real[dict(WAYS)[direction]]
        made, halves = made_of(way, real, None), self._halves.get(direction)
        cycle, noisy = (_cycle_error(way, back, real, deviation, self._seed) for deviation in (0.0, HIDING_NOISE))
        features = None if halves is None else self.extractors[direction].extract(made).features
        return Translated(
            made=made,
            cycle=cycle,
            noisy_cycle=noisy,
            frechet=None if halves is None or features is None else halves.distance(features),
            floor=None if halves is None else halves.floor,
            sensitivity=apart(made) / max(apart(goal), 1e-12),
            likeness=float(correlation(made, real).mean()),
        )


@torch.inference_mode()
def _cycle_error(way: Way, back: Way, pixels: Pixels, deviation: float, seed: int) -> float:
    """The mean distance of images that went there and back from themselves, with noise before the way back."""
    generator = torch.Generator().manual_seed(derive(seed, "hidden"))
    total = 0.0
    for network in (way.generator, back.generator):
        network.eval()
    for first in range(0, len(pixels), TOGETHER):
        images = scaled(torch.from_numpy(pixels[first : first + TOGETHER])).to(way.device)
        there = way.generator(images)
        noise = torch.randn(there.shape, generator=generator).to(there.device) * (deviation / 127.5)
        returned = back.generator((there + noise).clamp(-1.0, 1.0))
        total += float((returned - images).abs().mean(dim=(1, 2, 3)).sum()) / 2.0
    return total / len(pixels)


def kept_classes(translated: Pixels, source: ImageSet, extractor: Extractor) -> float | None:
    """The share of images that a classifier of the other domain takes for what their labels say.

    None without labels, or where the classifier does not know them.
    """
    if source.labels is None or not set(source.classes) <= set(extractor.classes):
        return None
    known = np.array([extractor.classes.index(name) for name in source.classes])
    found = extractor.extract(translated).probs.argmax(axis=1)
    return float((found == known[source.labels]).mean())


def matched_histogram(pixels: Pixels, other: Pixels) -> Pixels:
    """Images with the grey values of others: channel by channel, the n-th darkest of all becomes their n-th darkest."""
    made = np.empty((len(pixels), other.shape[1], *pixels.shape[2:]), np.uint8)
    for channel in range(other.shape[1]):
        given = pixels[:, min(channel, pixels.shape[1] - 1)]
        ours, theirs = (np.bincount(x.ravel(), minlength=256).cumsum() / x.size for x in (given, other[:, channel]))
        made[:, channel] = np.searchsorted(theirs, ours - 1e-12).clip(0, 255).astype(np.uint8)[given]
    return made


def truth_of(direction: Direction, domains: Domains, made: Pixels) -> dict[str, float]:
    """How far translations are from aligned truth, beside the input itself and a histogram match; L1 of each."""
    source, target = (domains.a, domains.b) if direction == "a2b" else (domains.b, domains.a)
    given = source.pixels
    same = with_channels(torch.tensor(given), target.pixels.shape[1]).numpy()
    matched = matched_histogram(given, target.pixels)
    return {
        name: float(mean_distance(x, target.pixels).mean())
        for name, x in (("truth", made), ("identity", same), ("histogram", matched))
    }
