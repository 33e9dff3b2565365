"""What `evaluate` says of a classifier and labelled texts."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from seqgen.config import LabelledTextConfig
from seqgen.config.evaluation import LabelsEvaluation
from seqgen.data.labelled import Example
from seqgen.data.labelled_corpus import read_examples, write_part
from seqgen.data.text import shown_name
from seqgen.errors import DataError, UsageError
from seqgen.figures.chart import FORMATS, render
from seqgen.figures.labels import cells, cut, visible
from seqgen.figures.maps_chart import draw_maps
from seqgen.metrics.labels import ClassScore, Counts, class_scores
from seqgen.tasks.attention_maps import AttentionMaps
from seqgen.tasks.classification.judge import Found, find
from seqgen.tasks.classification.model import ClassifierModel
from seqgen.tasks.kind import Evaluated, Request
from seqgen.wording import counted

# A matrix of more classes does not fit a terminal; the most frequent confusions are listed instead.
MATRIX_CLASSES, CONFUSIONS = 10, 10
NAME = 20
WIDTH = 19
NORMAL_95 = 1.96


def evaluate_labels(request: Request) -> Evaluated:
    """Accuracy, macro-F1, loss and calibration, the scores of each class, and which is taken for which.

    Raises:
        SeqgenError: the model or the texts cannot be used.
    """
    options: LabelsEvaluation = request.options
    picture = options.confusion
    if picture is not None and picture.suffix.lower() not in FORMATS:
        raise UsageError(f"--confusion {picture}: a chart is written as {', '.join(FORMATS)}")
    model = ClassifierModel.load(request.model, request.device)
    numbers = {label: i for i, label in enumerate(model.classes)}
    config = LabelledTextConfig(
        paths=tuple(request.paths),
        per_token=model.reader.per_token,
        text_column=options.text_column,
        label_column=options.label_column,
    )
    with tempfile.TemporaryDirectory() as folder:
        part = write_part(Path(folder), "texts", _usable(config, request), numbers)
        if not len(part):
            raise DataError(f"{', '.join(request.paths)}: no labelled texts")
        with request.progress("evaluating", len(part)) as advance:
            found = find(model, part, np.arange(len(part)), advance=advance)
    assert found is not None  # nothing asks this pass to stop
    if unknown := int((~found.known).sum()):
        request.warn(f"{counted(unknown, 'label')} that the model does not know: they count as wrong, not in the loss")
    return _reported(model, found, len(part), picture)


def _usable(config: LabelledTextConfig, request: Request) -> Iterator[Example]:
    """Rows with a text and a label; the others are counted."""
    passed = 0
    for row in read_examples(config, config.paths, tuple(map(shown_name, config.paths))):
        if row.text and all(row.labels):
            yield row
        else:
            passed += 1
    if passed:
        request.warn(f"{counted(passed, 'row')} without a text or a label passed over")


def _reported(model: ClassifierModel, found: Found, texts: int, picture: Path | None) -> Evaluated:
    measures: dict[str, object] = dict(found.measures(model.temperature))
    counts = found.confusion
    scores = dict(zip(model.classes, class_scores(counts), strict=True))
    labels = len(found.truth)
    calibration = found.calibration_error(model.temperature)
    interval = NORMAL_95 * math.sqrt(found.measures()["accuracy"] * (1 - found.measures()["accuracy"]) / labels)
    lines = [
        f"accuracy           {measures['accuracy']:.4f} ± {interval:.4f}   (95 % interval of {labels:,} labels)",
        f"macro-F1           {measures['macro_f1']:.4f}",
        f"loss               {measures['loss']:.4f} nats per label",
        f"calibration error  {calibration:.4f}",
    ]
    if "unknown_accuracy" in measures:
        lines.append(
            f"unknown words      {measures['unknown_accuracy']:.4f} right, {int(found.unknown.sum()):,} of {labels:,}"
        )
    lines += [f"texts              {texts:,}", "", *_class_lines(scores), "", *_confusion_lines(model.classes, counts)]
    measures |= {
        "interval": interval,
        "calibration_error": calibration,
        "texts": texts,
        "labels": labels,
        "classes": {name: dataclasses.asdict(score) for name, score in scores.items()},
        "confusion": counts.tolist(),
    }
    files = {} if picture is None else {picture: _drawn(model.classes, counts, picture)}
    return Evaluated(measures, "\n".join(lines) + "\n", WIDTH, files)


def _class_lines(scores: dict[str, ClassScore]) -> Iterator[str]:
    names = {name: cut(visible(name), NAME) for name in scores}
    width = max(map(cells, ("class", *names.values())))
    yield f"{'class':{width}}    count  precision  recall      F1"
    for name, score in scores.items():
        shown = names[name] + " " * (width - cells(names[name]))
        yield f"{shown}  {score.count:7,}     {score.precision:6.4f}  {score.recall:6.4f}  {score.f1:6.4f}"


def _confusion_lines(classes: Sequence[str], counts: Counts) -> Iterator[str]:
    """The whole matrix where it fits a terminal, else the classes that are taken for another most often."""
    if len(classes) <= MATRIX_CLASSES:
        names = [cut(visible(name), NAME) for name in classes]
        width = max(map(cells, ("true", *names)))
        yield f"{'true':{width}}  taken for, in the same order"
        for name, row in zip(names, counts.tolist(), strict=False):
            yield name + " " * (width - cells(name)) + "".join(f"{count:7,}" for count in row)
        return
    wrong = counts[:-1].copy()
    np.fill_diagonal(wrong, 0)
    yield "most often taken for another"
    for place in np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS].tolist():
        true, taken = divmod(place, len(classes))
        if wrong[true, taken]:
            yield f"{wrong[true, taken]:7,}  {visible(classes[true])} for {visible(classes[taken])}"


def _drawn(classes: Sequence[str], counts: Counts, picture: Path) -> bytes:
    """A map of the shares of each true class."""
    true = counts[:-1]
    shares = torch.from_numpy(true / np.maximum(true.sum(axis=1, keepdims=True), 1))
    legend = "rows: true class · columns: class that was found · share of the row"
    maps = AttentionMaps("confusion", legend, tuple(classes), tuple(classes), shares[None, None])
    return render(partial(draw_maps, kinds=[maps]), FORMATS[picture.suffix.lower()]).content
