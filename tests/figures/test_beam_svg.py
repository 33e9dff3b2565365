from __future__ import annotations

import itertools
from collections import Counter
from xml.etree import ElementTree

import pytest
from searches import SMALL, Search, search

from seqgen.decode.hypothesis import Branch, Hypothesis
from seqgen.figures.beam_layout import MOST_ROWS
from seqgen.figures.beam_svg import beam_svg

SVG = "{http://www.w3.org/2000/svg}"
Rectangle = tuple[float, float, float, float]


def drawn(made: Search, source: str = "source") -> str:
    return beam_svg(made.branches, made.piece, winner=made.best.token_ids, source=source, score=made.best.score)


def nodes(svg: str) -> list[tuple[str, Rectangle, list[str]]]:
    """Fate, rectangle (left, top, right, bottom) and texts of every node."""
    found = []
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        kind, look = group.attrib["class"].split()
        if kind == "node":
            rectangle = group.find(f"{SVG}rect")
            assert rectangle is not None
            x, y, width, height = (float(rectangle.attrib[name]) for name in ("x", "y", "width", "height"))
            texts = [text.text or "" for text in group.findall(f"{SVG}text")]
            found.append((look, (x, y, x + width, y + height), texts))
    return found


def edges(svg: str) -> list[tuple[str, list[float]]]:
    """Fate and coordinates of every line."""
    paths = ElementTree.fromstring(svg).iter(f"{SVG}path")
    numbers = ((path.attrib["class"].split()[1], path.attrib["d"]) for path in paths)
    return [(look, [float(n) for n in d.replace("M", " ").replace("C", " ").split()]) for look, d in numbers]


def test_every_node_is_there_with_its_numbers() -> None:
    svg = drawn(SMALL)
    assert sorted((look, *texts) for look, _, texts in nodes(svg)) == sorted(
        [
            ("winner", "start", "0.00"),
            ("winner", "▁b", "-0.70"),
            ("winner", "▁a", "-0.90"),
            ("winner", "★ </s>", "-1.00 · score -0.75"),
            ("kept", "▁a", "-0.50"),
            ("kept", "▁b", "-2.00"),
            ("ended", "■ </s>", "-2.50"),
            ("dropped", "▁c", "-3.00"),
            ("dropped", "▁c", "-4.00"),
        ]
    )
    assert Counter(look for look, _ in edges(svg)) == {"winner": 3, "kept": 2, "ended": 1, "dropped": 2}


def test_the_winner_is_marked_once() -> None:
    made = search(15)
    marked = [texts for _, _, texts in nodes(drawn(made)) if "★" in "".join(texts)]
    assert len(marked) == 1
    assert len(nodes(drawn(made))) == len(made.branches) + 1


def test_the_winner_runs_straight_along_the_top() -> None:
    boxes = nodes(drawn(search(15)))
    tops = [rectangle[1] for look, rectangle, _ in boxes if look == "winner"]
    assert set(tops) == {min(rectangle[1] for _, rectangle, _ in boxes)}


@pytest.mark.parametrize(
    "made",
    [SMALL, search(1), search(2), search(15), search(100), search(6, 60), search(8, odd="👩\u200d🚀中文" * 9)],
    ids=["small", "1 step", "2 steps", "15 steps", "100 steps", "wide", "odd"],
)
def test_boxes_lie_on_the_canvas_and_apart(made: Search) -> None:
    svg = drawn(made)
    root = ElementTree.fromstring(svg)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = [rectangle for _, rectangle, _ in nodes(svg)]
    assert all(min(x, y) >= 0 and right <= width and bottom <= height for x, y, right, bottom in boxes)
    columns: dict[tuple[float, float], list[Rectangle]] = {}
    for box in boxes:
        columns.setdefault((box[0], box[2]), []).append(box)
    for left, right in itertools.pairwise(sorted(columns)):
        assert left[1] < right[0]
    for column in columns.values():
        for above, below in itertools.pairwise(sorted(column, key=lambda box: box[1])):
            assert above[3] < below[1]


def test_lines_join_parents_to_children_and_do_not_cross() -> None:
    svg = drawn(search(15))
    boxes = [rectangle for _, rectangle, _ in nodes(svg)]
    starts = {(round(right), (top + bottom) / 2) for _, top, right, bottom in boxes}
    ends = {(round(left), (top + bottom) / 2) for left, top, _, bottom in boxes}
    columns: dict[float, list[tuple[float, float]]] = {}
    for _, line in edges(svg):
        assert (round(line[0]), line[1]) in starts
        assert (round(line[6]), line[7]) in ends
        columns.setdefault(line[6], []).append((line[7], line[1]))
    for column in columns.values():
        parents = [parent for _, parent in sorted(column)]
        assert parents == sorted(parents)


def test_a_wide_beam_shows_the_best_rows_and_says_how_many_more_there_are() -> None:
    branches = [Branch(-1, 1, -1.0, -1.0 - n, "kept") for n in range(MOST_ROWS + 9)]
    svg = drawn(Search([*branches, Branch(0, 0, -1.0, -2.0, "ended")], Hypothesis((1,), (), -2.0), SMALL.words))
    totals = [texts[1] for look, _, texts in nodes(svg) if look == "kept"]
    assert totals == [f"{-2.0 - n:.2f}" for n in range(MOST_ROWS - 1)]
    assert ">9 more<" in svg


def test_no_text_is_markup() -> None:
    odd = "[bold]<script>&'\"\x00\x1b\udcff\ufffe"
    svg = drawn(search(4, odd=odd), source=f"<b>&amp; {odd}")
    assert "<script" not in svg
    svg.encode("utf-8")
    title = ElementTree.fromstring(svg).findtext(f"{SVG}title")
    assert title == "<b>&amp; [bold]<script>&'\"\\x00\\x1b\\udcff\\ufffe"
    assert any("[bold]<script>&'\"" in texts[0] for _, _, texts in nodes(svg))


def test_long_texts_are_cut() -> None:
    svg = drawn(search(3, odd="x" * 500), source="word " * 1000)
    width = float(ElementTree.fromstring(svg).attrib["width"])
    assert width < 5000
    assert all(len(texts[0]) <= 24 for look, _, texts in nodes(svg) if look == "kept")


def test_nothing_considered() -> None:
    assert [texts for _, _, texts in nodes(drawn(Search([], Hypothesis((), (), 0.0), [])))] == [["start", "0.00"]]


def test_nothing_from_outside_is_needed() -> None:
    svg = drawn(search(5))
    assert "<script" not in svg
    assert "href" not in svg
    assert svg.count("http") == 1  # the name of the format
