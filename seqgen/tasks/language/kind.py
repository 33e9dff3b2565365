"""What is known of language models by commands that serve every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from seqgen.config.evaluation import TextEvaluation
from seqgen.errors import UsageError
from seqgen.metrics.measure import Measure, of_the_loop
from seqgen.tasks.kind import Evaluated, Evaluation, Kind, Request

if TYPE_CHECKING:
    import torch

    from seqgen.tasks.attention_maps import AttentionMaps
    from seqgen.tasks.gradient_flow import LayerFlow
    from seqgen.tasks.language.model import LanguageModel

MEASURES = (
    Measure("loss", "loss {:.4f} {unit}", "nats", "lower", smoothed=True),
    Measure("bits_per_char", "{:.3f} {unit}", "bits/char", "lower", smoothed=True),
    *of_the_loop("tokens"),
    Measure("valid_loss", "valid {:.4f} {unit}", "nats", "lower", shown=True),
    Measure("valid_bits_per_char", "{:.3f} {unit}", "bits/char", "lower", shown=True),
    Measure("valid_perplexity", "perplexity {:.2f}", "", "lower", shown=True),
    Measure("gradient_flow", "through time {}"),
)


def _load(name: str, device: torch.device) -> LanguageModel:
    from seqgen.tasks.language.model import LanguageModel

    return LanguageModel.load(name, device)


def _evaluate(request: Request) -> Evaluated:
    from seqgen.tasks.language.evaluate import evaluate_text

    return evaluate_text(request)


def _attention(model: LanguageModel, text: str, target: str | None) -> Sequence[AttentionMaps]:
    from seqgen.tasks.attention_maps import language_maps

    if target is not None:
        raise UsageError(f"--target is a translation, but {model.directory} is a language model")
    return language_maps(model, text)


def _gradients(
    model: LanguageModel, paths: Sequence[str], max_distance: int, warn: Callable[[str], None]
) -> Sequence[LayerFlow]:
    from seqgen.tasks.language.gradients import text_flow

    return text_flow(model, paths, max_distance, warn)


KIND = Kind(
    "language-model",
    MEASURES,
    rank="valid_loss",
    curve="loss",
    evaluation=Evaluation("a language model", TextEvaluation, _evaluate),
    load=_load,
    attention=_attention,
    gradients=_gradients,
)
