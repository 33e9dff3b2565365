"""Where a run stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seqgen.train.budget import Plan


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
    def from_state(cls, state: Mapping[str, Any]) -> Progress:
        """Read back what a checkpoint holds."""
        values = {name: state[name] for name in cls.__dataclass_fields__ if name in state}
        values["plan"] = Plan(**values["plan"]) if values["plan"] else None
        return cls(**values)
