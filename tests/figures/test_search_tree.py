from __future__ import annotations

import pytest
from searches import EOS, SMALL, search

from seqgen.decode.hypothesis import Branch
from seqgen.figures.labels import cells, cut, nats, visible
from seqgen.figures.search_tree import SearchTree


def test_children_stand_best_first_and_those_of_the_root_last() -> None:
    tree = SearchTree(SMALL.branches, SMALL.piece, (2, 1))
    assert tree.children == [[4, 5, 6], [3], [], [7], [], [], [], [], [0, 1, 2]]


def test_the_winner_is_found_by_its_tokens() -> None:
    assert SearchTree(SMALL.branches, SMALL.piece, (2, 1)).path == [1, 3, 7]
    assert SearchTree(SMALL.branches, SMALL.piece, (1,)).path == [0, 5]


@pytest.mark.parametrize("winner", [(), (3,), (1, 2), (2, 2), (2, 1, 1)])
def test_an_output_that_was_not_considered_has_no_path(winner: tuple[int, ...]) -> None:
    assert SearchTree(SMALL.branches, SMALL.piece, winner).path == []


def test_an_empty_output_can_win() -> None:
    assert SearchTree([Branch(-1, EOS, -1.0, -1.0, "ended")], SMALL.piece, ()).path == [0]


def test_the_winner_of_a_long_search_is_found() -> None:
    made = search(12)
    path = SearchTree(made.branches, made.piece, made.best.token_ids).path
    assert tuple(made.branches[node].token_id for node in path) == (*made.best.token_ids, EOS)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("▁Öl", "▁Öl"),
        ("a\tb\nc", "a b c"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\udcff", "\\udcff"),
        ("👩\u200d🚀", "👩\u200d🚀"),
    ],
)
def test_nothing_that_harms_a_terminal_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_numbers_have_two_decimals_and_zero_has_no_sign() -> None:
    assert [nats(value) for value in (-1.234, -0.001, 0.0, -10)] == ["-1.23", "0.00", "0.00", "-10.00"]


def test_cells_are_counted_as_a_terminal_does() -> None:
    assert [cells(text) for text in ("abc", "中文", "a\u0308", "")] == [3, 4, 1, 0]


def test_long_texts_are_cut_to_what_fits() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdef", 5) == "abcd…"
    assert cut("中文中文", 6) == "中文…"
