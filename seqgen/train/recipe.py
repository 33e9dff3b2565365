"""What one kind of model brings to its training; the real recipes are in `seqgen.tasks`.

A recipe makes data and opens them; with them it makes a `Trainee`, which has the network and all that is done with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from torch import nn

from seqgen.config import Settings
from seqgen.metrics.measure import Measure
from seqgen.train.task import Task

Data = TypeVar("Data")


@dataclass(frozen=True)
class Made:
    """How a model came about.

    Args:
        name (str): the model's.
        step (int): the step of the published weights.
        minutes (float): training time.
        command (str): what makes it again.
    """

    name: str
    step: int
    minutes: float
    command: str


class Trainee(Protocol):
    """An untrained model with its data: what a run trains, measures and publishes."""

    @property
    def network(self) -> nn.Module:
        """All networks that are trained; a run moves them to its device before anything else is asked for."""

    def task(self, share: Callable[[int], slice]) -> Task:
        """What the loop runs, once the network is on its device.

        Args:
            share (Callable[[int], slice]): which of so many examples are computed in this process.
        """

    def files(self) -> dict[str, bytes]:
        """What turns weights into a model directory."""

    def described(self) -> tuple[str, str]:
        """The data and the network in one line, and what `--verbose` adds."""

    def judge(self, note: Callable[[str], None], stop: Callable[[], bool]) -> dict[str, float] | None:
        """The exact measures of the network as it is now; empty without validation data, None when stopped."""

    def summary(self, measures: Mapping[str, float]) -> str:
        """Measures in a few words."""

    def card(self, made: Made, measures: Mapping[str, float]) -> str:
        """The model card."""


class Recipe(Protocol[Data]):
    """How one kind of model is trained."""

    @property
    def settings(self) -> Settings:
        """What is wanted."""

    @property
    def index(self) -> str:
        """The file of the data's folder that is written last."""

    @property
    def measured_on(self) -> str:
        """What the measures of `judge` are named by in the log: `valid`, or `train` where nothing is held out."""

    @property
    def measures(self) -> Sequence[Measure]:
        """What is logged, in the order in which it is shown."""

    @property
    def used_by(self) -> str:
        """The command that uses the model, without the model."""

    def sources(self) -> list[str]:
        """The files and folders that the data are made from."""

    def make(self, folder: Path) -> object:
        """Make the data in a folder: by one process, while the others wait."""

    def open(self, folder: Path) -> Data:
        """The data that stand in a folder: by every process."""

    def build(self, data: Data) -> Trainee:
        """An untrained model, its weights a function of the seed."""
