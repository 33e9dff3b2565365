"""Attention maps and positions as text."""

from __future__ import annotations

import torch
from some_maps import SomeMaps, some_maps

from seqgen.figures.matrix_text import attention_maps_text, position_matrix_text


def diagonal(size: int, heads: int = 1) -> SomeMaps:
    tokens = tuple("abcdefgh"[:size])
    return SomeMaps("self-attention", "", tokens, tokens, torch.eye(size).expand(1, heads, size, size))


# Text ---------------------------------------------------------------------------------------------------------


def test_a_map_in_a_terminal() -> None:
    maps = SomeMaps("attention", "legend", ("▁x", "long"), ("ab", "c"), torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]]))
    assert attention_maps_text([maps], 80).splitlines() == [
        "attention",
        "legend · ░ 0.20 ▒ 0.40 ▓ 0.60 █ 0.80",
        "     a",
        "     b c",
        "  ▁x ██",
        "long ▒▒▒▒",
    ]


def test_heads_stand_side_by_side_where_there_is_room() -> None:
    broad, narrow = (attention_maps_text([diagonal(4, 2)], width).splitlines() for width in (80, 20))
    assert "  layer 1 head 1  layer 1 head 2" in broad
    assert broad[4].split() == ["a", "██", "██"]
    assert {"  layer 1 head 1", "  layer 1 head 2"} <= set(narrow)
    assert len(narrow) == len(broad) + 5


def test_wide_letters_take_two_columns() -> None:
    maps = SomeMaps("attention", "", ("中",), ("中", "b"), torch.tensor([[[[1.0, 0.0]]]]))
    assert attention_maps_text([maps], 80).splitlines()[2:] == ["   中b", "中 ██"]


def test_no_token_reaches_the_terminal_as_a_command() -> None:
    assert "\x1b" not in attention_maps_text([some_maps(1, 1, 2, 2, "\x1b[2J")], 80)


def test_positions_in_a_terminal() -> None:
    text = position_matrix_text([[-1.0, -0.5, 0.0, 0.5, 1.0], [1.0, 0.0, 0.0, 0.0, -1.0]], "legend", 80)
    assert text.splitlines() == ["legend · ░ -0.60 ▒ -0.20 ▓ 0.20 █ 0.60", "0  ░▒▓█", "1 █▒▒▒"]


def test_many_positions_are_thinned_out() -> None:
    lines = position_matrix_text([[1.0, -1.0] * 100] * 64, "legend", 44).splitlines()
    assert lines[1] == "shown: one row of 2, one column of 5"
    assert [line.split()[0] for line in lines[2:4]] == ["0", "2"]
    assert len(lines) == 2 + 32
    assert max(map(len, lines[2:])) <= 44
