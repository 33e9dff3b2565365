"""What commands that serve every kind of model need to know of one: each kind declares it, without loading torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqgen.config import Config
from seqgen.metrics.measure import Measure

if TYPE_CHECKING:
    import torch

    from seqgen.tasks.attention_maps import AttentionMaps
    from seqgen.tasks.gradient_flow import LayerFlow

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows how far a pass of some length is: what it does, and how long it is."""


@dataclass(frozen=True)
class Request:
    """What is to be evaluated, and on what.

    Args:
        model (str): a path or a name; empty where no model is needed.
        paths (Sequence[str]): the data.
        options (Any): of the type that the evaluation asks for.
        device (torch.device): where the model is to be.
        warn (Callable[[str], None]): told what was not as expected.
        progress (Progress): shows long passes.
    """

    model: str
    paths: Sequence[str]
    options: Any
    device: torch.device
    warn: Callable[[str], None]
    progress: Progress


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found.

    Args:
        measures (Mapping[str, Any]): what `--json` prints; empty where nothing was to be measured.
        text (str): the same for a person, a line for each measure.
        width (int): how wide the names of measures are in it.
        files (Mapping[Path, bytes]): what was asked to be written.
    """

    measures: Mapping[str, Any]
    text: str
    width: int
    files: Mapping[Path, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """How something is evaluated.

    Args:
        called (str): what is, in a sentence: `a language model`.
        options (type[Config]): the choices that there are.
        run (Callable[[Request], Evaluated]): does it.
    """

    called: str
    options: type[Config]
    run: Callable[[Request], Evaluated]


@dataclass(frozen=True)
class Kind:
    """A kind of model.

    Args:
        task (str): the word for it in `config.json`.
        measures (Sequence[Measure]): what its training logs, in the order in which it is shown.
        rank (str): the measure that says which evaluation of a run is the best; smaller is better.
        curve (str): the measure that `plot` draws if none is named.
        evaluation (Evaluation): how it is evaluated.
        load (Callable[[str, torch.device], Any]): opens a model by path or name, all of it checked.
        attention (Callable[[Any, str, str | None], Sequence[AttentionMaps]] | None): the attention of a model over a
            text, and over a target where it has one; None where `inspect` has nothing to show.
        gradients (Callable[[Any, Sequence[str], int, Callable[[str], None]], Sequence[LayerFlow]] | None): what the
            gradient of a model's loss does on its way back through time, on some data, so many steps at most, and whom
            to tell what was not as expected; None where no state is handed on.
        hint (str): what to do when another kind of model is given where this one is needed.
    """

    task: str
    measures: Sequence[Measure]
    rank: str
    curve: str
    evaluation: Evaluation
    load: Callable[[str, torch.device], Any]
    attention: Callable[[Any, str, str | None], Sequence[AttentionMaps]] | None = None
    gradients: Callable[[Any, Sequence[str], int, Callable[[str], None]], Sequence[LayerFlow]] | None = None
    hint: str = ""

    @property
    def called(self) -> str:
        """What it is in a sentence."""
        return self.evaluation.called
