"""What is known of captioners by commands that serve every kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqgen.config.evaluation import CaptionsEvaluation
from seqgen.metrics.measure import Measure, of_the_loop
from seqgen.tasks.kind import Evaluated, Evaluation, Kind, Request

if TYPE_CHECKING:
    import torch

    from seqgen.tasks.attention_maps import AttentionMaps
    from seqgen.tasks.captioning.model import CaptionerModel

MEASURES = (
    Measure("loss", "loss {:.4f}", "", "lower", smoothed=True),
    *of_the_loop("clips"),
    Measure("valid_loss", "valid {:.4f} {unit}", "nats", "lower", shown=True),
    Measure("valid_cider", "CIDEr-D {:.3f}", "", "higher", shown=True),
    Measure("valid_exact", "exact {:.1%}", "", "higher", shown=True),
)


def _load(name: str, device: torch.device) -> CaptionerModel:
    from seqgen.tasks.captioning.model import CaptionerModel

    return CaptionerModel.load(name, device)


def _evaluate(request: Request) -> Evaluated:
    from seqgen.tasks.captioning.evaluate import evaluate_captions

    return evaluate_captions(request)


def _attention(model: CaptionerModel, text: str, target: str | None) -> Sequence[AttentionMaps]:
    from seqgen.tasks.captioning.attended import attended

    return attended(model, text, target)


KIND = Kind(
    "captioning",
    MEASURES,
    rank="valid_loss",
    curve="loss",
    evaluation=Evaluation("a captioner", CaptionsEvaluation, _evaluate),
    load=_load,
    attention=_attention,
    hint="train one with seqgen train-captioner",
)
