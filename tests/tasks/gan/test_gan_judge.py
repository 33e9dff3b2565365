from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gan_models import CPU, bars
from numpy.typing import NDArray

from seqgen.data.images import ImageSet
from seqgen.errors import ModelError
from seqgen.metrics.frechet import RealHalves
from seqgen.tasks.features.pixels import PixelFeatures
from seqgen.tasks.gan import nearest_images
from seqgen.tasks.gan.judge import Judge, spread
from seqgen.tasks.gan.nearest_images import NearestImages

Pixels = NDArray[np.uint8]


def noise(count: int, seed: int = 0, side: int = 6) -> Pixels:
    draw = np.random.Generator(np.random.PCG64(seed))
    return draw.integers(0, 256, size=(count, 1, side, side)).astype(np.uint8)


def unlabelled(pixels: Pixels) -> ImageSet:
    return ImageSet(pixels, None, ())


def judged(real: ImageSet, samples: Pixels) -> dict[str, float]:
    return Judge(real, "pixels", 0, CPU).judge(samples, None)


def test_real_images_are_judged_as_real() -> None:
    """The samples are the other half of what the real images were drawn from."""
    both = noise(240)
    measures = judged(unlabelled(both[:120]), both[120:180])
    assert measures["frechet"] == pytest.approx(measures["floor"], rel=0.3)
    assert measures["precision"] > 0.5
    assert measures["recall"] > 0.5
    assert measures["spread"] == pytest.approx(1.0, abs=0.1)
    assert measures["closeness"] == pytest.approx(1.0, abs=0.1)


