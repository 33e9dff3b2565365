"""Charts: what is drawn is asked of matplotlib's own objects, and the files that they become are opened."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from some_maps import SomeMaps, some_maps

from seqgen.figures.chart import Format, render
from seqgen.figures.curves import Curve, Panel
from seqgen.figures.curves_chart import COLOURS, draw_curves
from seqgen.figures.maps_chart import draw_maps
from seqgen.figures.positions_chart import draw_positions

LARGEST_SIDE = 4000


def drawn(draw: Callable[[Figure], None]) -> Figure:
    """The figure with everything on it, as it is before it becomes a file."""
    figure = Figure()
    draw(figure)
    figure.canvas.draw()
    return figure


def opened(draw: Callable[[Figure], None], font: Path | None = None) -> Image.Image:
    image = Image.open(io.BytesIO(render(draw, "PNG", font).content))
    assert image.format == "PNG"
    return image.convert("RGB")


def written(chart: Axes) -> list[str]:
    return [label.get_text() for label in chart.get_xticklabels() + chart.get_yticklabels()]


# Files --------------------------------------------------------------------------------------------------------

CURVES = partial(draw_curves, panels=[Panel("", [Curve("one", [3.0, 2.0, 1.0])])], title="loss", across="step")


@pytest.mark.parametrize(("format", "begin"), [("PNG", b"\x89PNG\r\n"), ("SVG", b"<?xml"), ("PDF", b"%PDF-")])
def test_the_format_is_the_one_that_is_asked_for_and_the_same_chart_the_same_bytes(
    format: Format, begin: bytes
) -> None:
    content = render(CURVES, format).content
    assert content.startswith(begin)
    assert content == render(CURVES, format).content


def test_characters_without_a_glyph_are_named_once() -> None:
    title = partial(draw_curves, panels=[Panel("", [Curve("a", [1.0])])], across="step")
    assert render(partial(title, title="loß ▁ é Ж ש"), "PNG").missing == ""
    assert render(partial(title, title="\U00013000 a \U00013000\U00012000"), "PNG").missing == "\U00013000\U00012000"


def test_a_font_file_is_preferred() -> None:
    serif = Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSerif.ttf")
    assert opened(CURVES, serif) != opened(CURVES)
    with pytest.raises(OSError, match="nothing"):
        render(CURVES, "PNG", Path("nothing.ttf"))


def test_a_dollar_sign_is_a_dollar_sign() -> None:
    figure = drawn(partial(draw_curves, panels=[Panel("$x$", [Curve("$\\frac{$", [1.0])])], title="$", across="$"))
    assert figure.axes[0].get_title() == "$x$"
    assert render(partial(draw_maps, kinds=[some_maps(1, 1, 2, 2, "$\\frac{$")]), "SVG").missing == ""


def test_settings_of_matplotlib_are_left_as_they_were() -> None:
    before = dict(matplotlib.rcParams)
    render(CURVES, "PNG")
    assert dict(matplotlib.rcParams) == before


# Curves -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", [False, True])
def test_a_curve_has_its_values_at_its_places(log: bool) -> None:
    curves = [Curve("_low", [3.0, 4.0], [20.0, 40.0]), Curve("high", [33.0, 33.0, 5.0])]
    (chart,) = drawn(partial(draw_curves, panels=[Panel("", curves)], title="", across="", log=log)).axes
    low, high = chart.get_lines()
    assert low.get_xydata().tolist() == [[20.0, 3.0], [40.0, 4.0]]  # type: ignore[union-attr]
    assert high.get_xydata().tolist() == [[0.0, 33.0], [1.0, 33.0], [2.0, 5.0]]  # type: ignore[union-attr]
    assert chart.get_yscale() == ("log" if log else "linear")
    bottom, top = chart.get_ylim()
    assert bottom < 3.0
    assert top > 33.0
    legend = chart.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["_low", "high"]


def test_a_logarithmic_axis_is_numbered_by_powers_of_ten() -> None:
    values = [10.0**-i for i in range(4)]
    (chart,) = drawn(partial(draw_curves, panels=[Panel("", [Curve("", values)])], title="", across="d")).axes
    low, high = chart.get_ylim()
    shown = {label.get_text() for label in chart.get_yticklabels() if low <= label.get_position()[1] <= high}
    assert shown - {""} == {"1e-3", "1e-2", "1e-1", "1e0"}


def test_every_curve_has_a_look_of_its_own() -> None:
    curves = [Curve(str(i), [1.0, 2.0]) for i in range(3 * len(COLOURS))]
    (chart,) = drawn(partial(draw_curves, panels=[Panel("", curves)], title="", across="d")).axes
    assert len({(line.get_color(), line.get_linestyle()) for line in chart.get_lines()}) == len(curves)


def test_panels_stand_two_in_a_row_with_the_same_axis_upwards() -> None:
    panels = [Panel(f"layer {i}", [Curve("", [10.0**-i, 1.0])]) for i in range(1, 4)]
    first, second, third = drawn(partial(draw_curves, panels=panels, title="", across="d")).axes
    assert [chart.get_title() for chart in (first, second, third)] == ["layer 1", "layer 2", "layer 3"]
    assert first.get_ylim() == second.get_ylim() == third.get_ylim() == (1e-3, 1.0)
    corners = [chart.get_position().p0 for chart in (first, second, third)]
    assert corners[0][0] == pytest.approx(corners[2][0], abs=0.01)
    assert corners[1][0] > corners[0][0] + 0.4
    assert corners[2][1] < corners[0][1] - 0.3


@pytest.mark.parametrize("values", [[1e-38] * 9, [1e38] * 9, [1.0], [1e-38, 1e38]])
@pytest.mark.parametrize("log", [False, True])
def test_any_values_are_drawn(values: list[float], log: bool) -> None:
    panels = [Panel("", [Curve("a name that is longer than the chart is wide " * 3, values)])]
    assert max(opened(partial(draw_curves, panels=panels, title="title", across="d", log=log)).size) < 1000


# Attention maps -----------------------------------------------------------------------------------------------


def shades(chart: Axes) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Weights as they are drawn, in parts of the darkest."""
    (image,) = chart.get_images()
    low, high = image.get_clim()
    assert (low, high is not None) == (0.0, True)
    return np.asarray(image.get_array(), dtype=np.float64) / high


