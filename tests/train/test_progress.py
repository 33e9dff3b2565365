from __future__ import annotations

import pytest

from seqgen.config import TrainConfig
from seqgen.train.progress import SETTLING_STEPS, Pace, Plan, first_plan, revise, warmup_of


def minutes(value: float, *, warmup_steps: int = 10, eval_every: int = 100) -> TrainConfig:
    return TrainConfig(minutes=value, warmup_steps=warmup_steps, eval_every=eval_every)


def pace(step_seconds: float, *, evaluation_seconds: float = 0.0, steps: int = 20) -> Pace:
    return Pace(steps, steps * step_seconds, evaluation_seconds, settling=0)


# Plans --------------------------------------------------------------------------------------------------------


def test_progress_runs_from_its_start_to_one() -> None:
    plan = Plan(start_step=100, start_progress=0.0, total_steps=300)
    assert [plan.progress(step) for step in (0, 100, 150, 200, 300, 400)] == [0.0, 0.0, 0.25, 0.5, 1.0, 1.0]


def test_progress_goes_on_from_where_a_plan_was_revised() -> None:
    plan = Plan(start_step=100, start_progress=0.6, total_steps=300)
    # Half of the steps that are left do half of the 0.4 that is left.
    assert [plan.progress(step) for step in (100, 200, 300)] == pytest.approx([0.6, 0.8, 1.0])


def test_a_plan_without_steps_divides_by_nothing() -> None:
    plan = Plan(5, 0.3, 5)
    assert plan.progress(5) == pytest.approx(0.3)
    assert plan.progress(6) == 1.0


def test_steps_and_epochs_are_planned_at_once() -> None:
    assert first_plan(TrainConfig(steps=1500, warmup_steps=100), 7) == Plan(100, 0.0, 1500)
    assert first_plan(TrainConfig(steps=50, warmup_steps=100), 7) == Plan(5, 0.0, 50)
    # 2.5 epochs of 7 steps are 17.5, rounded to the even 18.
    assert first_plan(TrainConfig(epochs=2.5, warmup_steps=3), 7) == Plan(1, 0.0, 18)
    assert first_plan(TrainConfig(steps=0), 7) == Plan(0, 0.0, 0)


def test_minutes_must_be_measured_first() -> None:
    assert first_plan(minutes(1.0), 7) is None


# Pace ---------------------------------------------------------------------------------------------------------


def test_the_first_steps_do_not_count() -> None:
    measured = Pace()
    for _ in range(SETTLING_STEPS):
        measured.took(100.0)
    assert measured.steps_in(10.0, 100) == 0
    measured.took(0.4)
    measured.took(0.6)
    # The older one counts 0.99: (0.99 * 0.4 + 0.6) / 1.99.
    assert measured.step_cost(100) == pytest.approx(0.996 / 1.99)
    assert measured.steps_in(10.0, 100) == 19


def test_a_busy_hour_is_forgotten() -> None:
    measured = Pace(settling=0)
    for _ in range(500):
        measured.took(9.0)
    for _ in range(1000):
        measured.took(1.0)
    # 0.99 ** 1000 of the weight is all that the slow steps have left.
    assert measured.step_cost(100) == pytest.approx(1.0, abs=1e-3)


def test_evaluations_are_paid_for_in_steps() -> None:
    # A step takes 0.1 s, and every hundredth an evaluation of 10 s: 0.2 s each.
    assert pace(0.1, evaluation_seconds=10.0).steps_in(10.0, 100) == 50


# Revisions ----------------------------------------------------------------------------------------------------


def test_a_plan_in_steps_is_never_revised() -> None:
    plan = Plan(10, 0.0, 500)
    assert revise(TrainConfig(steps=500), plan, 100, 1e9, pace(100.0)) is plan


@pytest.mark.parametrize(("total", "warmup"), [(0, 0), (9, 0), (10, 1), (99, 9), (999, 99), (1000, 100), (10**6, 100)])
def test_a_warm_up_takes_a_tenth_of_the_run_at_most(total: int, warmup: int) -> None:
    assert warmup_of(TrainConfig(steps=total, warmup_steps=100), total) == warmup


def test_nothing_is_planned_while_it_is_too_early() -> None:
    # A minute: step 9 of 10, after two per cent of it.
    assert revise(minutes(1.0), None, 9, 1.2, pace(0.1)) is None
    assert revise(minutes(1.0), None, 9, 1.3, pace(0.1)) is not None


def test_nothing_is_planned_before_a_step_was_measured() -> None:
    assert revise(minutes(1.0), None, 10, 5.0, Pace()) is None


