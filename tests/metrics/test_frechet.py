from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_features import CASES, draw_features

from seqgen.metrics.frechet import (
    RealHalves,
    equal_count,
    extrapolated_frechet,
    frechet_distance,
    frechet_of,
    moments,
)
from seqgen.metrics.images import Array

RECORD = json.loads((Path(__file__).parent / "image_scores.json").read_text())["cases"]
NAMES = sorted(CASES)


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.RandomState(seed).standard_normal(shape)


# Against the packages that others publish their figures with --------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("package", ["pytorch-fid", "clean-fid", "torch-fidelity"])
def test_frechet_is_that_of_other_packages(name: str, package: str) -> None:
    singular = CASES[name].reals <= CASES[name].size
    found = frechet_of(*draw_features(CASES[name]))
    # Eigenvalues that should be 0 are not quite, and their roots are 1e-8 where they are 1e-16.
    rel, absolute = (0.0, 1e-5) if singular else (1e-9, 0.0)
    assert found == pytest.approx(RECORD[name][f"frechet, {package}"], rel=rel, abs=absolute)


# On paper -----------------------------------------------------------------------------------------------------


def test_moments_on_paper() -> None:
    mean, covariance = moments(np.array([[1.0, 2.0], [3.0, 2.0], [5.0, 8.0]]))
    assert mean.tolist() == [3.0, 4.0]
    assert covariance.tolist() == [[4.0, 6.0], [6.0, 12.0]]  # divided by 2, not by 3


def test_moments_are_summed_in_float64() -> None:
    values = torch.arange(10_000, dtype=torch.float32)[:, None] / 10_000 + 4096
    mean, covariance = moments(values)
    assert mean.dtype == covariance.dtype == np.float64
    assert covariance[0, 0] == pytest.approx(float(values.double().var()), rel=1e-12)


def test_frechet_of_one_dimension_on_paper() -> None:
    # (m1 - m2)^2 + (s1 - s2)^2 with standard deviations: (1 - 3)^2 + (2 - 5)^2.
    four = (np.array([1.0]), np.array([[4.0]]), np.array([3.0]), np.array([[25.0]]))
    assert frechet_distance(*four) == pytest.approx(13.0)


def test_frechet_of_equal_covariances_is_the_squared_distance_of_the_means() -> None:
    root = drawn(5, 5)
    one, two = drawn(5, seed=1), drawn(5, seed=2)
    covariance = root @ root.T
    assert frechet_distance(one, covariance, two, covariance) == pytest.approx(float(((one - two) ** 2).sum()))


def test_frechet_of_diagonals_is_a_sum_over_dimensions() -> None:
    one, two, mean = np.array([1.0, 4.0, 0.0]), np.array([9.0, 4.0, 16.0]), np.zeros(3)
    wanted = (1 - 3) ** 2 + 0 + (0 - 4) ** 2
    assert frechet_distance(mean, np.diag(one), mean, np.diag(two)) == pytest.approx(wanted)


def test_frechet_of_a_set_with_itself_is_nothing() -> None:
    features = drawn(20, 30)  # singular
    assert 0.0 <= frechet_of(features, features) < 1e-5


def test_frechet_does_not_mind_the_order() -> None:
    one, two = draw_features(CASES["unequal counts"])
    assert frechet_of(one, two) == pytest.approx(frechet_of(two, one), rel=1e-10)


# Equal counts -------------------------------------------------------------------------------------------------


def floor_on_paper(size: int, count: int) -> float:
    """The mean distance of two samples of a standard normal law, to first order in 1 / count.

    The means differ by 2 / count in each dimension. With covariances 1 + D the distance is |D1 - D2|^2 / 4, and the
    entries of D have a variance of 1 / count, those on the diagonal of 2 / count.
    """
    return (2 * size + (size * (size - 1) * 2 + size * 4) / 4) / count


@pytest.mark.parametrize("count", [250, 1000])
def test_the_floor_is_that_of_samples_of_so_many_images(count: int) -> None:
    real = drawn(2 * count, 8)
    assert RealHalves(real, count, splits=16).floor == pytest.approx(floor_on_paper(8, count), rel=0.15)


