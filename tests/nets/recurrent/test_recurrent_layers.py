from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
import torch
from tolerances import assert_near
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from seqgen.config import PeepholeKind, RecurrentCell
from seqgen.nets.recurrent.cells import STATE_PARTS, CellWeights
from seqgen.nets.recurrent.layers import initialise, recurrent_layer
from seqgen.nets.recurrent.sweeps import Walk

INPUT, HIDDEN = 3, 4

KINDS: list[tuple[RecurrentCell, PeepholeKind]] = [
    ("peephole", "diagonal"),
    ("peephole", "full"),
    ("gru-before", "diagonal"),
]
every_kind = pytest.mark.parametrize(("cell", "peephole"), KINDS)


def layer_of(cell: RecurrentCell, peephole: PeepholeKind = "diagonal", *, bidirectional: bool = False) -> nn.Module:
    """A layer with random weights everywhere, in double precision."""
    layer = recurrent_layer(cell, INPUT, HIDDEN, bidirectional=bidirectional, peephole=peephole).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return layer


def values_of(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def stepped(cell: RecurrentCell, layer: nn.Module, values: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Outputs `(time, batch, hidden)` and the state after them, by single steps through autograd."""
    weights, now, outputs = CellWeights.of(cell, layer), tuple(state), []
    for value in values:
        now = weights.step(weights.inputs(value), now)
        outputs.append(now[0])
    return torch.stack(outputs), *now


def test_a_walk_visits_the_rows_of_each_step_in_order() -> None:
    rows = torch.arange(6)
    assert [part.tolist() for (part,) in Walk([3, 2, 1]).steps(rows)] == [[0, 1, 2], [3, 4], [5]]
    assert [part.tolist() for (part,) in Walk([3, 2, 1], backwards=True).steps(rows)] == [[5], [3, 4], [0, 1, 2]]


@every_kind
def test_a_sweep_is_single_steps_and_so_are_its_gradients(cell: RecurrentCell, peephole: PeepholeKind) -> None:
    layer, values = layer_of(cell, peephole), values_of(7, 5, INPUT).requires_grad_()
    state = [part.requires_grad_() for part in values_of(STATE_PARTS[cell], 5, HIDDEN).unbind()]
    given = tuple(part[None] for part in state)
    outputs, ends = layer(values, given if len(given) > 1 else given[0])
    swept = (outputs, *(end[0] for end in (ends if isinstance(ends, tuple) else (ends,))))
    single = stepped(cell, layer, values, state)
    leaves = [values, *state, *layer.parameters()]
    weights = [values_of(*part.shape) for part in single]
    gradients = [
        torch.autograd.grad(sum((part * w).sum() for part, w in zip(parts, weights, strict=True)), leaves)
        for parts in (swept, single)
    ]
    for ours, theirs in zip((*swept, *gradients[0]), (*single, *gradients[1]), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@every_kind
@pytest.mark.parametrize("bidirectional", [False, True])
def test_packed_sequences_are_read_as_if_each_were_alone(
    cell: RecurrentCell, peephole: PeepholeKind, bidirectional: bool
) -> None:
    layer, values, lengths = layer_of(cell, peephole, bidirectional=bidirectional), values_of(6, 3, INPUT), [4, 6, 1]
    packed, ends = layer(pack_padded_sequence(values, torch.tensor(lengths), enforce_sorted=False))
    outputs, _ = pad_packed_sequence(cast("PackedSequence", packed))
    for row, length in enumerate(lengths):
        alone, end = layer(values[:length, row : row + 1])
        torch.testing.assert_close(outputs[:length, row], alone[:, 0], rtol=0, atol=1e-12)
        for part, same in zip(ends if len(ends) == 2 else (ends,), end if len(end) == 2 else (end,), strict=True):
            torch.testing.assert_close(
                part.reshape(-1, 3, HIDDEN)[:, row], same.reshape(-1, HIDDEN), rtol=0, atol=1e-12
            )


@every_kind
@pytest.mark.parametrize("bidirectional", [False, True])
def test_packed_sequences_begin_with_their_own_states_whatever_their_order(
    cell: RecurrentCell, peephole: PeepholeKind, bidirectional: bool
) -> None:
    layer, values, lengths = layer_of(cell, peephole, bidirectional=bidirectional), values_of(6, 3, INPUT), [4, 6, 1]
    given = tuple(values_of(STATE_PARTS[cell], 1 + bidirectional, 3, HIDDEN).unbind())
    packed, ends = layer(
        pack_padded_sequence(values, torch.tensor(lengths), enforce_sorted=False), given if len(given) > 1 else given[0]
    )
    outputs, _ = pad_packed_sequence(cast("PackedSequence", packed))
    ends = ends if isinstance(ends, tuple) else (ends,)
    for row, length in enumerate(lengths):
        own = tuple(part[:, row : row + 1] for part in given)
        alone, end = layer(values[:length, row : row + 1], own if len(own) > 1 else own[0])
        assert_near(outputs[:length, row], alone[:, 0])
        for part, same in zip(ends, end if isinstance(end, tuple) else (end,), strict=True):
            assert_near(part[:, row], same[:, 0])


def test_packed_sequences_with_states_are_read_as_pytorch_reads_them() -> None:
    """A peephole LSTM whose peepholes are zero is an LSTM."""
    ours: Any = layer_of("peephole", "diagonal")
    theirs: Any = torch.nn.LSTM(INPUT, HIDDEN).double()
    ours.get_parameter("weight_ch_l0").data.zero_()
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0"):
        theirs.get_parameter(name).data = ours.get_parameter(name).data
    theirs.bias_hh_l0.data.zero_()
    packed = pack_padded_sequence(values_of(6, 3, INPUT), torch.tensor([4, 6, 1]), enforce_sorted=False)
    state = tuple(values_of(2, 1, 3, HIDDEN).unbind())
    (outputs, ends), (expected, expected_ends) = ours(packed, state), theirs(packed, state)
    assert_near(cast("PackedSequence", outputs).data, expected.data)
    for end, same in zip(ends, expected_ends, strict=True):
        assert_near(end, same)


@every_kind
def test_the_second_direction_reads_from_the_end(cell: RecurrentCell, peephole: PeepholeKind) -> None:
    both, values = layer_of(cell, peephole, bidirectional=True), values_of(5, 2, INPUT)
    one = layer_of(cell, peephole)
    for name, parameter in one.named_parameters():
        parameter.data = both.get_parameter(f"{name}_reverse").data
    torch.testing.assert_close(both(values)[0][:, :, HIDDEN:], one(values.flip(0))[0].flip(0), rtol=0, atol=1e-12)


@every_kind
def test_bf16_stays_near_fp32(cell: RecurrentCell, peephole: PeepholeKind) -> None:
    layer, values = layer_of(cell, peephole).float(), values_of(6, 3, INPUT).float()
    exact, _ = layer(values)
    with torch.autocast("cpu", torch.bfloat16):
        rough, _ = layer(values)
    rough.sum().backward()
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), exact, rtol=0, atol=0.05)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


def test_without_peepholes_it_is_the_lstm() -> None:
    lstm, ours, values = layer_of("lstm"), layer_of("peephole"), values_of(6, 3, INPUT)
    for name in ("weight_ih_l0", "weight_hh_l0"):
        ours.get_parameter(name).data = lstm.get_parameter(name).data
    ours.get_parameter("bias_ih_l0").data = (lstm.get_parameter("bias_ih_l0") + lstm.get_parameter("bias_hh_l0")).data
    nn.init.zeros_(ours.get_parameter("weight_ch_l0"))
    torch.testing.assert_close(ours(values)[0], lstm(values)[0], rtol=0, atol=1e-12)


def test_full_peepholes_with_diagonal_matrices_are_diagonal_ones() -> None:
    diagonal, full, values = layer_of("peephole"), layer_of("peephole", "full"), values_of(6, 3, INPUT)
    for name, parameter in full.named_parameters():
        seen = diagonal.get_parameter(name).data
        parameter.data = torch.diag_embed(seen) if name == "weight_ch_l0" else seen
    torch.testing.assert_close(full(values)[0], diagonal(values)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("init_scale", [0.5, 2.0])
def test_recurrent_matrices_begin_as_large_as_asked(init_scale: float) -> None:
    layer = recurrent_layer("rnn", INPUT, HIDDEN)
    initialise(layer, 1.0, init_scale)
    values = torch.linalg.svdvals(layer.get_parameter("weight_hh_l0").detach())
    torch.testing.assert_close(values, torch.full((HIDDEN,), init_scale))
