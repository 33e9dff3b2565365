"""Attention maps and positions as pictures and as text."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

import pytest
import torch
from PIL import Image
from torch import Tensor

from seqgen.figures.attention_maps_png import attention_maps_png
from seqgen.figures.matrix_text import attention_maps_text, position_matrix_text
from seqgen.figures.positions_png import position_matrix_png

DARK, WHITE = (11, 37, 84), (255, 255, 255)


@dataclass(frozen=True)
class SomeMaps:
    kind: str
    legend: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    weights: Tensor


def some_maps(layers: int, heads: int, rows: int, columns: int, word: str = "▁w") -> SomeMaps:
    draw = torch.Generator().manual_seed(0)
    weights = torch.rand(layers, heads, rows, columns, generator=draw).softmax(-1)
    down, across = (tuple(f"{word}{i}" for i in range(count)) for count in (rows, columns))
    return SomeMaps("cross-attention", "rows look at columns", down, across, weights)


def diagonal(size: int, heads: int = 1) -> SomeMaps:
    tokens = tuple("abcdefgh"[:size])
    return SomeMaps("self-attention", "", tokens, tokens, torch.eye(size).expand(1, heads, size, size))


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG"
    return image.convert("RGB")


def count(image: Image.Image, colour: tuple[int, int, int]) -> int:
    return sum(n for n, found in image.getcolors(1 << 24) or [] if found == colour)


# PNG ----------------------------------------------------------------------------------------------------------


def test_every_map_is_drawn() -> None:
    one, four = (opened(attention_maps_png([diagonal(5, heads)])) for heads in (1, 4))
    assert count(one, DARK) > 5 * 20 * 20
    assert count(four, DARK) == 4 * count(one, DARK)


def test_layers_lie_below_each_other_and_heads_side_by_side() -> None:
    small, deep, wide = (opened(attention_maps_png([some_maps(*shape, 9, 9)])) for shape in ((2, 2), (4, 2), (2, 4)))
    assert deep.width == small.width
    assert deep.height > small.height + 2 * 9 * 20
    assert wide.height == small.height
    assert wide.width > small.width + 2 * 9 * 20


def test_kinds_lie_below_each_other() -> None:
    maps = some_maps(1, 2, 4, 6)
    one, three = opened(attention_maps_png([maps])), opened(attention_maps_png([maps] * 3))
    assert three.width == one.width
    assert three.height > 2.5 * one.height


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 16, 4, 256), (1, 3, 60, 90), (14, 1, 256, 2)])
def test_any_number_of_maps_is_drawn(shape: tuple[int, int, int, int]) -> None:
    assert max(opened(attention_maps_png([some_maps(*shape)])).size) <= 4000


def test_long_names_and_those_of_other_scripts() -> None:
    image = opened(attention_maps_png([some_maps(1, 2, 3, 3, "中文字" * 20), some_maps(1, 2, 3, 3, "\x1b[31m")]))
    assert max(image.size) < 2000


def test_positions_are_blue_white_and_red() -> None:
    image = opened(position_matrix_png([[-1.0, 0.0, 1.0]], "learned positions", ""))
    cells = [image.getpixel((image_left(image) + 16 * i + 8, image.height - 24 - 8)) for i in range(3)]
    assert cells == [(29, 78, 216), WHITE, (185, 28, 28)]


def image_left(image: Image.Image) -> int:
    """Where the cells of the lowest row begin: with the first blue."""
    return next(x for x in range(image.width) if image.getpixel((x, image.height - 32)) == (29, 78, 216))


@pytest.mark.parametrize("shape", [(1, 1), (256, 256), (256, 4096), (3, 2)])
def test_position_matrices_of_any_size(shape: tuple[int, int]) -> None:
    draw = random.Random(0)
    values = [[draw.uniform(-2, 2) for _ in range(shape[1])] for _ in range(shape[0])]
    assert max(opened(position_matrix_png(values, "learned positions", "rows")).size) < 1300


@pytest.mark.parametrize("tall", [True, False])
def test_where_there_are_more_positions_than_pixels_neighbours_are_mixed(tall: bool) -> None:
    signs = [1.0 if i % 2 else -1.0 for i in range(4096)]
    values = [[sign] * 4 for sign in signs] if tall else [signs] * 4
    image = opened(position_matrix_png(values, "learned positions", ""))
    colours = {colour for _, colour in image.getcolors(1 << 16) or ()}
    assert colours.isdisjoint({(29, 78, 216), (185, 28, 28)})  # as many below zero as above are in each pixel


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
