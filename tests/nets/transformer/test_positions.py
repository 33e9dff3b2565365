from __future__ import annotations

import math

import pytest
import torch

from seqgen.nets.transformer.positions import Positions, rotate, rotation, sinusoids


def test_sinusoids_on_paper() -> None:
    # Section 3.5 with a size of 4: sin p, cos p, sin(p / 100), cos(p / 100).
    expected = [[0.0, 1.0, 0.0, 1.0], [math.sin(3), math.cos(3), math.sin(0.03), math.cos(0.03)]]
    assert torch.allclose(sinusoids(torch.tensor([0, 3]), 4), torch.tensor(expected))


def test_a_quarter_turn_on_paper() -> None:
    quarter = (torch.tensor([[0.0]]), torch.tensor([[1.0]]))
    assert rotate(torch.tensor([[3.0, 5.0]]), quarter).tolist() == [[-5.0, 3.0]]


def test_rotary_products_depend_on_the_distance_alone() -> None:
    q, k = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).double()
    places = torch.arange(40).double()
    turned_q, turned_k = (rotate(v.expand(40, 8), rotation(places, 8)) for v in (q, k))
    products = turned_q @ turned_k.t()
    for distance in (0, 1, 7):
        assert torch.allclose(products.diagonal(-distance), products[distance, 0].expand(40 - distance))
    assert products[0, 0].item() == pytest.approx(float(q @ k))
    assert not torch.allclose(products[:, 0], products[0, 0].expand(40))


def test_learned_positions_beyond_the_table_share_its_last_vector() -> None:
    positions = Positions("learned", 4, 2, 3)
    assert positions.table is not None
    torch.nn.init.normal_(positions.table)
    added = positions.added(torch.tensor([0, 2, 9]))
    assert added is not None
    assert torch.equal(added, positions.table[[0, 2, 2]])


@pytest.mark.parametrize(("kind", "adds", "turns"), [("none", False, False), ("rotary", False, True)])
def test_what_a_kind_does(kind: str, adds: bool, turns: bool) -> None:
    positions = Positions(kind, 4, 2, 3)  # type: ignore[arg-type]
    places = torch.arange(2)
    assert (positions.added(places) is not None, positions.rotation(places) is not None) == (adds, turns)
    assert not list(positions.parameters())
