"""What `evaluate` says of a captioner and clips with captions."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqgen.config import ClipConfig
from seqgen.config.evaluation import CaptionsEvaluation
from seqgen.data.captioned_corpus import CaptionedPart, captioned_part
from seqgen.data.captions import Captioned, read_captions
from seqgen.data.text import shown_name
from seqgen.errors import UsageError
from seqgen.metrics.captions import caption_scores, interval
from seqgen.tasks.captioning.baselines import most_frequent, nearest
from seqgen.tasks.captioning.caption import CaptionWriter
from seqgen.tasks.captioning.judge import judge
from seqgen.tasks.captioning.model import CaptionerModel
from seqgen.tasks.kind import Evaluated, Request

WIDTH = 23


def evaluate_captions(request: Request) -> Evaluated:
    """Captions by beam search beside the true ones, and beside those of shuffled frames and of simple methods.

    Where the list of captions says which clips are to be validated on, these are judged, and the others are what the
    simple methods know.

    Raises:
        SeqgenError: the model or the clips cannot be used.
    """
    options: CaptionsEvaluation = request.options
    if len(request.paths) != 1:
        raise UsageError(f"captions come from one list, not {len(request.paths)}")
    path = request.paths[0]
    entries = read_captions(path, shown_name(path), request.warn, keys=(options.file_key, options.caption_key))
    judged = [entry for entry in entries if entry.split == "valid"] or entries
    known = [] if judged is entries else [entry for entry in entries if entry.split != "valid"]
    model = CaptionerModel.load(request.model, request.device)
    writer = CaptionWriter(model, "beam", options.search)
    with tempfile.TemporaryDirectory() as folder:
        valid = _read(model, judged, Path(folder) / "valid", request)
        every = np.arange(len(valid))
        with request.progress("captioning", 2 * len(valid)) as advance:
            found = judge(model, valid, writer, lambda: False, every, advance)
            mixed = judge(model, valid, writer, lambda: False, every, advance, shuffled=True)
        assert found is not None
        assert mixed is not None
        rows = {"model": found.captions, "frames shuffled": mixed.captions}
        if known:
            train = _read(model, known, Path(folder) / "train", request)
            frequent = most_frequent(train, len(valid))
            rows |= {"nearest clip": nearest(model, train, valid), "most frequent caption": frequent}
    measures = {name: _scores(captions, found.references) for name, captions in rows.items()}
    others = {name.replace(" ", "_"): own for name, own in measures.items() if name != "model"}
    return Evaluated(
        {**measures["model"], "loss": found.loss, "clips": len(valid), **others},
        _table(measures, found.loss, len(valid)),
        WIDTH,
    )


def _read(model: CaptionerModel, entries: list[Captioned], stem: Path, request: Request) -> CaptionedPart:
    config = ClipConfig(frames=model.frames, image_size=model.image_size)
    extract = model.features.features if model.features else None
    return captioned_part(stem, entries, config, extract, request.warn)


def _scores(captions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Any]:
    scores = dataclasses.asdict(caption_scores(captions, references))
    return {**scores, "cider_interval": interval(captions, references)}


def _table(measures: Mapping[str, Mapping[str, Any]], loss: float, clips: int) -> str:
    lines = [f"{'':{WIDTH}}{'CIDEr-D (95 %)':19} ROUGE-L BLEU-1 BLEU-2 chrF2   exact"]
    for name, own in measures.items():
        low, high = own["cider_interval"]
        cider = f"{own['cider_d']:.3f} ({low:.2f}, {high:.2f})"
        lines.append(
            f"{name:{WIDTH}}{cider:19}  {own['rouge_l']:6.3f} {own['bleu_1']:6.1f} {own['bleu_2']:6.1f}"
            f" {own['chrf']:5.1f} {own['exact']:7.1%}"
        )
    own = measures["model"]
    lines += [
        f"{'different':{WIDTH}}{own['distinct']:.1%}; the most frequent stands for {own['most_frequent']:.1%} of clips",
        f"{'loss':{WIDTH}}{loss:.4f} nats per token",
        f"{'clips':{WIDTH}}{clips}",
    ]
    return "\n".join(lines) + "\n"
