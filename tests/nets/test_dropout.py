"""Dropout: the right share of zeros, the mean kept, nothing outside training."""

import pytest
import torch

from seqgen.nets.dropout import Dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_of_zeros_is_p_and_the_mean_is_kept(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    dropped = Dropout(p)(torch.ones(101, 1009, dtype=dtype))  # an odd number of units: the last draw is cut
    assert dropped.dtype == dtype
    assert (dropped == 0).double().mean().item() == pytest.approx(p, abs=0.005)
    assert dropped.double().mean().item() == pytest.approx(1.0, abs=0.03)
    kept = dropped[dropped != 0].double()
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)), rtol=1e-2, atol=0)


def test_neighbouring_units_are_independent() -> None:
    torch.manual_seed(1)
    kept = (Dropout(0.5)(torch.ones(4, 100_000)) > 0).double().flatten() - 0.5
    for lag in range(1, 9):
        assert abs((kept[lag:] * kept[:-lag]).mean().item()) < 0.25 * 0.01


def test_the_gradient_passes_where_the_value_did() -> None:
    values = torch.randn(64, 32, requires_grad=True)
    dropped = Dropout(0.3)(values)
    dropped.sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad * values, dropped)


def test_masks_follow_the_seed_and_differ_from_call_to_call() -> None:
    layer, values = Dropout(0.5), torch.ones(1000)
    torch.manual_seed(3)
    first, second = layer(values), layer(values)
    torch.manual_seed(3)
    assert torch.equal(layer(values), first)
    assert not torch.equal(first, second)


def test_outside_training_and_at_zero_nothing_happens() -> None:
    values = torch.randn(5, 7)
    assert Dropout(0.5).eval()(values) is values
    assert Dropout(0.0)(values) is values
    assert Dropout(0.5)(torch.empty(0, 3)).shape == (0, 3)
