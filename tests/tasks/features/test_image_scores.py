from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_images import CLASSES, drawn_pixels, new_small_network, write_model

from seqgen.errors import DataError
from seqgen.metrics.frechet import extrapolated_frechet, frechet_of, moments
from seqgen.metrics.image_statistics import ImageStatistics
from seqgen.metrics.images import precision_recall
from seqgen.tasks.features.image_scores import Side, compare, extracted_side, match_classes, score_classes
from seqgen.tasks.features.model import Extracted, FeatureModel


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FeatureModel:
    directory = write_model(tmp_path_factory.mktemp("models") / "small", new_small_network())
    return FeatureModel.load(str(directory), torch.device("cpu"))


def side_of(model: FeatureModel, count: int, seed: int) -> Side:
    pixels, labels = drawn_pixels(count, seed)
    return extracted_side(model, pixels[:, None], labels, CLASSES)


def seen_side(votes: list[int], labels: list[int] | None, seed: int = 0) -> Side:
    """Images that are taken for these classes, with features drawn around a corner for each."""
    draw = np.random.RandomState(seed)
    features = (draw.standard_normal((len(votes), 2)) + 10 * np.array(votes)[:, None]).astype(np.float32)
    seen = Extracted(features, np.eye(len(CLASSES), dtype=np.float32)[votes])
    statistics = ImageStatistics(np.zeros(2), np.eye(2), "", len(votes))
    return Side(statistics, seen, None if labels is None else np.array(labels))


def test_every_measure_is_the_one_it_is_called(model: FeatureModel) -> None:
    real, fake = side_of(model, 60, 0), side_of(model, 40, 1)
    assert real.extracted is not None
    assert fake.extracted is not None
    found = compare(model, real, fake)
    told = (found.frechet.floor_images, found.frechet.real_images, found.frechet.fake_images)
    assert told == (30, 30, 30)
    few = compare(model, side_of(model, 60, 0), side_of(model, 35, 1))
    assert few.frechet.frechet_extrapolated is None  # 35 images are too few for 6 features
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


def test_a_distance_and_its_floor_are_of_equal_counts(model: FeatureModel) -> None:
    """The floor had half as many images, and so twice the bias: of one law, the distance seemed to be half of it."""
    ratios = []
    for seed in range(0, 24, 2):
        found = compare(model, side_of(model, 120, seed), side_of(model, 120, seed + 1)).frechet
        assert found.floor is not None
        assert (found.real_images, found.fake_images, found.floor_images) == (60, 60, 60)
        ratios.append(found.frechet / found.floor)
    assert float(np.mean(ratios)) == pytest.approx(1.0, abs=0.25)


def test_the_extrapolated_distance_is_of_all_images(model: FeatureModel) -> None:
    real, fake = side_of(model, 80, 0), side_of(model, 70, 1)
    assert real.extracted is not None
    assert fake.extracted is not None
    found = compare(model, real, fake).frechet.frechet_extrapolated
    assert found == extrapolated_frechet(real.extracted.features, fake.extracted.features)


def test_of_statistics_only_the_distance_can_be_told(model: FeatureModel) -> None:
    real, fake = side_of(model, 60, 0), side_of(model, 40, 1)
    assert real.extracted is not None
    assert fake.extracted is not None
    found = compare(model, Side(real.statistics), fake)
    assert found.frechet.frechet == pytest.approx(frechet_of(real.extracted.features, fake.extracted.features))
    assert (found.frechet.real_images, found.frechet.fake_images) == (60, 40)
    assert (found.frechet.floor, found.frechet.frechet_extrapolated) == (None, None)
    assert (found.images, found.classes, found.right) == (None, (), None)


def test_beside_statistics_there_are_as_many_images(model: FeatureModel) -> None:
    real, fake = side_of(model, 40, 0), side_of(model, 60, 1)
    assert fake.extracted is not None
    for found, others in ((compare(model, Side(real.statistics), fake), 40), (compare(model, fake, real), 30)):
        assert (found.frechet.real_images, found.frechet.fake_images) == (others, others)
    some = moments(fake.extracted.features[:40])
    of_statistics = compare(model, Side(real.statistics), fake).frechet.frechet
    as_many = Side(ImageStatistics(*some, model.identity, 40))
    assert of_statistics == compare(model, Side(real.statistics), as_many).frechet.frechet


def test_too_few_images_are_refused_in_a_sentence(model: FeatureModel) -> None:
    with pytest.raises(DataError, match="3 real images and 3 others are too few") as caught:
        compare(model, side_of(model, 3, 0), side_of(model, 3, 1))
    assert "four real images" in caught.value.hint
    assert compare(model, side_of(model, 4, 0), side_of(model, 2, 1)).images is None  # no three neighbours


# Order and copies ---------------------------------------------------------------------------------------------


def test_the_order_of_the_images_does_not_matter(model: FeatureModel) -> None:
    """Sorted by class, shuffled or as they come: every figure is the same to the last bit."""
    pixels, labels = drawn_pixels(90, 0)
    fake = side_of(model, 70, 1)
    figures = []
    for order in (np.arange(90), np.argsort(labels), np.random.RandomState(0).permutation(90)):
        side = extracted_side(model, pixels[order][:, None], labels[order], CLASSES)
        figures.append([compare(model, side, fake).to_json(), compare(model, fake, side).to_json()])
    assert figures[0] == figures[1] == figures[2]


def test_neighbours_are_other_images(model: FeatureModel) -> None:
    """With every real image four times, the three nearest of each were itself, and nothing else was precise."""
    pixels, labels = drawn_pixels(60, 0)
    fake = side_of(model, 40, 1)
    once = compare(model, side_of(model, 60, 0), fake)
    copies = compare(model, extracted_side(model, pixels.repeat(4, 0)[:, None], labels.repeat(4), CLASSES), fake)
    assert once.images is not None
    assert copies.images is not None
    assert once.images.precision > 0.2
    assert copies.images.precision == pytest.approx(once.images.precision, abs=0.15)
    assert copies.images.recall == pytest.approx(once.images.recall, abs=0.15)
    assert [score.recall for score in copies.classes] == pytest.approx([s.recall for s in once.classes], abs=0.3)


# Classes ------------------------------------------------------------------------------------------------------


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
    assert real.extracted is not None
    assert fake.extracted is not None
    one, two = real.extracted.features[:12], fake.extracted.features[:12]
    assert bar.frechet == pytest.approx(frechet_of(one, two))
    few = seen_side([0] * 7 + [1] * 8, [0] * 7 + [1] * 8, seed=1)
    assert few.extracted is not None
    assert score_classes(CLASSES, real, few)[0].frechet == pytest.approx(
        frechet_of(one[:7], few.extracted.features[:7])
    )
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
