"""pix2pix: what its two networks are shown and pay for, and what its runs say of themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from shapes import measured, model_of, shapes, task_of, train
from torch import Tensor, nn

from seqgen.config import PairConfig, PairedGameConfig
from seqgen.data.image_pairs import PairSet
from seqgen.tasks.gan.task import GanTask
from seqgen.tasks.image_translation.model import Pix2Pix, TranslatorModel
from seqgen.tasks.image_translation.paired import Paired
from seqgen.tasks.image_translation.translate import scaled
from seqgen.tasks.image_translation.watch import TranslationWatch


@pytest.fixture(scope="module")
def pairs() -> PairSet:
    return shapes(120)


def watch_of(task: GanTask) -> TranslationWatch:
    assert isinstance(task._watch, TranslationWatch)
    return task._watch


def networks_of(model: TranslatorModel) -> tuple[nn.Module, nn.Module]:
    assert isinstance(model.networks, Pix2Pix)
    return model.networks.discriminator, model.networks.generator


def test_the_losses_are_those_of_the_paper(pairs: PairSet) -> None:
    """Equations 1, 3 and 4 of Isola et al. 2017, with the non-saturating generator, written out."""
    model = model_of(pairs, norm="instance", noise=0.0)
    task, indices = task_of(pairs, model, l1=7.0, adversarial=2.0), np.arange(40, 56)
    task._family.play(indices, step=0, learns=True)
    x, y = (scaled(side) for side in pairs.read(indices))
    judge, generator = networks_of(model)
    made = generator(x)
    on_real, on_fake = judge(torch.cat([x, y], dim=1)).sigmoid(), judge(torch.cat([x, made], dim=1)).sigmoid()
    expected = -on_real.log().mean() - (1 - on_fake).log().mean()
    torch.testing.assert_close(task.loss("discriminator", 0, 1), expected, rtol=1e-4, atol=1e-5)
    expected = -2.0 * on_fake.log().mean() + 7.0 * (made - y).abs().mean()
    torch.testing.assert_close(task.loss("generator", 0, 1), expected, rtol=1e-4, atol=1e-5)


def test_a_discriminator_that_is_not_shown_the_input_judges_images_alone(pairs: PairSet) -> None:
    model = model_of(pairs, see_input=False, norm="instance", noise=0.0)
    task, indices = task_of(pairs, model), np.arange(40, 56)
    task._family.play(indices, step=0, learns=True)
    x, y = (scaled(side) for side in pairs.read(indices))
    judge, generator = networks_of(model)
    expected = -judge(y).sigmoid().log().mean() - (1 - judge(generator(x)).sigmoid()).log().mean()
    torch.testing.assert_close(task.loss("discriminator", 0, 1), expected, rtol=1e-4, atol=1e-5)


def test_without_a_word_the_discriminator_has_no_turn(pairs: PairSet) -> None:
    task = task_of(pairs, model_of(pairs), adversarial=0.0)
    assert (task.pace("discriminator", 0), task.pace("generator", 0)) == (0.0, 1.0)
    task.prepare(0)
    assert task.measures({"generator": 1.0}) == {"generator_loss": 1.0}
    assert not {"sign", "discriminator_accuracy"} & measured(task).keys()
    assert task.criterion == "valid_l1"


def test_both_images_of_a_pair_are_moved_and_mirrored_alike() -> None:
    same = shapes(60).targets
    family = Paired(
        model_of(PairSet(same, same)),
        PairSet(same, same),
        PairConfig(shift=0.3, flip=True),
        PairedGameConfig(),
        np.arange(60),
    )
    torch.manual_seed(0)
    before = torch.from_numpy(same)
    source, target = family._moved(before, before)
    assert torch.equal(source, target)
    assert not torch.equal(source, before)
    mirrored = sum(torch.equal(family._moved(before, before)[0][0], before[0].flip(2)) for _ in range(400))
    assert mirrored > 0  # one way of many to move it


def test_what_watches_is_told_of_the_discriminator_alone(pairs: PairSet) -> None:
    """The gradient at the images that is logged has nothing of the distance, however much that weighs."""
    norms = []
    for l1 in (0.0, 1000.0):
        task = task_of(pairs, model_of(pairs, noise=0.0), l1=l1)
        torch.manual_seed(0)
        task.prepare(0)
        task.loss("discriminator", 0, 1)
        task.loss("generator", 0, 1).backward()  # type: ignore[no-untyped-call]
        norms.append(task._family.duels["discriminator"].watched()["image_gradient"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_one_batch_can_be_learned_by_heart() -> None:
    few = shapes(16 + 24)
    task = task_of(few, model_of(few, noise=0.0), adversarial=0.0)
    train(task, 300, lr=5e-3)
    assert float(task.loss("generator", 0, 1).detach()) / 100.0 < 0.08


def test_it_learns_to_fill_outlines(pairs: PairSet) -> None:
    task = task_of(pairs, model_of(pairs), shift=0.05)
    before = measured(task)
    train(task, 300)
    after = measured(task)
    assert after["valid_l1"] < before["valid_l1"] / 3
    assert after["valid_ssim"] > before["valid_ssim"] + 0.2
    assert after["valid_likeness"] > 0.8
    assert 0.7 < after["valid_sensitivity"] < 1.3
    assert after["health"] == "healthy"
    assert "healthy" in task.sample(0)


def test_the_state_of_a_watch_comes_back(pairs: PairSet) -> None:
    task = task_of(pairs, model_of(pairs))
    measured(task)
    train(task, 3)
    measured(task)
    train(task, 2, first=3)
    other = task_of(pairs, model_of(pairs))
    other.load_state(task.state())
    assert watch_of(other)._history == watch_of(task)._history
    assert other.state().keys() == task.state().keys()
    assert all(torch.equal(value, other.state()[name]) for name, value in task.state().items())


def test_with_nothing_held_out_nothing_is_judged(pairs: PairSet) -> None:
    task = task_of(pairs, model_of(pairs), held_out=0)
    assert task.criterion is None
    assert not any(name.startswith("valid") for name in measured(task))
    assert task.sample(0) == "healthy"


def test_few_held_out_pairs_have_no_frechet_distance(pairs: PairSet) -> None:
    task = task_of(pairs, model_of(pairs), held_out=3)
    assert task.criterion == "valid_l1"
    assert "valid_frechet" not in measured(task)


# Runs made to fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.slow
def test_healthy_runs_raise_no_alarm(seed: int) -> None:
    pairs = shapes(120, seed)
    task = task_of(pairs, model_of(pairs, seed=seed), seed=seed)
    measured(task)
    for part in range(5):
        train(task, 100, first=100 * part)
        assert measured(task)["health"] == "healthy"


def fail(pairs: PairSet, learned: PairSet, steps: int, **game: Any) -> tuple[GanTask, dict[str, Any]]:
    """A generator that learned one thing by distance, and then plays a game in which that does not count."""
    model = model_of(pairs, see_input=False, noise=0.0)
    train(task_of(learned, model, adversarial=0.0), steps)
    task = task_of(pairs, model, l1=0.0, **game)
    measured(task)
    train(task, 200, lr=1e-5)
    return task, measured(task)


def test_a_generator_that_makes_one_image_of_all_ignores_its_input(pairs: PairSet) -> None:
    """Its discriminator sees no input, so that one good image is as good as any: row 2 of table 1 of the paper."""
    one = PairSet(pairs.sources, np.repeat(pairs.targets[:1], len(pairs), axis=0))
    task, found = fail(pairs, one, 150)
    assert found["health"] == "ignores its input"
    assert found["valid_sensitivity"] < 0.15
    assert "outputs differ" in task.sample(0)


def test_light_and_dark_exchanged_is_named(pairs: PairSet) -> None:
    """Both kinds of ground are real, so that a discriminator without the input minds neither."""
    inverted = PairSet(pairs.sources, 255 - pairs.targets)
    both = PairSet(
        np.concatenate([pairs.sources, pairs.sources]),
        np.concatenate([pairs.targets, inverted.targets]),
    )
    _, found = fail(both, inverted, 150)
    assert found["health"] == "inverts colours"
    assert found["valid_likeness"] < -0.2


def test_other_noise_is_reported_and_no_alarm(pairs: PairSet) -> None:
    """Without dropout there is none to heed."""
    task = task_of(pairs, model_of(pairs, noise=0.0))
    measured(task)
    train(task, 250)
    found = measured(task)
    assert (found["valid_noise"], found["health"]) == (0.0, "healthy")
    noisy = task_of(pairs, model_of(pairs, noise=0.5))
    assert measured(noisy)["valid_noise"] > 0.0


def test_a_step_leaves_the_other_player_alone(pairs: PairSet) -> None:
    task = task_of(pairs, model_of(pairs))
    task.prepare(0)

    def gradients(name: str) -> list[Tensor | None]:
        return [p.grad for p in task.players[name].parameters()]

    task.loss("discriminator", 0, 1).backward()  # type: ignore[no-untyped-call]
    assert all(g is None for g in gradients("generator"))
