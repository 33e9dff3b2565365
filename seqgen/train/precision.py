"""Which number format of the matrix products trains faster: measured, for no flag of a processor tells.

Processors that have instructions for bf16 multiply in it at twice the speed of fp32, or at half; it depends on how
many units they have, on the shapes of the products, and on what is between them. So `--precision auto` lets the real
task compute the gradients of its first batches in both formats, before the clock of the run starts. What is found is
a setting of the run like any other: it is kept in `training.json`, and a resumed run goes on with it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch

from seqgen.config import NumberFormat, TrainConfig
from seqgen.train import machine
from seqgen.train.distributed import Group
from seqgen.train.players import Players
from seqgen.train.progress import first_plan
from seqgen.train.task import Task

FORMATS: tuple[NumberFormat, ...] = ("fp32", "bf16")
# bf16 rounds: it must be clearly faster.
WORTH = 0.95
# The first round starts threads and chooses kernels; where a step takes seconds that hardly counts: one round will do.
ROUNDS, MAX_SECONDS, LONG_ROUND = 6, 1.5, 4.0
# Beyond these ratios no other round would change the answer.
CLEAR = (0.8, 1.25)
# Two rounds are four passes. A run of which they would take more than this share is over before they pay.
PASSES, MAX_SHARE = 4, 0.1


@dataclasses.dataclass(frozen=True)
class Choice:
    """A number format, and why it was chosen in a few words."""

    precision: NumberFormat
    why: str


def fastest_precision(task: Task, config: TrainConfig, group: Group) -> Choice:
    """The number format in which this task trains faster here; fp32 unless bf16 is clearly faster.

    The first process decides, while all of them compute, as they will in training. Nothing is left behind: weights,
    buffers, what the task carries, and random numbers are as they were, bit for bit.

    Args:
        task (Task): as it stands before its first step.
        config (TrainConfig): batch and length of the run; its `precision` does not count.
        group (Group): the processes of the run.
    """
    if group.device.type == "mps":
        return Choice("fp32", "on mps the formats are not compared")
    with _untouched(task, group):
        seconds = _measured(task, config, group)
    return Choice(**group.agree(lambda: dataclasses.asdict(chosen(seconds))))


def chosen(seconds: dict[NumberFormat, list[float]]) -> Choice:
    """From the seconds of the passes in each format: the shortest counts, for others can only disturb."""
    if not seconds["bf16"]:
        return Choice("fp32", "the run is too short to compare it with bf16")
    ratio = min(seconds["bf16"]) / min(seconds["fp32"])
    return Choice("bf16" if ratio < WORTH else "fp32", f"a step in bf16 takes {ratio:.2f} of the time of one in fp32")


def _measured(task: Task, config: TrainConfig, group: Group) -> dict[NumberFormat, list[float]]:
    """Seconds of each pass in each format, in turn, so that what disturbs one disturbs both."""
    players = {
        precision: Players(task.players, dataclasses.replace(config, precision=precision, ema=0.0), group)
        for precision in FORMATS
    }
    moving = [step for step in range(100) if all(task.pace(name, step) for name in task.players)]
    seconds: dict[NumberFormat, list[float]] = {precision: [] for precision in FORMATS}
    begin = time.perf_counter()
    for number, step in enumerate((moving or list(range(ROUNDS)))[:ROUNDS]):
        for precision in FORMATS:
            seconds[precision].append(_pass(task, players[precision], precision, step, config, group))
            if number == 0 and PASSES * seconds["fp32"][0] > MAX_SHARE * _length(task, config, seconds["fp32"][0]):
                return seconds
        spent = time.perf_counter() - begin
        ratio = min(seconds["bf16"]) / min(seconds["fp32"])
        clear = not CLEAR[0] < ratio < CLEAR[1]
        if spent > LONG_ROUND or (number > 0 and (clear or spent > MAX_SECONDS)):
            break
    return seconds


def _length(task: Task, config: TrainConfig, step_seconds: float) -> float:
    """About how many seconds the run will take."""
    plan = first_plan(config, task.steps_per_epoch)
    return plan.total_steps * step_seconds if plan else 60.0 * (config.minutes or 0.0)


def _pass(task: Task, players: Players, precision: NumberFormat, step: int, config: TrainConfig, group: Group) -> float:
    """The seconds in which every player computes its gradient once."""
    start = time.perf_counter()
    with machine.autocast(precision, group.device):
        task.prepare(step)
    for name in task.players:
        if task.pace(name, step):
            players.gradients(name, partial(task.loss, name, parts=config.grad_accumulation))
    return time.perf_counter() - start


@contextmanager
def _untouched(task: Task, group: Group) -> Iterator[None]:
    """Put back what passes change: gradients, batch norm's statistics, what the task carries, random numbers."""
    carried = {name: group.gather(tensor).clone() for name, tensor in task.state().items()}
    buffers = [(buffer, buffer.clone()) for player in task.players.values() for buffer in player.buffers()]
    devices = [group.device] if group.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
        for player in task.players.values():
            player.zero_grad()
        task.load_state(carried)
