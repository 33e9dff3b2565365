"""What is known of a number that a run logs: how it is said, which way is better, where it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class Measure:
    """A number of `metrics.jsonl`.

    Args:
        name (str): its key there.
        phrase (str): how it is said: a format for the number, and `{unit}` where the unit belongs.
        unit (str): what it counts, such as `nats`.
        better (Better | None): which way is better; None where neither is.
        smoothed (bool): whether a display averages it over some steps.
        shown (bool): whether a list of models shows it.
    """

    name: str
    phrase: str
    unit: str = ""
    better: Better | None = None
    smoothed: bool = False
    shown: bool = False

    def said(self, value: object) -> str:
        """The number in words."""
        return self.phrase.format(value, unit=self.unit)


def of_the_loop(counted: str) -> tuple[Measure, ...]:
    """What every run logs of a step.

    Args:
        counted (str): what a batch is counted in, such as `tokens`.
    """
    return (
        Measure("units_per_second", "{:,.0f} {unit}/s", counted, "higher", smoothed=True),
        Measure("lr", "lr {:.2g}"),
        Measure("grad_norm", "gradient {:.2f}"),
    )
