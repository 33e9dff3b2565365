"""What is known of feature networks by commands that serve every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqgen.config.evaluation import NoChoices, SetsEvaluation
from seqgen.metrics.measure import Measure, of_the_loop
from seqgen.tasks.kind import Evaluated, Evaluation, Kind, Request

if TYPE_CHECKING:
    import torch

    from seqgen.tasks.features.model import FeatureModel

MEASURES = (
    Measure("loss", "loss {:.4f} {unit}", "nats", "lower", smoothed=True),
    *of_the_loop("images"),
    Measure("valid_loss", "valid {:.4f} {unit}", "nats", "lower", shown=True),
    Measure("valid_accuracy", "accuracy {:.4f}", "", "higher", shown=True),
)


def _load(name: str, device: torch.device) -> FeatureModel:
    from seqgen.tasks.features.model import FeatureModel

    return FeatureModel.load(name, device)


def _evaluate(request: Request) -> Evaluated:
    from seqgen.tasks.features.evaluate import evaluate_classes

    return evaluate_classes(request)


def _compare(request: Request) -> Evaluated:
    from seqgen.tasks.features.evaluate import compare_sets

    return compare_sets(request)


KIND = Kind(
    "image-features",
    MEASURES,
    rank="valid_loss",
    curve="loss",
    evaluation=Evaluation("a feature network", NoChoices, _evaluate),
    load=_load,
    hint="train one with seqgen train-features",
)

# What needs no model: one set of images is compared with another.
SETS = Evaluation("sets of images", SetsEvaluation, _compare)
