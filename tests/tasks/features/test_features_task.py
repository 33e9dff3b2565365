from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from labelled_images import CLASSES, drawn_pixels, image_set, new_small_network
from tolerances import rounding, terms_of
from torch.nn import functional

from seqgen.config import LabelledConfig
from seqgen.data.images import ImageSet
from seqgen.errors import DataError
from seqgen.tasks.features.task import FeatureTask, evaluate, labels_of, split


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    return image_set(tmp_path_factory.mktemp("images"), 60)


def task_of(images: ImageSet, *, batch_size: int = 16, valid: float = 0.2, shift: float = 0.0) -> FeatureTask:
    config = LabelledConfig(valid=valid, shift=shift)
    return FeatureTask(new_small_network(), images, config, batch_size=batch_size, seed=0)


def test_what_is_held_out_is_never_trained_on(images: ImageSet) -> None:
    different = np.arange(60).astype(np.uint64)
    train, valid = split(different, 0.2, 0)
    assert (len(train), len(valid)) == (48, 12)
    assert sorted([*train, *valid]) == list(range(60))
    assert not np.array_equal(valid, split(different, 0.2, 1)[1])
    assert len(split(different[:2], 0.9, 0)[0]) == 1


def test_no_copy_of_what_is_held_out_is_trained_on() -> None:
    """Of images that stand twice, most that were held out had a copy among those that were learned."""
    digests = np.random.RandomState(0).permutation(np.arange(100).repeat(3)).astype(np.uint64)
    train, valid = split(digests, 0.2, 0)
    assert (len(train), len(valid)) == (240, 60)
    assert not set(digests[train]) & set(digests[valid])


def test_an_epoch_sees_every_image_once_and_the_next_in_another_order(images: ImageSet) -> None:
    task = task_of(images)
    assert task.steps_per_epoch == 3
    epochs = []
    for epoch in range(2):
        read = []
        for step in range(3):
            assert task.prepare(3 * epoch + step) == 16
            read.append(task._inputs.numpy().copy())
        epochs.append(np.concatenate(read).reshape(48, -1))
    assert len(np.unique(epochs[0], axis=0)) == 48
    assert not np.array_equal(epochs[0], epochs[1])
    assert np.array_equal(np.unique(epochs[0], axis=0), np.unique(epochs[1], axis=0))


def test_a_step_is_a_function_of_its_number(images: ImageSet) -> None:
    one, two = task_of(images, shift=0.2), task_of(images, shift=0.2)
    for step in (0, 1, 5):
        one.prepare(step)
    two.prepare(5)
    assert torch.equal(one._inputs, two._inputs)


def test_parts_add_up_to_the_mean_cross_entropy(images: ImageSet) -> None:
    task = task_of(images)
    task.prepare(0)
    task._network.eval()  # the statistics of a batch are those of its part
    wanted = functional.cross_entropy(task._network(task._inputs), task._labels).item()
    for parts in (1, 3, 20):
        assert sum(task.loss("model", i, parts).item() for i in range(parts)) == pytest.approx(
            wanted, abs=rounding(terms_of(task._network))
        )


def test_an_untrained_network_knows_nothing_and_the_loss_says_so(images: ImageSet) -> None:
    network = new_small_network().eval()
    torch.nn.init.zeros_(network.output.weight)
    measures = evaluate(network, images, np.arange(60))
    assert measures == {"accuracy": pytest.approx(1 / 3), "loss": pytest.approx(math.log(3)), "images": 60}


def test_evaluation_in_parts_says_the_same(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    network = new_small_network().eval()
    told: list[int] = []
    whole = evaluate(network, images, np.arange(60))
    monkeypatch.setattr("seqgen.tasks.features.task.VALIDATION_IMAGES", 25)
    in_parts = evaluate(network, images, np.arange(60), advance=told.append)
    assert whole is not None
    assert in_parts is not None
    assert list(in_parts.values()) == pytest.approx(list(whole.values()), abs=rounding(terms_of(network)))
    assert told == [25, 25, 10]
    assert evaluate(network, images, np.arange(60), stop=lambda: True) is None


def test_a_few_steps_teach_it_the_classes(images: ImageSet) -> None:
    task = task_of(images, shift=0.1)
    optimizer = torch.optim.AdamW(task.players["model"].parameters(), lr=0.03)
    for step in range(25):
        task.prepare(step)
        optimizer.zero_grad()
        task.loss("model", 0, 1).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    task._network.eval()
    found = task.evaluate(lambda: False)
    assert found is not None
    assert found["valid_accuracy"] == 1.0


def test_nothing_held_out_nothing_judged(images: ImageSet) -> None:
    task = task_of(images, valid=0.0)
    assert task.criterion is None
    assert task.evaluate(lambda: False) == {}


@pytest.mark.parametrize(("labels", "classes"), [(None, ()), (np.zeros(4, np.int64), ("one",))])
def test_without_classes_there_is_nothing_to_tell_apart(labels: Any, classes: tuple[str, ...]) -> None:
    pixels = drawn_pixels(4)[0][:, None]
    with pytest.raises(DataError, match="nothing to tell apart") as caught:
        labels_of(ImageSet(pixels, labels, classes))
    assert "labels" in caught.value.hint


def test_labels_are_those_of_the_file(images: ImageSet) -> None:
    assert labels_of(images).tolist() == [i % len(CLASSES) for i in range(60)]
