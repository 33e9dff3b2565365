from __future__ import annotations

import math

import pytest
import torch
from tolerances import rounding
from torch import Tensor, nn

from seqgen.nets.recurrent.cells import (
    GATES,
    STATE_PARTS,
    gru_before_step,
    gru_step,
    lstm_step,
    peephole_step,
    rnn_step,
)

BATCH, INPUT, HIDDEN = 3, 4, 5
# The input's and the state's terms of each gate with two biases, and what the gates make of them.
ROUNDING = rounding(INPUT + HIDDEN + 2 + 4, scale=5.0)


def some(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def randomise(cell: nn.RNNCellBase) -> None:
    """Weights that are wide and biases that differ, so that no two places can be confused."""
    for index, parameter in enumerate(cell.parameters()):
        parameter.data = some(*parameter.shape, seed=100 + index)


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


# Against PyTorch ----------------------------------------------------------------------------------------------


@torch.inference_mode()
def test_the_elman_cell_is_pytorchs() -> None:
    cell = nn.RNNCell(INPUT, HIDDEN)
    randomise(cell)
    x, h = some(BATCH, INPUT, seed=1), some(BATCH, HIDDEN, seed=2)
    ours = rnn_step(x @ cell.weight_ih.t() + cell.bias_ih + cell.bias_hh, h, cell.weight_hh.t())
    torch.testing.assert_close(ours, cell(x, h), rtol=0, atol=ROUNDING)


@torch.inference_mode()
def test_the_lstm_cell_is_pytorchs() -> None:
    cell = nn.LSTMCell(INPUT, HIDDEN)
    randomise(cell)
    x, h, c = some(BATCH, INPUT, seed=1), some(BATCH, HIDDEN, seed=2), some(BATCH, HIDDEN, seed=3)
    ours = lstm_step(x @ cell.weight_ih.t() + cell.bias_ih + cell.bias_hh, h, c, cell.weight_hh.t())
    for our, their in zip(ours, cell(x, (h, c)), strict=True):
        torch.testing.assert_close(our, their, rtol=0, atol=ROUNDING)


@torch.inference_mode()
def test_the_gru_cell_is_pytorchs() -> None:
    cell = nn.GRUCell(INPUT, HIDDEN)
    randomise(cell)
    x, h = some(BATCH, INPUT, seed=1), some(BATCH, HIDDEN, seed=2)
    bias_hh = cell.bias_hh.clone()
    candidate_bias = bias_hh[2 * HIDDEN :].clone()
    bias_hh[2 * HIDDEN :] = 0.0
    ours = gru_step(x @ cell.weight_ih.t() + cell.bias_ih + bias_hh, h, cell.weight_hh.t(), candidate_bias)
    torch.testing.assert_close(ours, cell(x, h), rtol=0, atol=ROUNDING)


@torch.inference_mode()
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_step_changes_nothing_that_it_is_given(cell: str) -> None:
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[cell]
    given = [some(BATCH, gates * HIDDEN), some(BATCH, HIDDEN), some(BATCH, HIDDEN), some(HIDDEN, gates * HIDDEN)]
    before = [tensor.clone() for tensor in given]
    x, h, c, weight = given
    if cell == "lstm":
        lstm_step(x, h, c, weight)
    elif cell == "gru":
        gru_step(x, h, weight, c[0])
    else:
        rnn_step(x, h, weight)
    assert all(torch.equal(after, old) for after, old in zip(given, before, strict=True))


def test_the_tables_of_gates_and_parts_are_pytorchs_layout() -> None:
    assert GATES == {"rnn": 1, "lstm": 4, "gru": 3, "peephole": 4, "gru-before": 3}
    assert STATE_PARTS == {"rnn": 1, "lstm": 2, "gru": 1, "peephole": 2, "gru-before": 1}


# On paper: one unit, so that every matrix is a number ---------------------------------------------------------


@torch.inference_mode()
def test_the_elman_cell_on_paper() -> None:
    # tanh(0.3 + 0.5 * 0.4) = tanh(0.5) = 0.462117.
    new = rnn_step(torch.tensor([[0.3]]), torch.tensor([[0.5]]), torch.tensor([[0.4]]))
    assert new.item() == pytest.approx(0.462117, abs=1e-6)


@torch.inference_mode()
def test_the_lstm_cell_on_paper() -> None:
    # No input, no recurrence: i = f = o = sigmoid(0) = 1/2, g = tanh(0) = 0.
    # c' = 1/2 * 1 + 1/2 * 0 = 0.5; h' = 1/2 * tanh(0.5) = 0.231059.
    h, c = lstm_step(torch.zeros(1, 4), torch.tensor([[0.7]]), torch.tensor([[1.0]]), torch.zeros(1, 4))
    assert (h.item(), c.item()) == pytest.approx((0.231059, 0.5), abs=1e-6)


@torch.inference_mode()
def test_the_lstm_cell_in_plain_python() -> None:
    x, weight, h, c = [0.1, -0.2, 0.3, 0.4], [0.5, 0.6, -0.7, 0.8], 0.9, -1.1
    i, f, g, o = (a + h * w for a, w in zip(x, weight, strict=True))
    new_c = sigmoid(f) * c + sigmoid(i) * math.tanh(g)
    new_h = sigmoid(o) * math.tanh(new_c)
    ours = lstm_step(torch.tensor([x]), torch.tensor([[h]]), torch.tensor([[c]]), torch.tensor([weight]))
    assert (ours[0].item(), ours[1].item()) == pytest.approx((new_h, new_c), abs=1e-6)


@torch.inference_mode()
def test_the_gru_cell_on_paper() -> None:
    # Gates closed by nothing: r = z = 1/2. The candidate is tanh(0 + r * (0 + 1)) = tanh(0.5) = 0.462117.
    # h' = 1/2 * 0.462117 + 1/2 * 0.8 = 0.631059.
    new = gru_step(torch.zeros(1, 3), torch.tensor([[0.8]]), torch.zeros(1, 3), torch.tensor([1.0]))
    assert new.item() == pytest.approx(0.631059, abs=1e-6)


@torch.inference_mode()
def test_the_gru_keeps_its_state_when_z_is_one_and_takes_the_candidate_when_it_is_zero() -> None:
    # sigmoid(30) is 1 to 1e-13: z = 1 keeps 0.8. With z = 0 and r = 0 the candidate is tanh(0.5) = 0.462117.
    h, still = torch.tensor([[0.8]]), torch.zeros(1, 3)
    kept = gru_step(torch.tensor([[-30.0, 30.0, 0.5]]), h, still, torch.tensor([9.0]))
    taken = gru_step(torch.tensor([[-30.0, -30.0, 0.5]]), h, still, torch.tensor([9.0]))
    assert (kept.item(), taken.item()) == pytest.approx((0.8, 0.462117), abs=1e-6)


@torch.inference_mode()
def test_the_reset_gate_before_the_product_on_paper() -> None:
    # r = z = 1/2. The candidate is tanh(0.5 + (1/2 * 0.8) * 2) = tanh(1.3) = 0.861723; h' = (0.8 + 0.861723) / 2.
    x, zero, weight = torch.tensor([[0.0, 0.0, 0.5]]), torch.zeros(1, 2), torch.tensor([[2.0]])
    new = gru_before_step(x, torch.tensor([[0.8]]), zero, weight)
    assert new.item() == pytest.approx(0.830862, abs=1e-6)


@torch.inference_mode()
def test_the_peephole_cell_in_plain_python() -> None:
    x, weight, h, c = [0.1, -0.2, 0.3, 0.4], [0.5, 0.6, -0.7, 0.8], 0.9, -1.1
    see_i, see_f, see_o = 0.7, -0.4, 1.3
    i, f, g, o = (a + h * w for a, w in zip(x, weight, strict=True))
    new_c = sigmoid(f + see_f * c) * c + sigmoid(i + see_i * c) * math.tanh(g)
    new_h = sigmoid(o + see_o * new_c) * math.tanh(new_c)  # the output gate sees the new cell
    for shape in ((1,), (1, 1)):  # diagonal, full
        seen = (torch.full(shape, value) for value in (see_i, see_f, see_o))
        ours = peephole_step(torch.tensor([x]), torch.tensor([[h]]), torch.tensor([[c]]), torch.tensor([weight]), *seen)
        assert (ours[0].item(), ours[1].item()) == pytest.approx((new_h, new_c), abs=1e-6)