def test_each_map_stands_in_the_row_of_its_layer_and_the_column_of_its_head() -> None:
    maps = some_maps(2, 3, 4, 5)
    charts = drawn(partial(draw_maps, kinds=[maps])).axes
    assert len(charts) == 6
    for i, chart in enumerate(charts):
        layer, head = divmod(i, 3)
        assert chart.get_xlabel() == f"layer {layer + 1} head {head + 1}"
        np.testing.assert_allclose(shades(chart), maps.weights[layer, head] / maps.weights.max(), rtol=1e-6)
        box = chart.get_position()
        assert (box.x0 > charts[0].get_position().x1) == (head > 0)
        assert (box.y1 < charts[0].get_position().y0) == (layer > 0)


def test_columns_are_named_above_the_first_layer_and_rows_beside_the_first_head() -> None:
    maps = SomeMaps("", "", ("a", "b"), ("c", "d", "e"), torch.rand(2, 2, 2, 3))
    charts = drawn(partial(draw_maps, kinds=[maps])).axes
    assert written(charts[0]) == ["c", "d", "e", "a", "b"]
    for i, chart in enumerate(charts):
        shown = [tick.label2.get_visible() for tick in chart.xaxis.get_major_ticks()]
        assert set(shown) == {i < 2}
        assert {tick.label1.get_visible() for tick in chart.yaxis.get_major_ticks()} == {i % 2 == 0}


