from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from gan_models import bars, model_of
from numpy.typing import NDArray

from seqgen.errors import UsageError
from seqgen.gan.statistics import measure_statistics
from seqgen.tasks.gan.imagine import TOGETHER, Imagination, arc, class_indices, to_bytes, truncated
from seqgen.tasks.gan.model import GanModel


@pytest.fixture(scope="module")
def model() -> GanModel:
    """Its weights are large enough for images to differ much."""
    model = model_of(bars(4, side=28), latent_size=16, generator_size=16)
    with torch.no_grad():
        for parameter in model.generator.parameters():
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
            parameter.add_(noise, alpha=0.1)
    generator = torch.Generator().manual_seed(1)
    measure_statistics(model.generator, [(torch.randn(64, 16, generator=generator), torch.arange(64) % 2)])
    model.networks.eval().requires_grad_(False)
    return model


def made(model: GanModel, indices: Sequence[int], wanted: Sequence[int] = (), seed: int = 0) -> NDArray[np.uint8]:
    return np.concatenate(list(Imagination(model, seed).images(indices, wanted)))


def test_an_image_is_the_same_bytes_in_any_company(model: GanModel) -> None:
    whole = made(model, range(70))
    assert whole.shape == (70, 1, 28, 28)
    assert len({image.tobytes() for image in whole}) == 70
    for indices in ([5], [69, 5, 31, 32, 33], list(range(69, -1, -1)), list(range(40, 60))):
        assert all(
            image.tobytes() == whole[i].tobytes() for i, image in zip(indices, made(model, indices), strict=True)
        )


def test_images_come_a_few_at_a_time(model: GanModel) -> None:
    assert [len(some) for some in Imagination(model, 0).images(range(70))] == [TOGETHER, 70 - TOGETHER]


def test_another_seed_makes_other_images(model: GanModel) -> None:
    assert not np.array_equal(made(model, [0], seed=1), made(model, [0], seed=2))


def test_classes_are_taken_in_turn_or_drawn(model: GanModel) -> None:
    maker = Imagination(model, 0)
    assert model.classes == ("lying", "standing")
    asked = maker.labels(range(5), [1, 0, 0])
    assert asked is not None
    assert asked.tolist() == [1, 0, 0, 1, 0]
    drawn = maker.labels(range(200), [])
    assert drawn is not None
    assert 70 < int(drawn.sum()) < 130
    assert torch.equal(drawn[:5], torch.as_tensor(maker.labels(range(5), [])))
    assert not np.array_equal(made(model, [0], [0]), made(model, [0], [1]))


def test_names_of_classes_are_read(model: GanModel) -> None:
    assert class_indices(model, []) == []
    assert class_indices(model, ["all"]) == [0, 1]
    assert class_indices(model, ["standing, lying"]) == [1, 0]
    assert class_indices(model, ["standing", "all", "lying"]) == [1, 0, 1, 0]
    with pytest.raises(UsageError, match="no class 'flying'") as caught:
        class_indices(model, ["flying"])
    assert caught.value.hint == "known: lying, standing, or all"
    with pytest.raises(UsageError, match="knows no classes"):
        class_indices(model_of(bars(4), conditional=False), ["all"])


# Between two images --------------------------------------------------------------------------------------------


def test_the_way_begins_and_ends_with_the_two_images(model: GanModel) -> None:
    way = np.concatenate(list(Imagination(model, 0).between(3, 8, 40, [1, 0])))
    assert len(way) == 40
    ends = made(model, range(9), [1, 0])
    wanted = np.stack([ends[3], ends[8]]).astype(int)
    # The label of index 3 is that of an odd index, and so on: the classes are taken in turn by the index.
    assert np.abs(way[[0, -1]].astype(int) - wanted).max() <= 1


def test_an_arc_keeps_its_distance() -> None:
    one, other = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    points = arc(one, other, torch.tensor([[0.0], [0.5], [1.0]]))
    half = math.sqrt(2)
    torch.testing.assert_close(points, torch.tensor([[2.0, 0.0], [half, half], [0.0, 2.0]]))


def test_the_way_to_oneself_stays() -> None:
    one = torch.tensor([1.0, 2.0])
    torch.testing.assert_close(arc(one, one, torch.tensor([[0.3]])), one[None])


# Numbers -------------------------------------------------------------------------------------------------------


def test_truncation_is_the_cut_normal_distribution() -> None:
    # Two thirds of the cut distribution's mass below: Phi(z) = 1/2 + erf(z / sqrt 2) / 2.
    z = torch.tensor([0.0, 0.5, 3.0, -30.0])
    cut = truncated(z, 1.0)
    share = math.erf(0.5 / math.sqrt(2)) * math.erf(1 / math.sqrt(2))
    assert math.erf(cut[1].item() / math.sqrt(2)) == pytest.approx(share, rel=1e-5)
    assert cut[0] == 0
    assert cut.abs().max().item() == pytest.approx(1.0, abs=1e-5)
    assert torch.equal(truncated(z, math.inf), z)


def test_bytes_are_rounded_and_cut() -> None:
    values = torch.tensor([-1.0, 1.0, 0.0, 2.0, -3.0])
    assert to_bytes(values).tolist() == [0, 255, 128, 255, 0]
