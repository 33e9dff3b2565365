"""Where a run stands, and how long it is.

The learning rate follows the progress of the run, so its length must be known. With `--steps` or `--epochs` it is.
With `--minutes` it is measured in the first steps: from then on the run is like one with `--steps`, and continues bit
for bit after an interruption. Everything between the first step and the last evaluation counts: steps, evaluations,
saves. The warm-up takes at most a tenth of the steps. Only when the end would miss the time by more than three per cent
is the rest re-planned: the learning rate goes on from where it is, or, when the machine turns out to be faster than it
seemed, from where it would be had that been known. The plan is part of every checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seqgen.config import TrainConfig
from seqgen.wording import counted

# What the first steps cost says nothing about the others: memory is allocated, kernels are chosen.
SETTLING_STEPS = 5
# Older steps count less, so that a machine that was busy for a while is not held to be slow for ever.
MEMORY = 0.99
TOLERANCE = 0.03
# Shares of a run: what its warm-up may take, and after what it is planned, so that the warm-up can still be cut.
WARMUP_SHARE, PLAN_AFTER = 0.1, 0.02
# A share of the steps: a plan that moves by less is followed without a word.
WORTH_A_NOTE = 0.1


@dataclass(frozen=True)
class Plan:
    """The rest of a run: from `start_step`, at `start_progress`, to `total_steps`, at progress 1."""

    start_step: int
    start_progress: float
    total_steps: int

    def progress(self, step: int) -> float:
        """How much of the run after warm-up is done before step `step`, in [0, 1]."""
        length = max(1, self.total_steps - self.start_step)
        done = min(1.0, max(0.0, (step - self.start_step) / length))
        return self.start_progress + (1.0 - self.start_progress) * done


@dataclass
class Pace:
    """What the last hundred steps or so, and the last evaluation, cost in seconds."""

    steps: float = 0.0
    step_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    settling: int = SETTLING_STEPS

    def took(self, seconds: float) -> None:
        """Take in the time of one step."""
        if self.settling:
            self.settling -= 1
        else:
            self.steps = MEMORY * self.steps + 1.0
            self.step_seconds = MEMORY * self.step_seconds + seconds

    def steps_in(self, seconds: float, eval_every: int) -> int:
        """How many steps fit into some time, their evaluations and saves included."""
        per_step = self.step_cost(eval_every)
        return int(seconds / per_step) if per_step > 0 else 0

    def step_cost(self, eval_every: int) -> float:
        """Seconds per step, its share of the evaluations included."""
        return self.step_seconds / max(1.0, self.steps) + self.evaluation_seconds / eval_every


def first_plan(config: TrainConfig, steps_per_epoch: int) -> Plan | None:
    """The plan before the first step, or None when a time budget must be measured first."""
    if config.minutes is not None:
        return None
    total = config.steps if config.steps is not None else round((config.epochs or 0.0) * steps_per_epoch)
    return Plan(warmup_of(config, total), 0.0, total)


def warmup_of(config: TrainConfig, total_steps: int) -> int:
    """The steps in which the learning rate rises: what was asked for, but at most a tenth of the run."""
    return min(config.warmup_steps, int(WARMUP_SHARE * total_steps))


def revise(config: TrainConfig, plan: Plan | None, step: int, elapsed: float, pace: Pace) -> Plan | None:
    """The plan of a time budget, made or corrected from the pace so far.

    Args:
        config (TrainConfig): the budget.
        plan (Plan | None): the plan so far.
        step (int): steps taken.
        elapsed (float): seconds of training so far, earlier sessions included.
        pace (Pace): what a step costs.

    Returns:
        Plan | None: the same plan where it still fits; None while it is too early to tell.
    """
    if config.minutes is None:
        return plan
    budget = config.minutes * 60.0
    left = budget - elapsed
    if left <= 0 and plan is None:
        return Plan(step, 0.0, step)
    left = max(0.0, left - min(pace.evaluation_seconds, left / 2))  # the last evaluation takes its time too
    if plan is None:
        if pace.steps == 0 or (step < config.warmup_steps and elapsed <= PLAN_AFTER * budget):
            return None
        total = step + pace.steps_in(left, config.eval_every)
        start = max(step, warmup_of(config, total))
        # Beyond the warm-up that was asked for is only a resumed run that was given another budget: it used some of it.
        return Plan(start, elapsed / budget if step > config.warmup_steps else 0.0, max(start, total))
    if pace.steps == 0:
        return plan
    fits = step + pace.steps_in(left, config.eval_every)
    if abs(fits - plan.total_steps) * pace.step_cost(config.eval_every) <= TOLERANCE * budget:
        return plan
    return Plan(step, min(plan.progress(step), elapsed / budget), max(step, fits))


@dataclass
class Progress:
    """Where a run stands; all of it is in every checkpoint."""

    step: int = 0
    seconds: float = 0.0
    plan: Plan | None = None
    warmup_steps: int | None = None
    """In which the learning rate rises; None before the run is planned."""
    budget: list[float | None] = field(default_factory=list)
    evaluated_step: int = -1
    best_step: int | None = None
    best: dict[str, Any] = field(default_factory=dict)
    evaluations_since_best: int = 0
    rollbacks: int = 0

    @classmethod
    def begin(cls, config: TrainConfig, steps_per_epoch: int) -> Progress:
        """That of a new run."""
        budget = [config.steps, config.epochs, config.minutes, config.warmup_steps]
        return cls(plan=first_plan(config, steps_per_epoch), budget=budget)

    @classmethod
    def from_state(cls, state: Mapping[str, Any], new: Progress) -> Progress:
        """Read back what a checkpoint holds; a budget that was changed since then makes a new plan, that of `new`."""
        values = {name: state[name] for name in cls.__dataclass_fields__ if name in state}
        values["plan"] = Plan(**values["plan"]) if values["plan"] else None
        progress = cls(**values)
        if progress.budget != new.budget:
            progress.plan, progress.budget, progress.warmup_steps = new.plan, new.budget, None
        return progress

    @property
    def total_steps(self) -> int | None:
        """How many steps are planned; None before that is known."""
        return self.plan.total_steps if self.plan else None

    def done(self, patience: int) -> bool:
        """Whether the plan is fulfilled or the patience is used up."""
        out_of_patience = 0 < patience <= self.evaluations_since_best
        return out_of_patience or (self.plan is not None and self.step >= self.plan.total_steps)

    def revise_plan(self, config: TrainConfig, pace: Pace) -> list[str]:
        """Make or correct the plan of a time budget; returns what a person should be told of it."""
        before, self.plan = self.plan, revise(config, self.plan, self.step, self.seconds, pace)
        notes = []
        if before and self.plan:
            then, now = before.total_steps, self.plan.total_steps
            if abs(now - then) > WORTH_A_NOTE * then:
                notes.append(f"the pace changed: {counted(now, 'step')} fit the time, not {then}")
        return notes + self.fit_warmup(config)

    def fit_warmup(self, config: TrainConfig) -> list[str]:
        """Cut the warm-up to its share of the plan while it lasts; returns what a person should be told of it.

        It never grows again, for then the learning rate would fall.
        """
        wanted, known = config.warmup_steps, self.warmup_steps
        if self.plan is None or self.step > (wanted if known is None else known):
            return []
        most = warmup_of(config, self.plan.total_steps)
        self.warmup_steps = most if known is None else min(most, known)
        if known is None and most < wanted:
            total = self.plan.total_steps
            return [f"the learning rate rises for {most} steps, not {wanted}: this run has {total}"]
        return []
