"""Curves on a logarithmic scale in a terminal."""

from __future__ import annotations

import pytest

from seqgen.figures.curves import Curve, LogAxis, Panel, log_axis, place_ticks
from seqgen.figures.curves_text import curves_text


def falling(by: float, count: int = 101, name: str = "curve") -> Curve:
    return Curve(name, [by**i for i in range(count)])


# Axes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "axis"),
    [
        ([1.0, 0.02], LogAxis(-2, 0)),
        ([1.0], LogAxis(0, 1)),
        ([3.0, 1e-38], LogAxis(-12, 1)),
        ([1e38, 1.0], LogAxis(0, 12)),
        ([1e-38], LogAxis(-12, -11)),
        ([1e38], LogAxis(11, 12)),
    ],
)
def test_an_axis_reaches_from_power_to_power_within_reason(values: list[float], axis: LogAxis) -> None:
    assert log_axis([Panel("", [Curve("", values)])]) == axis


def test_places_on_an_axis() -> None:
    axis = LogAxis(-3, 1)
    assert [axis.place(10.0**power) for power in (-3, -1, 1)] == pytest.approx([0, 0.5, 1])
    assert axis.ticks(5) == [1, 0, -1, -2, -3]
    assert axis.ticks(3) == [1, -1, -3]


@pytest.mark.parametrize(
    ("longest", "ticks"),
    [(1, [0, 1]), (8, [0, 2, 4, 6, 8]), (50, [0, 10, 20, 30, 40, 50]), (100, [0, 20, 40, 60, 80, 100])],
)
def test_numbers_below_an_axis_are_round(longest: int, ticks: list[int]) -> None:
    assert list(place_ticks(longest, 8)) == ticks


# Text ---------------------------------------------------------------------------------------------------------


def test_a_straight_line_in_a_terminal() -> None:
    lines = curves_text([Panel("a title", [falling(0.1, 16, "one")])], "places", 24).splitlines()
    assert lines[:2] == ["a title", "  a  one"]
    assert lines[2] == "  1e0 ┤a"
    marks = [(row, line.index("a", 7)) for row, line in enumerate(lines[2:18]) if "a" in line[7:]]
    # Down by one power of ten a place, as far as the axis goes: the twelfth.
    assert marks[0] == (0, 7)
    assert marks[-1][0] == 15
    assert marks == sorted(marks, key=lambda mark: mark[1])
    assert lines[18].strip().startswith("└┬")
    assert lines[19].split() == ["0", "5", "10", "15"]
    assert lines[20].strip() == "places"


def test_curves_and_panels_have_letters_titles_and_the_same_axis() -> None:
    panels = [Panel("layer 1", [falling(0.9), falling(0.5)]), Panel("layer 2", [falling(1.1, 51)])]
    text = curves_text(panels, "d", 80)
    first, second = text.split("\n\n")
    assert max(map(len, text.splitlines())) <= 80
    for letter, chart in (("a", first), ("b", first), ("a", second)):
        assert chart.count(letter) > 5
    assert [line[:5] for line in first.splitlines() if "┤" in line] == [
        line[:5] for line in second.splitlines() if "┤" in line
    ]


def test_no_name_reaches_the_terminal_as_a_command() -> None:
    assert "\x1b" not in curves_text([Panel("\x1b[2J", [falling(0.9, name="\x1b[2J")])], "d", 80)
