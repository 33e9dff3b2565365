"""The Fréchet distance of two sets of images, by the features that a network extracts from them.

Few images make it larger: its mean over samples of n images on each side is `d + c / n + O(1 / n^2)`, where `d` is the
distance of the two laws. So a distance says something only beside another one of equal counts, and always comes with
its floor, which real images have from other real images. `RealHalves` is the one place where the counts are settled: n
real images, n fakes, and n other real images for the floor. `extrapolated_frechet` estimates `d` itself.

All sums are float64: at float32 a covariance of 10,000 images is wrong in its fourth digit.
"""

from __future__ import annotations

import numpy as np

from seqgen.metrics.images import Array, Features, as_float64, generator_of

# Random partings of the real images that a distance and its floor are averaged over.
SPLITS = 8
# The extrapolation: into how many parts the images are cut at most and at least, and how many images for each feature
# a part needs. Below that the terms after 1 / n count too.
MOST_PARTS, FEWEST_PARTS, IMAGES_PER_FEATURE = 5, 3, 2


def moments(features: Features) -> tuple[Array, Array]:
    """Mean `(size,)` and unbiased covariance `(size, size)` of features.

    Raises:
        ValueError: there are fewer than two.
    """
    array = as_float64(features)
    if len(array) < 2:
        raise ValueError(f"a covariance needs two images at least, not {len(array)}")
    return array.mean(axis=0), np.atleast_2d(np.cov(array, rowvar=False))


def frechet_distance(mean_1: Array, covariance_1: Array, mean_2: Array, covariance_2: Array) -> float:
    """The squared Fréchet distance of two Gaussians (Dowson and Landau 1982; Heusel et al. 2017, eq. 6).

    `|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`. The trace of the root is taken from the symmetric
    `S1^(1/2) S2 S1^(1/2)`, which has the same eigenvalues as `S1 S2` and, unlike it, only real ones.

    Args:
        mean_1 (Array): `(size,)`.
        covariance_1 (Array): `(size, size)`, symmetric; it may be singular.
        mean_2 (Array): `(size,)`.
        covariance_2 (Array): `(size, size)`, likewise.

    Returns:
        float: at least 0; rounding may take a distance of nothing below it.
    """
    values, vectors = np.linalg.eigh(covariance_1)
    root = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    eigenvalues = np.linalg.eigvalsh(root @ covariance_2 @ root)
    trace_of_root = np.sqrt(np.clip(eigenvalues, 0.0, None)).sum()
    difference = mean_1 - mean_2
    distance = difference @ difference + np.trace(covariance_1) + np.trace(covariance_2) - 2.0 * trace_of_root
    return max(0.0, float(distance))


def frechet_of(one: Features, two: Features) -> float:
    """The Fréchet distance of two sets of features."""
    return frechet_distance(*moments(one), *moments(two))


# Equal counts -------------------------------------------------------------------------------------------------


def equal_count(real: int, fake: int) -> int:
    """How many images each set has when so many real ones and fakes are known: half of the real ones are the others."""
    return min(real // 2, fake)


class RealHalves:
    """Real images parted at random, some times over, into references and as many others.

    Args:
        real (Features): `(n, size)`.
        count (int): how many images each set has, at most n / 2 (`equal_count`).
        seed (int): of the partings.
        splits (int): how many there are; distances and the floor are means over them.

    Raises:
        ValueError: a set would have fewer than two images, or there are too few real ones.
    """

    def __init__(self, real: Features, count: int, *, seed: int = 0, splits: int = SPLITS) -> None:
        array = as_float64(real)
        if not 2 <= count <= len(array) // 2:
            raise ValueError(f"{len(array)} images have no two halves of {count}")
        self.count = count
        self._seed, self._images = seed, len(array)
        self._references, floors = [], []
        for split in range(splits):
            order = self._order(split, len(array))
            reference = moments(array[order[:count]])
            self._references.append(reference)
            floors.append(frechet_distance(*reference, *moments(array[order[count : 2 * count]])))
        self.floor = float(np.mean(floors))

    def distance(self, fake: Features) -> float:
        """The Fréchet distance of `count` fakes from as many references.

        Args:
            fake (Features): `(n, size)`, at least `count`. Of more, each split draws some; real images in the same
                order as their own copies are drawn alike, so that they are at no distance from themselves.

        Raises:
            ValueError: there are too few.
        """
        array = as_float64(fake)
        if len(array) < self.count:
            raise ValueError(f"{len(array)} fakes are fewer than {self.count}")
        if len(array) == self.count:
            known = moments(array)
            return float(np.mean([frechet_distance(*reference, *known) for reference in self._references]))
        drawn = (array[self._order(split, len(array))[: self.count]] for split in range(len(self._references)))
        pairs = zip(self._references, drawn, strict=True)
        return float(np.mean([frechet_distance(*reference, *moments(some)) for reference, some in pairs]))

    def across(self, fake: Features) -> float:
        """The Fréchet distance of fakes that are counterparts of all real images, in their order.

        Each split compares references with the counterparts of the others: beside its own counterparts a reference
        would be nearer than any other real image is.

        Args:
            fake (Features): `(n, size)`.

        Raises:
            ValueError: there are more or fewer than real images.
        """
        array = as_float64(fake)
        if len(array) != self._images:
            raise ValueError(f"{len(array)} fakes are not the counterparts of {self._images} real images")
        orders = (self._order(split, len(array)) for split in range(len(self._references)))
        others = (array[order[self.count : 2 * self.count]] for order in orders)
        pairs = zip(self._references, others, strict=True)
        return float(np.mean([frechet_distance(*reference, *moments(some)) for reference, some in pairs]))

    def _order(self, split: int, images: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return generator_of(self._seed, "parting", split).permutation(images)


# Without the bias ---------------------------------------------------------------------------------------------


def extrapolated_frechet(real: Features, fake: Features, *, seed: int = 0) -> float | None:
    """The Fréchet distance that infinitely many images would have: FID_infinity of Chong and Forsyth 2020.

    The distance is measured at several counts n, equal on both sides, and a line `FID_n = FID_infinity + c / n` is
    laid through the results by least squares; the answer is where it meets 1 / n = 0. The counts are the whole, a
    half, a third... of the images, evenly spaced in 1 / n, and each result is the mean over all parts of that size,
    so that every image counts at every n.

    Args:
        real (Features): `(n, size)`.
        fake (Features): `(m, size)`; of the larger set as many are drawn as the smaller one has.
        seed (int): of the parts.

    Returns:
        float | None: near 0 it may be negative by chance; None where there are too few images for so many features.
    """
    one, two = as_float64(real), as_float64(fake)
    count = min(len(one), len(two))
    parts = min(MOST_PARTS, count // (IMAGES_PER_FEATURE * one.shape[1]))
    if parts < FEWEST_PARTS:
        return None
    one, two = (x[generator_of(seed, "parts").permutation(len(x))] for x in (one, two))
    sizes = [count // part for part in range(1, parts + 1)]
    distances = [
        np.mean([frechet_of(one[i : i + size], two[i : i + size]) for i in range(0, count - size + 1, size)])
        for size in sizes
    ]
    slopes = np.stack([np.ones(parts), 1.0 / np.array(sizes)], axis=1)
    return float(np.linalg.lstsq(slopes, np.array(distances))[0][0])
