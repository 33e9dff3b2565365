"""The kinds of models that there are."""

from __future__ import annotations

from seqgen.tasks import (
    captioning,
    classification,
    features,
    forecasting,
    gan,
    image_translation,
    language,
    translation,
)
from seqgen.tasks.kind import Kind

KINDS: tuple[Kind, ...] = (
    language.KIND,
    translation.KIND,
    classification.KIND,
    forecasting.KIND,
    captioning.KIND,
    gan.KIND,
    image_translation.KIND,
    features.KIND,
)


def of(task: str) -> Kind | None:
    """The kind that a `config.json` names; None if it is unknown here."""
    return next((kind for kind in KINDS if kind.task == task), None)
