from __future__ import annotations

import dataclasses
import math
from typing import Any, get_args

import pytest

from seqgen.gan.health import ADVICE, Signals, State, diagnose

WELL = Signals(
    accuracy=0.75,
    sign=0.5,
    image_gradient=0.1,
    spread=0.95,
    precision=0.7,
    recall=0.6,
    different_bins=0.2,
    missing=0.0,
    frechet=1.0,
    floor=0.1,
    closeness=1.0,
    change=0.3,
    steps=500.0,
)


# Before the first step: grey images, nothing like the real ones.
UNTRAINED = dataclasses.replace(
    WELL, accuracy=0.0, image_gradient=0.0, spread=0.1, recall=0.0, precision=0.0, frechet=40.0, steps=0.0
)


def but(**changes: Any) -> Signals:
    return dataclasses.replace(WELL, **changes)


def but_untrained(**changes: Any) -> Signals:
    return dataclasses.replace(UNTRAINED, **{"steps": 500.0, **changes})


@pytest.mark.parametrize(
    ("history", "state"),
    [
        ([WELL], "healthy"),
        ([WELL, WELL], "healthy"),
        ([but(accuracy=math.nan)], "healthy"),
        ([WELL, but(accuracy=0.99)], "discriminator overpowers"),
        ([WELL, but(accuracy=0.989, frechet=0.8)], "healthy"),  # the generator learns all the same
        ([WELL, but(accuracy=0.995, frechet=0.8)], "discriminator overpowers"),
        ([WELL, but(accuracy=0.995, frechet=0.4)], "healthy"),
        ([but(accuracy=0.99), but(accuracy=0.99, change=0.0)], "generator vanishing"),
        ([WELL, but(accuracy=0.99, image_gradient=1e-6)], "generator vanishing"),
        ([WELL, but(change=0.0)], "healthy"),  # the end of a schedule: nothing moves, and nobody loses
        ([WELL, but(spread=0.4)], "collapsing"),
        ([WELL, but(missing=0.1)], "collapsing"),
        ([WELL, but(recall=0.2)], "collapsing"),
        ([WELL, but(recall=0.2, precision=0.3)], "healthy"),  # worse samples, not fewer kinds of them
        ([WELL, but(spread=0.1)], "collapsed"),
        ([WELL, but(missing=0.9)], "collapsed"),
        ([WELL, but(missing=0.9, precision=0.04)], "healthy"),  # shapeless
        ([WELL, but(recall=0.0)], "collapsed"),
        ([but(recall=0.0), but(recall=0.0, precision=0.6, frechet=0.7)], "healthy"),  # blurred, but it learns
        ([WELL, but(frechet=50.0, precision=0.0, recall=0.0)], "diverged"),
        ([WELL, but(closeness=0.1)], "memorising"),
    ],
)
def test_states(history: list[Signals], state: State) -> None:
    assert diagnose([UNTRAINED, WELL, *history]).state == state


def test_four_steps_after_an_evaluation_are_no_time_to_stand_still() -> None:
    """MNIST, `--steps 304 --eval-every 100` (measured): the last evaluation said that the discriminator overpowers."""
    run = [UNTRAINED] + [
        but(accuracy=accuracy, frechet=frechet, steps=100.0)
        for accuracy, frechet in ((0.95, 12.0), (0.96, 6.0), (0.97, 4.0))
    ]
    soon = but(accuracy=0.995, frechet=3.99, change=0.001, image_gradient=1e-6, steps=4.0)
    assert diagnose(run).state == "healthy"
    assert diagnose([*run, soon]).state == "healthy"
    assert diagnose([*run, but(spread=0.1, frechet=6.0, steps=4.0)]).state == "collapsed"  # what is seen needs no time
    after = dataclasses.replace(soon, steps=100.0)
    assert diagnose([*run, after]).state == "generator vanishing"
    again = but(accuracy=0.995, frechet=3.99, steps=96.0)  # a resumed run goes on from there
    assert diagnose([*run, soon, again]).state == "discriminator overpowers"


