from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from drawn_features import CASES, draw_features

from seqgen.metrics import images
from seqgen.metrics.images import as_float64, kernel_distance, nearest_distances, precision_recall

RECORD = json.loads((Path(__file__).parent / "image_scores.json").read_text())["cases"]
NAMES = sorted(CASES)


def drawn(*shape: int, seed: int = 0) -> images.Array:
    return np.random.RandomState(seed).standard_normal(shape)


# Against the packages that others publish their figures with --------------------------------------------------


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
        as_float64(np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="two images on each side"):
        kernel_distance(np.zeros((5, 2)), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="need 4 images"):
        precision_recall(np.zeros((3, 2)), np.zeros((9, 2)))
