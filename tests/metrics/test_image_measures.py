from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_features import CASES, draw_features

from seqgen.metrics import images
from seqgen.metrics.images import (
    frechet_distance,
    frechet_floor,
    frechet_of,
    kernel_distance,
    moments,
    nearest_distances,
    precision_recall,
)

RECORD = json.loads((Path(__file__).parent / "image_scores.json").read_text())["cases"]
NAMES = sorted(CASES)


def drawn(*shape: int, seed: int = 0) -> images.Array:
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


@pytest.mark.parametrize("name", [name for name in NAMES if "kernel, clean-fid" in RECORD[name]])
def test_kernel_is_that_of_other_packages(name: str) -> None:
    found = kernel_distance(*draw_features(CASES[name]))
    for package in ("clean-fid", "torch-fidelity"):
        assert found == pytest.approx(RECORD[name][f"kernel, {package}"], rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("block", [7, 1024])
def test_precision_and_recall_are_those_of_torch_fidelity(
    name: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "BLOCK", block)
    found = precision_recall(*draw_features(CASES[name]))
    wanted = tuple(RECORD[name][f"{measure}, torch-fidelity"] for measure in ("precision", "recall"))
    assert np.array(found, np.float32).tolist() == list(wanted)  # it counts in float32


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


def test_the_floor_falls_with_the_number_of_images() -> None:
    real = drawn(2000, 8)
    few, many = frechet_floor(real, 100), frechet_floor(real, 1000)
    assert few == pytest.approx(10 * many, rel=0.5)  # the bias goes with 1 / n
    assert frechet_floor(real, 100) == few
    assert frechet_floor(real, 100, seed=1) != few


def test_kernel_on_paper() -> None:
    # One feature: k(x, y) = (x y + 1)^3. Reals 0 and 1: k = 1 twice. Fakes 1 and 2: k = 27 twice. Across: 1, 1, 8, 27.
    found = kernel_distance(np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]]))
    assert found == pytest.approx(2 / 2 + 54 / 2 - 2 * 37 / 4)


def test_kernel_of_two_samples_of_one_law_is_near_zero_on_either_side() -> None:
    distances = [kernel_distance(drawn(200, 4, seed=2 * i), drawn(200, 4, seed=2 * i + 1)) for i in range(8)]
    assert min(distances) < 0.0 < max(distances)
    assert abs(float(np.mean(distances))) < 0.05


def test_kernel_of_subsets_is_near_that_of_all_and_a_function_of_the_seed() -> None:
    one, two = draw_features(CASES["more images than features"])
    whole, some = kernel_distance(one, two), kernel_distance(one, two, subsets=20, subset_size=200)
    assert some == pytest.approx(whole, rel=0.1)
    assert kernel_distance(one, two, subsets=20, subset_size=200) == some
    assert kernel_distance(one, two, subsets=20, subset_size=200, seed=1) != some


def test_precision_and_recall_on_paper() -> None:
    # With k = 1 the real balls are [0, 2] around 1 and so on: reals 0, 1, 10, 11 cover [-1, 2] and [9, 12].
    real = np.array([[0.0], [1.0], [10.0], [11.0]])
    fake = np.array([[0.5], [1.5], [5.0], [1.2]])
    # Fakes reach 0.3 (1.2), 0.3 (1.5), 3.5 (5.0), 0.7 (0.5): [-.2, 1.2], [1.2, 1.8], [1.5, 8.5], [.9, 1.5].
    assert precision_recall(real, fake, k=1) == (0.75, 0.5)


def test_a_collapsed_generator_is_precise_and_recalls_nothing() -> None:
    real = drawn(300, 4)
    fake = real[:1] + 1e-3 * drawn(300, 4, seed=1)
    precision, recall = precision_recall(real, fake)
    assert precision == 1.0
    assert recall < 0.02


def test_nearest_distances_on_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "BLOCK", 2)
    found = nearest_distances(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 9.0]]), np.array([[0.0, 1.0], [6.0, 8.0]]))
    assert found == pytest.approx([1.0, 18**0.5, 1.0])


# What cannot be ------------------------------------------------------------------------------------------------


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="3 dimensions"):
        moments(np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="two images"):
        moments(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="no two halves of 6"):
        frechet_floor(np.zeros((10, 2)), 6)
    with pytest.raises(ValueError, match="two images on each side"):
        kernel_distance(np.zeros((5, 2)), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="need 4 images"):
        precision_recall(np.zeros((3, 2)), np.zeros((9, 2)))