def test_other_images_are_not_judged_as_real() -> None:
    measures = judged(unlabelled(noise(120)), 255 - noise(60, 1) // 4)
    assert measures["frechet"] > 3 * measures["floor"]
    assert (measures["precision"], measures["recall"]) == (0.0, 0.0)


def test_one_image_many_times_has_no_spread() -> None:
    images = bars(60)
    measures = judged(images, np.repeat(np.asarray(images.pixels[:1]), 30, axis=0))
    assert measures["spread"] == pytest.approx(0.0, abs=1e-9)
    assert measures["recall"] < 0.1


def test_samples_floor_and_references_are_equally_many(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []

    class Counted(RealHalves):
        def distance(self, fake: object) -> float:
            counts.extend([self.count, len(fake)])  # type: ignore[arg-type]
            return super().distance(fake)  # type: ignore[arg-type]

    monkeypatch.setattr("seqgen.tasks.gan.judge.RealHalves", Counted)
    judge = Judge(bars(61), "pixels", 0, CPU)
    judge.judge(bars(61).pixels[: judge.count], None)
    assert (judge.count, counts) == (30, [30, 30])


def test_the_order_of_the_images_does_not_matter() -> None:
    images = bars(90)
    assert images.labels is not None
    samples = bars(45, labelled=False).pixels
    order = np.argsort(images.labels, kind="stable")
    in_order = ImageSet(images.pixels[order], images.labels[order], images.classes)
    assert judged(images, samples) == judged(in_order, samples)


def test_whether_a_classifier_knows_the_images_is_asked_of_all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of images sorted by class the first thousand were of one or two."""
    asked: list[NDArray[np.int64]] = []

    def eyes(
        name: str, pixels: Pixels, labels: NDArray[np.int64], classes: tuple[str, ...], device: torch.device
    ) -> PixelFeatures:
        asked.append(labels)
        return PixelFeatures(pixels)

    monkeypatch.setattr("seqgen.tasks.gan.judge._extractor_for", eyes)
    Judge(ImageSet(noise(200), np.repeat(np.arange(4), 50), tuple("abcd")), "auto", 0, CPU)
    assert set(asked[0][:30].tolist()) == {0, 1, 2, 3}


# Copies -------------------------------------------------------------------------------------------------------


def test_copies_of_training_images_are_found_among_many() -> None:
    """A search of 5,000 of 40,000 found one copy in eight, and a median distance of 0.99."""
    training = noise(40_000, side=4)
    copies = training[np.random.Generator(np.random.PCG64(1)).choice(40_000, 2500, replace=False)]
    judge = Judge(unlabelled(training), "pixels", 0, CPU)
    assert judge.judge(copies, None)["closeness"] == pytest.approx(0.0, abs=1e-5)
    assert judge.judge(noise(2500, 2, side=4), None)["closeness"] == pytest.approx(1.0, abs=0.05)


def test_images_that_stand_twice_are_no_neighbours_of_themselves() -> None:
    """A training image's nearest neighbour was its own copy, at no distance: closeness 8.6e12."""
    training, samples = noise(200), noise(900, 1)
    once = judged(unlabelled(training), samples)
    for copies in (2, 9):
        measures = judged(unlabelled(training.repeat(copies, 0)), samples)
        assert measures["closeness"] == pytest.approx(once["closeness"], rel=0.05)
        assert measures["precision"] == pytest.approx(once["precision"], abs=0.15)
        assert measures["recall"] == pytest.approx(once["recall"], abs=0.15)
        assert judged(unlabelled(training.repeat(copies, 0)), training.repeat(5, 0))["closeness"] < 0.01


def brute_force(training: Pixels, samples: Pixels) -> float:
    """Closeness by the distances of all pairs of pixels."""
    one, two = (x.reshape(len(x), -1).astype(np.float64) for x in (samples, np.unique(training, axis=0)))
    near = np.sqrt(((one[:, None] - two) ** 2).sum(axis=2)).min(axis=1)
    own = np.sqrt(((two[:, None] - two) ** 2).sum(axis=2)) + np.diag([np.inf] * len(two))
    return float(np.median(near) / np.median(own.min(axis=1)))


@pytest.mark.parametrize("block", [7, 4096])
def test_the_nearest_of_all_is_found_in_blocks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_images, "BLOCK", block)
    training, samples = noise(90), noise(50, 1)  # smaller than a thumbnail, so these keep their distances
    whole = NearestImages(training, np.arange(90), lambda some: some.reshape(len(some), -1).astype(np.float32))
    assert whole.closeness(samples) == pytest.approx(brute_force(training, samples), rel=1e-5)


def test_what_is_alike_in_a_thumbnail_is_told_apart_by_features() -> None:
    """Stripes of one pixel are grey when made small: of a hundred that are, none is a copy."""
    y, x = np.mgrid[0:16, 0:16]
    stripes = np.stack([255 * ((y + i) % 2) for i in range(2)] + [255 * ((x + i) % 2) for i in range(2)])
    training = np.concatenate([stripes[:2, None].astype(np.uint8), noise(60, side=16)])
    near = NearestImages(training, np.arange(62), lambda some: some.reshape(len(some), -1).astype(np.float32))
    assert near.closeness(stripes[2:, None].astype(np.uint8)) > 0.5
    assert near.closeness(stripes[:2, None].astype(np.uint8)) == 0.0


@pytest.mark.parametrize("count", [1, 2])
def test_of_too_few_images_nothing_is_said(count: int) -> None:
    near = NearestImages(noise(count), np.arange(count), lambda some: some.reshape(len(some), -1).astype(np.float32))
    assert near.closeness(noise(3, 1)) == 1.0


# Features -----------------------------------------------------------------------------------------------------


def test_the_spread_is_a_mean_of_distances() -> None:
    corners = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]], np.float32)
    assert spread(corners) == pytest.approx(4.0)  # 3, 4 and 5


def test_pixel_features_keep_distances_of_small_images() -> None:
    pixels = noise(90)
    seen = PixelFeatures(pixels).extract(pixels)
    assert seen.features.shape == (90, 36)
    assert seen.probs.shape == (90, 0)
    apart = np.linalg.norm((pixels[0].astype(float) - pixels[1]) / 127.5)
    assert np.linalg.norm(seen.features[0] - seen.features[1]) == pytest.approx(apart, rel=1e-4)


def test_a_network_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        Judge(bars(60), str(tmp_path / "none"), 0, torch.device("cpu"))
