"""Curves on a logarithmic scale, as text and as a picture."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from seqgen.figures.curves import Curve, LogAxis, Panel, linear_axis, log_axis, place_ticks
from seqgen.figures.curves_png import curves_png
from seqgen.figures.curves_text import curves_text

BLUE, ORANGE = (0, 114, 178), (213, 94, 0)


def falling(by: float, count: int = 101, name: str = "curve") -> Curve:
    return Curve(name, [by**i for i in range(count)])


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG"
    return image.convert("RGB")


def has(image: Image.Image, colour: tuple[int, int, int]) -> bool:
    return any(found == colour for _, found in image.getcolors(1 << 24) or [])


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
    ("ends", "marks"),
    [
        ((0.0, 1.0), [1.0, 0.8, 0.6, 0.4, 0.2, 0.0]),
        ((3.0, 58.0), [60.0, 50.0, 40.0, 30.0, 20.0, 10.0, 0.0]),
        ((2.0, 2.0), [2.5, 2.0]),
        ((-1.0, 1.0), [1.0, 0.5, 0.0, -0.5, -1.0]),
    ],
)
def test_a_linear_axis_has_round_numbers_and_holds_all_values(ends: tuple[float, float], marks: list[float]) -> None:
    axis = linear_axis([Panel("", [Curve("", ends)])])
    assert [float(label) for label, _ in axis.marks(10)] == marks
    assert [place for _, place in axis.marks(10)][:: len(marks) - 1] == [1.0, 0.0]
    assert len(axis.marks(3)) <= 3


@pytest.mark.parametrize("log", [False, True])
def test_a_higher_value_is_drawn_higher_wherever_the_curve_begins(log: bool) -> None:
    curves = [Curve("low", [3.0, 3.0], [20.0, 40.0]), Curve("high", [33.0, 33.0], [0.0, 40.0])]
    picture = opened(curves_png([Panel("", curves)], "loss", "step", log=log))
    chart = range(picture.height * 4 // 5)  # the legend is below

    def rows(x: int, colour: tuple[int, int, int]) -> list[int]:
        pixels = picture.load()
        assert pixels is not None
        near = (max(abs(a - b) for a, b in zip(pixels[x, y], colour, strict=True)) < 40 for y in chart)  # type: ignore[arg-type]
        return [y for y, found in zip(chart, near, strict=True) if found]

    early, late = picture.width // 4, picture.width * 3 // 4
    assert not rows(early, BLUE)
    assert rows(early, ORANGE) == rows(late, ORANGE)
    assert max(rows(late, ORANGE)) < min(rows(late, BLUE))


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


# PNG ----------------------------------------------------------------------------------------------------------


def test_every_curve_is_drawn_in_a_colour_of_its_own() -> None:
    one = opened(curves_png([Panel("", [falling(0.9)])], "title", "d"))
    two = opened(curves_png([Panel("", [falling(0.9), falling(0.5)])], "title", "d"))
    assert (has(one, BLUE), has(one, ORANGE)) == (True, False)
    assert (has(two, BLUE), has(two, ORANGE)) == (True, True)
    assert two.height > one.height  # by a line of the legend


def test_panels_stand_two_in_a_row() -> None:
    sizes = [opened(curves_png([Panel("", [falling(0.9)])] * count, "title", "d")).size for count in (1, 2, 3, 4)]
    assert sizes[1][0] > 1.8 * sizes[0][0]
    assert sizes[1][1] == sizes[0][1]
    assert sizes[2] == sizes[3]
    assert sizes[3][0] == sizes[1][0]
    assert sizes[3][1] > 1.8 * sizes[1][1]


@pytest.mark.parametrize("values", [[1e-38] * 9, [1e38] * 9, [1.0], [1e-38, 1e38]])
def test_any_values_are_drawn(values: list[float]) -> None:
    panels = [Panel("", [Curve("a name that is longer than the chart is wide " * 3, values)])]
    assert has(opened(curves_png(panels, "title", "d")), BLUE)
    assert curves_text(panels, "d", 10)
