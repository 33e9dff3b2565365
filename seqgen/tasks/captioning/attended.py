"""Which frames each token of a caption attended to."""

from __future__ import annotations

from pathlib import Path

from seqgen.errors import DataError, ModelError
from seqgen.tasks.attention_maps import AttentionMaps
from seqgen.tasks.captioning.caption import CaptionWriter
from seqgen.tasks.captioning.model import CaptionerModel


def attended(model: CaptionerModel, text: str, target: str | None = None) -> list[AttentionMaps]:
    """The map of a clip and its caption by beam search, or of one that begins with `target`.

    Args:
        model (CaptionerModel): in evaluation mode.
        text (str): the file of the clip.
        target (str | None): what the caption begins with.

    Raises:
        ModelError: the model does not attend to frames.
        DataError: the clip cannot be read.
    """
    if not model.network.attends:
        raise ModelError(
            f"{model.directory} does not attend to frames",
            hint="train one with --encoder sequence, and --attention dot, general or additive",
        )
    if not Path(text).exists():
        raise DataError(f"{text}: no such clip", hint="a captioner attends to the frames of a file")
    [caption] = CaptionWriter(model, attention=True, prefix=target or "").stream([text])
    if caption.fault is not None or caption.clip is None:
        raise caption.fault or DataError(f"{text}: cannot be read")
    best = caption.found.outputs[0]
    assert best.hypothesis.attention is not None
    frames = tuple(str(number) for number in range(1, len(caption.clip.frames) + 1))
    weights = best.hypothesis.attention[None, None, :, : len(frames)]
    return [AttentionMaps("attention", "rows: target tokens · columns: frames", best.tokens, frames, weights)]
