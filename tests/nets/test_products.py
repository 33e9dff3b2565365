"""Packed matrices: the plain product, for any number of rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from seqgen.nets import products
from seqgen.nets.products import Matrix, ReorderedLinear, ReorderedMatrix, add_product, copied, product, reordered

needs_packing = pytest.mark.skipif(not products.can_reorder(torch.zeros(1, 1)), reason="a build without oneDNN")


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.fixture(params=["packed", "copied"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "copied":
        monkeypatch.setattr(products, "can_reorder", lambda matrix: False)


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize("rows", [0, 1, 2, 5, 33])
def test_products_are_those_of_the_matrix(rows: int) -> None:
    values, matrix, bias, other = random(rows, 48), random(48, 70), random(70), random(rows, 70)
    packed = reordered(matrix)
    torch.testing.assert_close(product(values, packed), values @ matrix)
    torch.testing.assert_close(add_product(bias, values, packed), values @ matrix + bias)
    torch.testing.assert_close(add_product(bias, values, packed, 2 * bias), values @ matrix + 3 * bias)
    torch.testing.assert_close(add_product(other, values, packed), values @ matrix + other)
    torch.testing.assert_close(add_product(other, values, packed, bias), values @ matrix + other + bias)


@pytest.mark.usefixtures("kind")
def test_nothing_needs_to_be_contiguous_and_nothing_given_is_changed() -> None:
    values, matrix, other = random(48, 5).t(), random(70, 48).t(), random(5, 140)[:, ::2]
    before = [each.clone() for each in (values, matrix, other)]
    torch.testing.assert_close(add_product(other, values, reordered(matrix)), values @ matrix + other)
    assert all(torch.equal(one, old) for one, old in zip((values, matrix, other), before, strict=True))


@pytest.mark.parametrize("arrange", [reordered, copied])
def test_a_later_change_of_the_matrix_does_not_show(arrange: Callable[[Matrix], Matrix]) -> None:
    values, matrix = random(3, 8), random(8, 4)
    arranged, expected = arrange(matrix), values @ matrix
    matrix.zero_()
    torch.testing.assert_close(product(values, arranged), expected)
    torch.testing.assert_close(product(values, arrange(arranged)), expected)


@pytest.mark.usefixtures("kind")
def test_linear_layers_side_by_side() -> None:
    one, two, values = nn.Linear(48, 30), nn.Linear(48, 20), random(5, 48)
    with torch.inference_mode():
        expected, packed = torch.cat((one(values), two(values)), dim=1), ReorderedLinear(one, two)
        torch.testing.assert_close(packed(values), expected)
        torch.testing.assert_close(packed(values, relu=True), expected.relu())
        torch.testing.assert_close(packed.added(expected, values), 2 * expected)


def test_products_have_the_precision_of_the_weights() -> None:
    layer, values = nn.Linear(48, 30).double(), random(5, 48).double()
    with torch.inference_mode():
        torch.testing.assert_close(ReorderedLinear(layer)(values), layer(values), rtol=0, atol=1e-12)


@needs_packing
def test_a_row_does_not_depend_on_its_neighbours() -> None:
    matrix, values = ReorderedMatrix(random(512, 300)), random(320, 512)
    whole = matrix.product(values)
    for rows in (1, 2, 5, 64, 100):
        assert torch.equal(matrix.product(values[:rows]), whole[:rows])


@needs_packing
def test_in_bf16_neighbours_change_a_row_by_its_last_rounding_at_most() -> None:
    """Processors with units for bf16 sum in another order for some numbers of rows, in fp32, and then round."""
    matrix, values = ReorderedMatrix(random(512, 300).bfloat16()), random(320, 512)
    whole = matrix.product(values)
    for rows in range(1, 321):
        torch.testing.assert_close(matrix.product(values[:rows]), whole[:rows], rtol=2.0**-7, atol=1e-3)


@pytest.mark.usefixtures("kind")
def test_products_in_bf16_round_the_values_and_themselves_only() -> None:
    values, matrix, other = random(5, 48), random(48, 70), 1000 * random(5, 70)
    packed = reordered(matrix, torch.bfloat16)
    expected = (values.bfloat16().double() @ matrix.bfloat16().double()).bfloat16().float()
    result = product(values, packed)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, expected, rtol=2**-7, atol=2**-7)
    torch.testing.assert_close(add_product(other, values, packed) - other, result, rtol=0, atol=1e-3)


def test_what_cannot_be_packed_is_copied() -> None:
    assert isinstance(reordered(torch.zeros(4, 3, dtype=torch.float64)), Tensor)
