from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_images import CLASSES, drawn_pixels, new_small_network, write_model

from seqgen.metrics.image_statistics import ImageStatistics
from seqgen.metrics.images import frechet_floor, frechet_of, precision_recall
from seqgen.tasks.features import FeatureModel, Seen
from seqgen.tasks.image_scores import Side, compare, look, match_classes, score_classes


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FeatureModel:
    directory = write_model(tmp_path_factory.mktemp("models") / "small", new_small_network())
    return FeatureModel.load(str(directory), torch.device("cpu"))


def side_of(model: FeatureModel, count: int, seed: int) -> Side:
    pixels, labels = drawn_pixels(count, seed)
    return look(model, pixels[:, None], labels, CLASSES)


def seen_side(votes: list[int], labels: list[int] | None, seed: int = 0) -> Side:
    """Images that are taken for these classes, with features drawn around a corner for each."""
    draw = np.random.RandomState(seed)
    features = (draw.standard_normal((len(votes), 2)) + 10 * np.array(votes)[:, None]).astype(np.float32)
    seen = Seen(features, np.eye(len(CLASSES), dtype=np.float32)[votes])
    statistics = ImageStatistics(np.zeros(2), np.eye(2), "", len(votes))
    return Side(statistics, seen, None if labels is None else np.array(labels))


def test_every_measure_is_the_one_it_is_called(model: FeatureModel) -> None:
    real, fake = side_of(model, 60, 0), side_of(model, 40, 1)
    assert real.seen is not None
    assert fake.seen is not None
    found = compare(model, real, fake)
    assert found.frechet.frechet == pytest.approx(frechet_of(real.seen.features, fake.seen.features))
    assert found.frechet.floor == frechet_floor(real.seen.features, 30)
    told = (found.frechet.floor_images, found.frechet.real_images, found.frechet.fake_images)
    assert told == (30, 60, 40)
    assert (found.frechet.features, found.frechet.feature_size) == (model.identity, 6)
    assert found.images is not None
    assert found.images.neighbour_images == 40
    assert found.images.bins == 6
    assert [score.name for score in found.classes] == list(CLASSES)
    assert [score.asked for score in found.classes] == [14, 13, 13]


def test_a_set_and_itself_do_not_differ(model: FeatureModel) -> None:
    side = side_of(model, 40, 0)
    found = compare(model, side, side)
    assert found.frechet.frechet < 1e-6
    assert found.images is not None
    assert (found.images.precision, found.images.recall) == (1.0, 1.0)
    assert (found.images.different_bins, found.images.bin_divergence) == (0, 0.0)


def test_of_statistics_only_the_distance_can_be_told(model: FeatureModel) -> None:
    real, fake = side_of(model, 60, 0), side_of(model, 40, 1)
    found = compare(model, Side(real.statistics), fake)
    assert found.frechet.frechet == pytest.approx(compare(model, real, fake).frechet.frechet)
    assert found.frechet.floor is None
    assert (found.images, found.classes, found.right) == (None, (), None)


def test_too_few_images_have_no_neighbours(model: FeatureModel) -> None:
    found = compare(model, side_of(model, 3, 0), side_of(model, 3, 1))
    assert found.images is None
    assert found.frechet.floor is None


def test_the_floor_is_that_of_as_many_images_as_there_are_fakes(model: FeatureModel) -> None:
    assert compare(model, side_of(model, 60, 0), side_of(model, 10, 1)).frechet.floor_images == 10


def test_classes_on_paper() -> None:
    real = seen_side([0] * 10 + [1] * 10 + [2] * 10, None)
    fake = seen_side([0] * 12 + [1] * 8 + [0] * 10, [0] * 12 + [1] * 8 + [2] * 10)
    bar, dot, gap = score_classes(CLASSES, real, fake)
    assert [(s.real, s.fake, s.missing) for s in (bar, dot, gap)] == [(10, 22, False), (10, 8, False), (10, 0, True)]
    assert [(s.asked, s.right) for s in (bar, dot, gap)] == [(12, 1.0), (8, 1.0), (10, 0.0)]
    assert bar.frechet is bar.recall is None  # the real images have no labels


def test_each_class_is_measured_by_its_own_images() -> None:
    labels = [0] * 12 + [1] * 8
    real, fake = seen_side(labels, labels), seen_side(labels, labels, seed=1)
    bar, dot, gap = score_classes(CLASSES, real, fake)
    assert real.seen is not None
    assert fake.seen is not None
    one, two = real.seen.features[:12], fake.seen.features[:12]
    assert bar.frechet == pytest.approx(frechet_of(one, two))
    assert bar.recall == precision_recall(one, two)[1]
    assert dot.frechet is not None
    assert gap.frechet is gap.right is None


def test_the_share_as_asked_counts_images_not_classes(model: FeatureModel) -> None:
    found = compare(model, side_of(model, 60, 0), side_of(model, 40, 1))
    assert found.right is not None
    right = sum(score.asked * score.right for score in found.classes if score.right is not None)
    assert found.right == pytest.approx(right / 40)


def test_the_json_is_flat_and_says_it_all(model: FeatureModel) -> None:
    told = json.loads(json.dumps(compare(model, side_of(model, 60, 0), side_of(model, 40, 1)).to_json()))
    assert {"frechet", "floor", "features", "kernel", "precision", "recall", "different_bins", "right"} <= told.keys()
    assert [score["name"] for score in told["classes"]] == list(CLASSES)


def test_labels_are_matched_by_name() -> None:
    labels = np.array([0, 1, 1])
    found = match_classes(("b", "a"), ("a", "b", "c"), labels)
    assert found is not None
    assert found.tolist() == [1, 0, 0]
    assert match_classes(("a", "z"), ("a", "b", "c"), labels) is None
    assert match_classes(("a", "b"), ("a", "b"), None) is None


def test_statistics_know_where_they_come_from(model: FeatureModel, tmp_path: Path) -> None:
    side = side_of(model, 20, 0)
    assert (side.statistics.features, side.statistics.images) == (model.identity, 20)
