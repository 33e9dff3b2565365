"""How `seqgen translate` shows a translation: as columns, as JSON, as a tree or a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqgen.cli import streams, terminal
from seqgen.cli.pictures import ChartFile
from seqgen.errors import UsageError

if TYPE_CHECKING:
    from seqgen.tasks.targets import Output
    from seqgen.tasks.translation.model import TranslationModel
    from seqgen.tasks.translation.translate import Translation

    Show = Callable[[Translation, int, int, TranslationModel], Iterator[str]]


def columns(*, scores: bool, alignments: bool) -> Show:
    """Lines of columns: the number with several outputs, the text, and what was asked for beside it."""

    def show(translation: Translation, number: int, n_best: int, model: TranslationModel) -> Iterator[str]:
        for result in translation.outputs:
            columns = [str(number)] if n_best > 1 else []
            columns.append(result.text)
            if scores:
                columns.append(f"{result.hypothesis.score:.4f}")
            if alignments:
                columns.append(" ".join(f"{s}-{t}" for s, t in _alignment(translation, result, model)))
            yield "\t".join(columns)
        if not translation.outputs:
            yield "\t".join(([str(number)] if n_best > 1 else []) + [""] * (1 + scores + alignments))

    return show


def as_json(translation: Translation, number: int, n_best: int, model: TranslationModel) -> Iterator[str]:
    """One line; numbers are rounded to what fp32 holds."""
    import json

    value: dict[str, Any] = {
        "source": translation.source,
        "source_tokens": list(translation.source_tokens),
        "unknown": list(dict.fromkeys(translation.unseen)),
    }
    results = [_described(translation, result, model) for result in translation.outputs]
    value |= results[0] if results else {"text": "", "score": 0.0, "log_prob": 0.0, "tokens": [], "log_probs": []}
    if n_best > 1:
        value["hypotheses"] = results
    if (proof := translation.found.proof) is not None:
        value |= {"optimal": proof.optimal, "gap": round(proof.gap, 6), "nodes": proof.nodes}
    yield json.dumps(value, ensure_ascii=False)


def _described(translation: Translation, result: Output, model: TranslationModel) -> dict[str, Any]:
    hypothesis = result.hypothesis
    value = {
        "text": result.text,
        "score": round(hypothesis.score, 6),
        "log_prob": round(hypothesis.log_prob, 6),
        "tokens": list(result.tokens),
        "log_probs": [round(log_prob, 6) for log_prob in hypothesis.log_probs],
    }
    if hypothesis.attention is not None:
        value["alignment"] = _alignment(translation, result, model)
    return value


def _alignment(translation: Translation, result: Output, model: TranslationModel) -> list[tuple[int, int]]:
    """For each target token the source token that it attended to most, both counted from 0 and without end symbols."""
    assert result.hypothesis.attention is not None
    words = len(translation.source_tokens) - 1
    attended = result.hypothesis.attention[:-1, :words].argmax(dim=1).tolist()
    backwards = model.reverse_source
    return [(words - 1 - s if backwards else s, t) for t, s in enumerate(attended)]


def draw_tree(translation: Translation, model: TranslationModel) -> None:
    """The tree of the search, on stderr."""
    from seqgen.figures.beam_tree import beam_tree

    best = translation.outputs[0].hypothesis
    piece = model.target_tokenizer.piece
    terminal.console().print(beam_tree(translation.found.tree, piece, best=best, title=translation.source))


def draw_pictures(translation: Translation, model: TranslationModel, beam_svg: Path | None, chart: ChartFile) -> None:
    """The tree and the attention as pictures, those that have a path.

    Raises:
        UsageError: an empty line has neither.
    """
    from seqgen.figures import beam_svg as tree
    from seqgen.figures.maps_chart import draw_maps
    from seqgen.tasks.attention_maps import AttentionMaps

    if not translation.outputs:
        raise UsageError("the first line is empty: there is nothing to draw")
    best = translation.outputs[0]
    if beam_svg:
        piece, ids, score = model.target_tokenizer.piece, best.hypothesis.token_ids, best.hypothesis.score
        svg = tree.beam_svg(translation.found.tree, piece, winner=ids, source=translation.source, score=score)
        streams.write_file(beam_svg, svg.encode())
    if chart.path is not None and best.hypothesis.attention is not None:
        maps = AttentionMaps(
            kind="attention",
            legend="rows: target tokens · columns: source tokens",
            rows=tuple(best.tokens),
            columns=translation.source_tokens,
            weights=best.hypothesis.attention[None, None],
        )
        chart.write(partial(draw_maps, kinds=[maps]))