def test_fakes_of_the_law_of_the_real_images_are_as_far_away_as_the_floor() -> None:
    """With all real images on one side, and halves of them in the floor, it would be half of that."""
    ratios = []
    for seed in range(0, 80, 2):
        real, fake = drawn(1000, 8, seed=seed), drawn(1000, 8, seed=seed + 1)
        halves = RealHalves(real, equal_count(len(real), len(fake)))
        ratios.append(halves.distance(fake) / halves.floor)
    assert float(np.mean(ratios)) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize(
    ("real", "fake", "count"), [(8000, 8000, 4000), (8000, 5000, 4000), (8000, 1000, 1000), (9, 9, 4), (3, 9, 1)]
)
def test_the_real_images_are_shared_with_the_floor(real: int, fake: int, count: int) -> None:
    assert equal_count(real, fake) == count


def test_each_set_has_the_same_number_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counted(some: Array) -> tuple[Array, Array]:
        seen.append(len(some))
        return moments(some)

    monkeypatch.setattr("seqgen.metrics.frechet.moments", counted)
    for fakes in (30, 50):
        RealHalves(drawn(61, 3), 30).distance(drawn(fakes, 3, seed=1))
    assert set(seen) == {30}


def test_a_set_is_at_no_distance_from_itself() -> None:
    real = drawn(60, 3)
    assert RealHalves(real, 30).distance(real) < 1e-9


def test_partings_are_a_function_of_the_seed() -> None:
    real = drawn(60, 3)
    assert RealHalves(real, 30).floor == RealHalves(real, 30).floor != RealHalves(real, 30, seed=1).floor


# Without the bias ---------------------------------------------------------------------------------------------


def two_laws(size: int) -> tuple[Array, Array, Array, float]:
    """Roots of two covariances, the mean of the second law, and the distance of the two on paper."""
    root_1 = drawn(size, size)
    root_2, mean = 1.1 * root_1 + 0.1 * drawn(size, size, seed=1), 0.1 * drawn(size, seed=2)
    covariances = root_1 @ root_1.T, root_2 @ root_2.T
    return root_1, root_2, mean, frechet_distance(np.zeros(size), covariances[0], mean, covariances[1])


def test_the_extrapolated_distance_is_that_of_the_laws() -> None:
    """Chong and Forsyth 2020: at a finite count the distance is too large, at an infinite one it is right."""
    size, count = 24, 600
    root_1, root_2, mean, right = two_laws(size)
    finite, infinite = [], list[float | None]()
    for seed in range(3, 67, 2):
        one, two = drawn(count, size, seed=seed) @ root_1.T, drawn(count, size, seed=seed + 1) @ root_2.T + mean
        finite.append(frechet_of(one, two))
        infinite.append(extrapolated_frechet(one, two))
    known = [distance for distance in infinite if distance is not None]
    error = float(np.std(known)) / np.sqrt(len(infinite))
    assert float(np.mean(known)) == pytest.approx(right, abs=4 * error)
    assert float(np.mean(finite)) > right + 12 * error


def test_two_samples_of_one_law_are_at_no_distance_when_extrapolated() -> None:
    found = [extrapolated_frechet(drawn(500, 8, seed=i), drawn(700, 8, seed=i + 1)) for i in range(0, 200, 2)]
    known = [distance for distance in found if distance is not None]
    assert len(known) == len(found)
    assert min(known) < 0.0 < max(known)
    assert abs(float(np.mean(known))) < 0.1 * floor_on_paper(8, 500)


def test_a_line_is_continued_to_infinitely_many_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqgen.metrics.frechet.frechet_of", lambda one, two: 0.25 + 3.0 / len(one))
    assert extrapolated_frechet(drawn(120, 4), drawn(150, 4)) == pytest.approx(0.25)


def test_too_few_images_for_their_features_are_not_extrapolated() -> None:
    assert extrapolated_frechet(drawn(47, 8), drawn(900, 8)) is None
    assert extrapolated_frechet(drawn(48, 8), drawn(900, 8)) is not None


# What cannot be -----------------------------------------------------------------------------------------------


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="two images"):
        moments(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="no two halves of 6"):
        RealHalves(np.zeros((10, 2)), 6)
    with pytest.raises(ValueError, match="fewer than 5"):
        RealHalves(drawn(10, 2), 5).distance(drawn(4, 2))
