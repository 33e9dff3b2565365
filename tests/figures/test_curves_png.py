from __future__ import annotations

import io

import pytest
from PIL import Image, ImageColor

from seqgen.figures.curves_png import COLOURS, curves_png, log_ticks, ticks


@pytest.mark.parametrize(
    ("ends", "marks"),
    [
        ((0.0, 1.0), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ((3.0, 58.0), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]),
        ((2.0, 2.0), [2.0, 2.5]),
        ((-1.0, 1.0), [-1.0, -0.5, 0.0, 0.5, 1.0]),
    ],
)
def test_ticks_are_round_and_hold_all_values(ends: tuple[float, float], marks: list[float]) -> None:
    assert ticks(*ends) == marks


def test_logarithmic_ticks_are_powers_of_ten() -> None:
    assert log_ticks(0.3, 40.0) == [0.1, 1.0, 10.0, 100.0]
    assert log_ticks(1.0, 1.0) == [1.0, 10.0]
    assert log_ticks(1e-9, 1.0) == pytest.approx([1e-9, 1e-7, 1e-5, 1e-3, 1e-1, 1e1])


@pytest.mark.parametrize("log", [False, True])
def test_a_higher_value_is_drawn_higher_and_each_curve_in_its_colour(log: bool) -> None:
    curves = {"low": [(0.0, 1.0), (10.0, 1.0)], "high": [(0.0, 50.0), (10.0, 50.0)]}
    picture = Image.open(io.BytesIO(curves_png(curves, "loss", log=log))).convert("RGB")
    colours = [ImageColor.getrgb(colour) for colour in COLOURS[:2]]
    middle = picture.width // 2
    rows = [[y for y in range(picture.height) if picture.getpixel((middle, y)) == colour] for colour in colours]
    assert rows[0]
    assert rows[1]
    assert max(rows[1]) < min(rows[0])