@pytest.mark.parametrize("every", [10, 50, 100, 250, 500])
def test_a_run_is_the_same_however_often_it_is_evaluated(every: int) -> None:
    """One that loses a tenth of its distance in 500 steps moves, one that loses a hundredth stands still."""

    def run(share: float, steps: int = 2000) -> State:
        ends = range(every, steps + 1, every)
        frechet = (50.0 * share ** (end / 500) for end in ends)
        watched = [but(accuracy=0.988, frechet=value, steps=float(every)) for value in frechet]
        return diagnose([dataclasses.replace(UNTRAINED, frechet=60.0), *watched]).state

    assert run(0.9) != "discriminator overpowers"
    assert run(0.99) == "discriminator overpowers"


def test_evaluations_that_lie_close_together_are_judged_as_one() -> None:
    """Ten steps in which the discriminator is always right, among a hundred in which it mostly is, mean nothing."""
    often = [but(accuracy=0.9, frechet=1.0 - 0.001 * i, steps=10.0) for i in range(30)]
    assert diagnose([UNTRAINED, *often, but(accuracy=1.0, frechet=1.0, steps=10.0)]).state == "healthy"


def test_an_evaluation_without_a_step_takes_nothing_from_one_with_steps() -> None:
    """A level of a LapGAN that had no turn knows no accuracy; the next evaluation of it does, and counts alone."""
    unplayed = dataclasses.replace(UNTRAINED, accuracy=math.nan, sign=math.nan, image_gradient=math.nan)
    lost = [but(accuracy=0.999, frechet=40.0, steps=10.0) for _ in range(30)]
    seen = diagnose([UNTRAINED, *lost])
    assert seen.state == "generator vanishing"
    assert diagnose([UNTRAINED, *lost[:-1], unplayed, lost[-1]]) == seen


def test_the_worst_state_counts() -> None:
    assert diagnose([UNTRAINED, but(accuracy=0.99, frechet=30.0, spread=0.1, closeness=0.1)]).state == "collapsed"


def test_a_generator_that_lost_from_the_start_has_not_collapsed() -> None:
    """Minimax against a discriminator twenty times as fast: grey images for ever, and no gradient (measured)."""
    diagnosis = diagnose([UNTRAINED, but_untrained(accuracy=0.997, frechet=39.4)])
    assert str(diagnosis).startswith("generator vanishing: its images are as far from real ones as before")
    assert diagnose([UNTRAINED, but_untrained(accuracy=0.8, frechet=39.4)]).state == "collapsed"


def test_nothing_is_said_before_the_first_step_and_no_collapse_found_while_a_run_learns_fast() -> None:
    assert diagnose([UNTRAINED]).state == "healthy"
    assert diagnose([UNTRAINED, but(spread=0.1, frechet=30.0)]).state == "collapsed"
    assert diagnose([UNTRAINED, but(spread=0.1)]).state == "healthy"
    assert diagnose([UNTRAINED, but(accuracy=0.99)]).state == "healthy"  # it wins, and the generator learns
    assert diagnose([UNTRAINED, WELL, but(accuracy=0.98)]).state == "healthy"


def test_blurred_samples_of_the_first_steps_have_not_collapsed() -> None:
    blurred = but(precision=1.0, recall=0.0, spread=0.1, frechet=39.0, steps=100.0)
    assert diagnose([UNTRAINED, blurred]).state == "healthy"
    assert diagnose([UNTRAINED, blurred, blurred]).state == "collapsed"


def test_shapeless_samples_of_a_slow_start_have_not_collapsed() -> None:
    """`r3` on MNIST before its first step and after 250 (measured): it learns the digits later on."""
    before = but_untrained(frechet=16.2, floor=0.02, spread=0.83, missing=0.8, steps=0.0)
    after = but(frechet=23.6, floor=0.02, spread=1.19, precision=0.04, recall=0.01, missing=0.9, steps=250.0)
    assert diagnose([before, after]).state == "healthy"
    assert diagnose([before, after, after]).state == "collapsing"


def test_every_trouble_has_advice_and_says_what_was_seen() -> None:
    assert set(ADVICE) == set(get_args(State))
    assert [state for state, advice in ADVICE.items() if not advice] == ["healthy"]
    said = str(diagnose([UNTRAINED, WELL, but(accuracy=0.99)]))
    assert said.startswith("discriminator overpowers: it is right 99.0% of the time; try a lower --lr-ratio")
    assert str(diagnose([WELL])) == "healthy"


def test_only_two_states_are_hopeless() -> None:
    assert diagnose([WELL, but(spread=0.1)]).hopeless
    assert not diagnose([WELL, but(spread=0.4)]).hopeless