def test_after_the_warm_up_the_rest_is_planned_from_the_pace() -> None:
    # 60 - 10 = 50 seconds are left, 400 steps of an eighth.
    assert revise(minutes(1.0), None, 10, 10.0, pace(0.125)) == Plan(10, 0.0, 10 + 400)


def test_a_long_warm_up_is_planned_early_and_takes_a_tenth_of_the_steps() -> None:
    config = minutes(1.0, warmup_steps=10_000)
    # 60 - 2 = 58 seconds, 464 steps of an eighth: 480 in all.
    assert revise(config, None, 16, 2.0, pace(0.125)) == Plan(48, 0.0, 480)
    # Beyond that tenth already, after a slow beginning: 60 - 50 = 10 seconds, 80 steps.
    assert revise(config, None, 16, 50.0, pace(0.125)) == Plan(16, 0.0, 96)


@pytest.mark.parametrize("elapsed", [60.0, 100.0])
def test_a_budget_spent_before_the_plan_ends_the_run(elapsed: float) -> None:
    assert revise(minutes(1.0), None, 3, elapsed, Pace()) == Plan(3, 0.0, 3)


def test_a_budget_of_nothing_takes_no_step() -> None:
    assert revise(minutes(0.0), None, 0, 0.0, Pace()) == Plan(0, 0.0, 0)


def test_a_run_that_seemed_short_does_not_stay_at_the_end_of_its_learning_rate() -> None:
    # Planned for 70 steps on a busy machine; after 24 of 60 seconds these are done, and a step takes an eighth.
    plan = revise(minutes(1.0), Plan(10, 0.0, 70), 70, 24.0, pace(0.125))
    assert plan == Plan(70, pytest.approx(0.4), 70 + 36 * 8)  # type: ignore[arg-type]
    # One that seemed long hurries on from where it stands.
    plan = revise(minutes(1.0), Plan(0, 0.0, 1000), 300, 45.0, pace(0.125))
    assert plan == Plan(300, pytest.approx(0.3), 300 + 15 * 8)  # type: ignore[arg-type]


def test_after_a_resume_a_plan_stands_until_a_step_was_measured() -> None:
    plan = Plan(10, 0.0, 500)
    assert revise(minutes(1.0), plan, 100, 59.0, Pace()) is plan


@pytest.mark.parametrize("total", [406, 420, 434])
def test_a_plan_that_misses_by_less_than_three_per_cent_stays(total: int) -> None:
    # 100 steps taken, 40 s left at an eighth of a second: 420 fit. Three per cent of the minute are 1.8 s, 14.4 steps.
    plan = Plan(10, 0.0, total)
    assert revise(minutes(1.0), plan, 100, 20.0, pace(0.125)) is plan


@pytest.mark.parametrize("total", [405, 435])
def test_a_plan_that_misses_by_more_than_three_per_cent_is_revised(total: int) -> None:
    # 100 steps taken, 40 s left at an eighth of a second: 420 fit. Three per cent of the minute are 1.8 s, 14.4 steps.
    plan = Plan(10, 0.0, total)
    revised = revise(minutes(1.0), plan, 100, 20.0, pace(0.125))
    assert revised == Plan(100, plan.progress(100), 420)


def test_a_revision_counts_evaluations_and_leaves_time_for_the_last() -> None:
    # 0.125 s a step and 12.5 s every hundredth: 0.25 s; of 30 s left the last takes 12.5, which leaves 70 steps.
    plan = Plan(0, 0.0, 300)
    revised = revise(minutes(1.0), plan, 60, 30.0, pace(0.125, evaluation_seconds=12.5))
    assert revised == Plan(60, 0.2, 130)


def test_an_evaluation_longer_than_what_is_left_leaves_half_of_it_for_steps() -> None:
    # 6 s, of which the first evaluation took 4: a second for steps of a tenth, each with its share of an evaluation.
    planned = revise(minutes(0.1, warmup_steps=0), None, 6, 4.0, pace(0.1, evaluation_seconds=4.0, steps=6))
    assert planned == Plan(6, pytest.approx(4 / 6), 6 + 7)  # type: ignore[arg-type]


def test_a_run_far_beyond_its_time_ends_at_this_step() -> None:
    plan = Plan(0, 0.0, 400)
    revised = revise(minutes(1.0), plan, 100, 70.0, pace(0.5))
    assert revised == Plan(100, 0.25, 100)


def test_another_budget_goes_on_where_its_share_of_the_time_is() -> None:
    # 30 of 60 seconds are used at step 200, long after the warm-up of 10: half is done, 240 steps are left.
    assert revise(minutes(1.0), None, 200, 30.0, pace(0.125)) == Plan(200, 0.5, 200 + 240)
