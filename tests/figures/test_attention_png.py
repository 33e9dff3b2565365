from __future__ import annotations

import io
import random

import pytest
import torch
from PIL import Image, ImageChops

from seqgen.figures.attention_png import LARGEST_SIDE, attention_png
from seqgen.figures.lettering import Lettering


def picture(weights: list[list[float]], source: list[str], target: list[str]) -> Image.Image:
    image = Image.open(io.BytesIO(attention_png(weights, source, target)))
    assert image.format == "PNG"
    return image.convert("L")


def random_weights(target: int, source: int) -> list[list[float]]:
    rng = random.Random(0)
    return [[rng.random() for _ in range(source)] for _ in range(target)]


def words(count: int) -> list[str]:
    return [f"▁w{n}" for n in range(count)]


def test_the_darkest_cell_stands_where_the_largest_weight_is() -> None:
    weights = [[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.0, 0.95, 0.05], [0.2, 0.4, 0.4]]
    image = picture(weights, ["a", "b", "c"], ["d", "e", "f", "g"])
    right, bottom = lower_right(image)
    shades = [
        [image.getpixel((right - 44 * (3 - j) + 22, bottom - 44 * (4 - i) + 22)) for j in range(3)] for i in range(4)
    ]
    order = sorted(range(12), key=lambda n: weights[n // 3][n % 3])
    values = [shades[n // 3][n % 3] for n in order]
    assert values == sorted(values, reverse=True)  # type: ignore[type-var]
    assert shades[2][0] == 255
    assert min(value for row in shades for value in row) == shades[2][1]  # type: ignore[type-var]


def lower_right(image: Image.Image) -> tuple[int, int]:
    """The corner of the frame around the cells: the end of the last long line that goes across."""
    for y in range(image.height - 1, -1, -1):
        row = [image.getpixel((x, y)) for x in range(image.width)]
        long = [x for x in range(40, image.width) if len({*row[x - 40 : x]}) == 1 and row[x - 1] != 255]
        if long:
            return long[-1] - 1, y
    raise AssertionError("no frame")


def test_a_tensor_is_as_good_as_lists() -> None:
    weights = [[0.25, 0.75], [1.0, 0.0]]
    assert attention_png(torch.tensor(weights), ["a", "b"], ["c", "d"]) == attention_png(
        weights, ["a", "b"], ["c", "d"]
    )


@pytest.mark.parametrize(("target", "source"), [(1, 1), (1, 100), (100, 1), (100, 100), (300, 20)])
def test_any_size_is_drawn(target: int, source: int) -> None:
    image = picture(random_weights(target, source), words(source), words(target))
    assert max(image.size) <= LARGEST_SIDE
    assert image.width >= 200


def test_a_matrix_with_more_cells_than_pixels_is_shrunk() -> None:
    image = picture([[1.0]] * 5000, ["a"], words(5000))
    assert 3000 < image.height <= LARGEST_SIDE


def test_the_last_column_ends_before_the_margin() -> None:
    image = picture(random_weights(2, 30), ["a"] * 29 + ["W" * 20 + ">"], ["b", "c"])
    margin = image.crop((image.width - 24, 0, *image.size))
    assert margin.convert("L").getextrema() == (255, 255)


@pytest.mark.parametrize("text", ["</s>", "f", "W", "_jf", "é", "Жf"])
@pytest.mark.parametrize("size", [9, 12, 15, 16, 20])
def test_no_ink_is_cut_off_at_the_end_of_a_word(text: str, size: int) -> None:
    lettering = Lettering(size, text)
    word, longer = lettering.word(text), lettering.word(text + "   ")
    assert longer.crop((word.width, 0, *longer.size)).getbbox() is None


def test_labels_do_not_make_it_too_large() -> None:
    image = picture(random_weights(90, 90), ["中" * 99] * 90, ["W" * 99] * 90)
    assert max(image.size) <= LARGEST_SIDE


def test_cells_are_of_one_size() -> None:
    sizes = [picture(random_weights(n, 9), ["a"] * 9, ["b"] * n).size for n in (2, 3)]
    assert sizes[1][0] == sizes[0][0]
    assert sizes[1][1] == sizes[0][1] + 44


@pytest.mark.parametrize(
    "token", ["👩\u200d🚀", "中文", "שלום", "Жук", "\x00\x1b\udcff\uffff", "", " ", "x" * 999, "[b]", "ß"]
)
def test_any_token_is_drawn(token: str) -> None:
    picture([[0.5, 0.5]], [token, token], [token])


def test_nothing_but_zeros_is_white_and_nothing_at_all_is_a_caption() -> None:
    picture([[0.0, 0.0]], ["a", "b"], ["c"])
    picture([], [], [])
    picture([], ["a"], [])


def test_weights_that_do_not_fit_the_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weights must be \(1, 2\)"):
        attention_png([[1.0]], ["a", "b"], ["c"])
    with pytest.raises(ValueError, match=r"weights must be \(2, 1\)"):
        attention_png([[1.0]], ["a"], ["c", "d"])


# Lettering without the fonts of the computer -------------------------------------------------------------------


def test_accents_are_put_together_where_the_font_lacks_them() -> None:
    lettering = Lettering(40, "ouaeöüäéñ", fonts=())
    for accented, plain in zip("öüäéñ", "ouaen", strict=True):
        with_accent, without = lettering.word(accented), lettering.word(plain)
        assert with_accent.size == without.size
        added = ImageChops.difference(with_accent, without).getbbox()
        letter = without.getbbox()
        assert added is not None
        assert letter is not None
        assert added[3] <= letter[1], "it stands above the letter"


def test_what_no_font_has_is_drawn_as_its_sign_for_that() -> None:
    lettering = Lettering(20, "中ßss", fonts=("no such font.ttf",))
    assert lettering.word("中").getbbox() is not None
    assert lettering.word("ß").tobytes() == lettering.word("ss").tobytes()
