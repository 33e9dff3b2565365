"""How the outputs of a search are shown, whatever they are of: as columns, as JSON, as a tree or a picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from seqgen.cli import streams, terminal
from seqgen.cli.searching import Search
from seqgen.errors import UsageError

if TYPE_CHECKING:
    from seqgen.tasks.targets import Found, Output

    Alignment = Callable[[Output], list[tuple[int, int]]]


@dataclass(frozen=True)
class Shown:
    """The outputs of one line.

    Args:
        found (Found): the outputs, none where there was nothing to say anything of.
        title (str): what they are of, for a person.
        head (Mapping[str, Any]): the same in JSON: the first keys.
        attended (tuple[str, ...]): what the columns of their attention are.
        alignment (Alignment | None): pairs of a column and a row of an output, None if that is not to be shown.
    """

    found: Found
    title: str
    head: Mapping[str, Any]
    attended: tuple[str, ...]
    alignment: Alignment | None = None


@dataclass(frozen=True)
class Show:
    """Shows outputs as a search was asked to.

    Args:
        search (Search): what is to be shown.
        piece (Callable[[int], str]): a token as it is shown.
        noun (str): what attention falls on: `source tokens`, or `frames`.
    """

    search: Search
    piece: Callable[[int], str]
    noun: str

    def rows(self, shown: Shown, number: int) -> Iterator[str]:
        """The lines of standard output for line `number`."""
        if self.search.as_json:
            yield json.dumps(self._described(shown), ensure_ascii=False)
            return
        first = [str(number)] if self.search.config.n_best > 1 else []
        for output in shown.found.outputs:
            columns = [*first, output.text]
            if self.search.scores:
                columns.append(f"{output.hypothesis.score:.4f}")
            if self.search.alignments and shown.alignment is not None:
                columns.append(" ".join(f"{s}-{t}" for s, t in shown.alignment(output)))
            yield "\t".join(columns)
        if not shown.found.outputs:
            yield "\t".join([*first, *[""] * (1 + self.search.scores + self.search.alignments)])

    def _described(self, shown: Shown) -> dict[str, Any]:
        """Numbers are rounded to what fp32 holds."""
        results = [_output(output, shown.alignment) for output in shown.found.outputs]
        nothing = {"text": "", "score": 0.0, "log_prob": 0.0, "tokens": [], "log_probs": []}
        value = {**shown.head, **(results[0] if results else nothing)}
        if self.search.config.n_best > 1:
            value["hypotheses"] = results
        if (proof := shown.found.proof) is not None:
            value |= {"optimal": proof.optimal, "gap": round(proof.gap, 6), "nodes": proof.nodes}
        return value

    def pictures(self, shown: Shown, number: int) -> None:
        """The tree on stderr, and of the first line the tree and the attention as pictures, those that are wanted.

        Raises:
            UsageError: the first line has neither.
        """
        if self.search.show_beams and shown.found.outputs:
            self._draw_tree(shown)
        if number == 1 and (self.search.beam_svg or self.search.chart.path):
            self._draw_pictures(shown)

    def _draw_tree(self, shown: Shown) -> None:
        from seqgen.figures.beam_tree import beam_tree

        best = shown.found.outputs[0].hypothesis
        terminal.console().print(beam_tree(shown.found.tree, self.piece, best=best, title=shown.title))

    def _draw_pictures(self, shown: Shown) -> None:
        from seqgen.figures import beam_svg
        from seqgen.figures.maps_chart import draw_maps
        from seqgen.tasks.attention_maps import AttentionMaps

        if not shown.found.outputs:
            raise UsageError("the first line is empty: there is nothing to draw")
        best = shown.found.outputs[0]
        if path := self.search.beam_svg:
            ids, score = best.hypothesis.token_ids, best.hypothesis.score
            svg = beam_svg.beam_svg(shown.found.tree, self.piece, winner=ids, source=shown.title, score=score)
            streams.write_file(path, svg.encode())
        if self.search.chart.path is not None and best.hypothesis.attention is not None:
            maps = AttentionMaps(
                kind="attention",
                legend=f"rows: target tokens · columns: {self.noun}",
                rows=tuple(best.tokens),
                columns=shown.attended,
                weights=best.hypothesis.attention[None, None, :, : len(shown.attended)],
            )
            self.search.chart.write(partial(draw_maps, kinds=[maps]))


def _output(output: Output, alignment: Alignment | None) -> dict[str, Any]:
    hypothesis = output.hypothesis
    value: dict[str, Any] = {
        "text": output.text,
        "score": round(hypothesis.score, 6),
        "log_prob": round(hypothesis.log_prob, 6),
        "tokens": list(output.tokens),
        "log_probs": [round(log_prob, 6) for log_prob in hypothesis.log_probs],
    }
    if hypothesis.attention is not None and alignment is not None:
        value["alignment"] = alignment(output)
    return value