def test_every_kind_has_a_darkest_weight_of_its_own_and_lies_below_the_one_before() -> None:
    kinds = [SomeMaps("one", "", ("a",), ("b",), torch.full((1, 1, 1, 1), weight)) for weight in (0.25, 0.5)]
    figure = drawn(partial(draw_maps, kinds=kinds))
    above, below = figure.axes
    assert shades(above).item() == shades(below).item() == 1.0
    assert below.get_position().y1 < above.get_position().y0
    assert "darkest: 0.25" in "".join(text.get_text() for text in figure.texts)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 8, 4, 64), (1, 3, 60, 90), (14, 1, 64, 2), (1, 1, 1, 100)])
def test_any_number_of_maps_is_drawn_with_its_names_whole(shape: tuple[int, int, int, int]) -> None:
    image = opened(partial(draw_maps, kinds=[some_maps(*shape)]))
    assert max(image.size) <= LARGEST_SIDE
    # Nothing is cut at an edge: the margin around everything is white.
    strips = [(0, 0, image.width, 10), (0, 0, 10, image.height), (0, image.height - 10, image.width, image.height)]
    for box in [*strips, (image.width - 10, 0, image.width, image.height)]:
        assert image.crop(box).getcolors() == [((box[2] - box[0]) * (box[3] - box[1]), (255, 255, 255))]


def test_a_matrix_with_more_cells_than_pixels_is_shrunk() -> None:
    image = opened(partial(draw_maps, kinds=[some_maps(1, 1, 5000, 1)]))
    assert 3000 < image.height <= LARGEST_SIDE


@pytest.mark.parametrize(
    "token", ["👩\u200d🚀", "中文", "שלום", "\x00\x1b\udcff\uffff", "", " ", "x" * 999, "[b]", "ß"]
)
def test_any_token_is_drawn(token: str) -> None:
    maps = SomeMaps("", "", (token,), (token, token), torch.full((1, 1, 1, 2), 0.5))
    assert max(opened(partial(draw_maps, kinds=[maps])).size) < LARGEST_SIDE
    assert b"\x1b" not in render(partial(draw_maps, kinds=[maps]), "SVG").content


def test_nothing_but_zeros_is_white() -> None:
    (chart,) = drawn(partial(draw_maps, kinds=[SomeMaps("", "", ("a",), ("b",), torch.zeros(1, 1, 1, 1))])).axes
    assert shades(chart).item() == 0.0


# Positions ----------------------------------------------------------------------------------------------------


def test_positions_are_blue_white_and_red_whatever_the_shape() -> None:
    chart, scale = drawn(partial(draw_positions, values=[[-1.0, 0.0, 0.5]], title="learned", legend="")).axes
    (image,) = chart.get_images()
    colours = [tuple(round(255 * part) for part in image.cmap((value + 1) / 2)[:3]) for value in (-1.0, 0.0, 1.0)]
    assert colours == [(29, 78, 216), pytest.approx((255, 255, 255), abs=1), (185, 28, 28)]
    assert image.get_clim() == (-1.0, 1.0)
    assert scale.get_ylim() == (-1.0, 1.0)


def matrix(rows: int, columns: int) -> Sequence[Sequence[float]]:
    draw = random.Random(0)
    return [[draw.uniform(-2, 2) for _ in range(columns)] for _ in range(rows)]


@pytest.mark.parametrize("shape", [(1, 1), (256, 256), (256, 4096), (3, 2), (256, 1), (1, 4096)])
def test_position_matrices_of_any_shape_are_drawn_whole(shape: tuple[int, int]) -> None:
    draw = partial(draw_positions, values=matrix(*shape), title="learned positions", legend="rows")
    assert max(opened(draw).size) < 1300
    chart = drawn(draw).axes[0]
    assert (chart.get_xlim(), chart.get_ylim()) == ((-0.5, shape[1] - 0.5), (shape[0] - 0.5, -0.5))
    assert all(math.isclose(place, round(place)) for place in [*chart.get_xticks(), *chart.get_yticks()])
