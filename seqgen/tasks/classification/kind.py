"""What is known of classifiers by commands that serve every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from seqgen.config.evaluation import LabelsEvaluation
from seqgen.metrics.measure import Measure, of_the_loop
from seqgen.tasks.kind import Evaluated, Evaluation, Kind, Request

if TYPE_CHECKING:
    import torch

    from seqgen.tasks.attention_maps import AttentionMaps
    from seqgen.tasks.classification.model import ClassifierModel
    from seqgen.tasks.gradient_flow import LayerFlow

MEASURES = (
    Measure("loss", "loss {:.4f} {unit}", "nats", "lower", smoothed=True),
    *of_the_loop("tokens"),
    Measure("valid_loss", "valid {:.4f} {unit}", "nats", "lower", shown=True),
    Measure("valid_accuracy", "accuracy {:.4f}", "", "higher", shown=True),
    Measure("valid_macro_f1", "macro-F1 {:.4f}", "", "higher", shown=True),
    Measure("valid_unknown_accuracy", "of unknown words {:.4f}", "", "higher", shown=True),
)


def _load(name: str, device: torch.device) -> ClassifierModel:
    from seqgen.tasks.classification.model import ClassifierModel

    return ClassifierModel.load(name, device)


def _evaluate(request: Request) -> Evaluated:
    from seqgen.tasks.classification.evaluate import evaluate_labels

    return evaluate_labels(request)


def _attention(model: ClassifierModel, text: str, target: str | None) -> Sequence[AttentionMaps]:
    from seqgen.tasks.classification.attended import attended

    return attended(model, text, target)


def _gradients(
    model: ClassifierModel, paths: Sequence[str], max_distance: int, warn: Callable[[str], None]
) -> Sequence[LayerFlow]:
    from seqgen.tasks.classification.gradients import label_flow

    return label_flow(model, paths, max_distance, warn)


KIND = Kind(
    "classification",
    MEASURES,
    rank="valid_loss",
    curve="loss",
    evaluation=Evaluation("a classifier", LabelsEvaluation, _evaluate),
    load=_load,
    attention=_attention,
    gradients=_gradients,
    hint="train one with seqgen train-classifier",
)
