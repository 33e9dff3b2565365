"""The gradient through time, against finite differences and on paper; what is called vanishing and exploding."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seqgen.config import RecurrentCell, RecurrentConfig
from seqgen.data.corpus import TokenSpan
from seqgen.data.tokenizers import CharTokenizer
from seqgen.errors import DataError, NonFiniteError
from seqgen.nets.recurrent.cells import STATE_PARTS
from seqgen.nets.recurrent.network import RecurrentNetwork
from seqgen.nets.recurrent.unrolled import UnrolledLayer
from seqgen.tasks.gradient_flow import (
    GATE_NAMES,
    LEAST,
    MOST,
    Trend,
    gradients_of,
    trend_of,
    typical,
    whole_norms,
)
from seqgen.tasks.language.gradients import gradient_flow, last_loss
from seqgen.tasks.language.model import new_network

VOCAB, BATCH, TIME, HIDDEN = 6, 2, 6, 4

every_cell = pytest.mark.parametrize("cell", get_args(RecurrentCell))


def double_network(cell: RecurrentCell) -> RecurrentNetwork:
    config = RecurrentConfig(cell=cell, embed_size=3, hidden_size=HIDDEN, num_layers=2)
    network = RecurrentNetwork(config, VOCAB).double()
    generator = torch.Generator().manual_seed(5)
    for parameter in network.parameters():
        parameter.data = 0.7 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return network.eval().requires_grad_(False)


def unroll_back(
    network: RecurrentNetwork, tokens: Tensor, target: Tensor, state: Tensor
) -> list[tuple[UnrolledLayer, Tensor]]:
    loss, layers = last_loss(network, tokens, target, state)
    return list(zip(layers, gradients_of(loss, layers), strict=True))


def span_of(folder: Path, length: int, vocab: int = VOCAB) -> TokenSpan:
    path = folder / "tokens.bin"
    np.random.default_rng(0).integers(vocab, size=length).astype(np.uint8).tofile(path)
    return TokenSpan(path, "uint8", 0, length)


# Against finite differences -----------------------------------------------------------------------------------


def nudged_loss(
    network: RecurrentNetwork, tokens: Tensor, target: Tensor, place: tuple[int, int], by: Tensor
) -> Tensor:
    """The last loss of each sequence, by PyTorch's kernels, when one state of one layer is moved by a little.

    Args:
        network (RecurrentNetwork): with two layers.
        tokens (Tensor): `(batch, time)`.
        target (Tensor): `(batch,)`.
        place (tuple[int, int]): which layer, and after how many tokens.
        by (Tensor): what is added there, `(parts, batch, hidden)`.
    """
    values = network.embedding(tokens.t())
    for i, layer in enumerate(network.layers):
        state = torch.zeros_like(by)[:, None]
        if i != place[0]:
            values, _ = layer(values, kernel_state(state))
            continue
        before, after = layer(values[: place[1]], kernel_state(state))
        parts = torch.cat(after) if isinstance(after, tuple) else after
        moved = parts + by
        later, _ = layer(values[place[1] :], kernel_state(moved[:, None])) if place[1] < TIME else (before[:0], None)
        values = torch.cat((before[:-1], moved[:1], later))
    return functional.cross_entropy(network.logits(values[-1]), target, reduction="none")


def kernel_state(state: Tensor) -> Tensor | tuple[Tensor, ...]:
    """From `(parts, 1, batch, hidden)` to what nn.LSTM, nn.GRU and nn.RNN take."""
    return tuple(state.unbind()) if len(state) == 2 else state[0]


@every_cell
@pytest.mark.parametrize("layer", [0, 1])
def test_every_gradient_is_that_of_finite_differences(cell: RecurrentCell, layer: int) -> None:
    network = double_network(cell)
    draw = torch.Generator().manual_seed(3)
    tokens, target = torch.randint(VOCAB, (BATCH, TIME), generator=draw), torch.tensor([1, 4])
    state = network.initial_state(BATCH)
    _, gradients = unroll_back(network, tokens, target, state)[layer]
    assert gradients.shape == (TIME, *state.shape[1:])
    small, differences = 1e-5, torch.zeros_like(gradients)
    for distance in range(TIME):
        for part in range(state.shape[1]):
            for unit in range(HIDDEN):
                by = torch.zeros_like(state[0])
                by[part, :, unit] = small  # of all sequences at once: they do not meet
                place = (layer, TIME - distance)
                up, down = (nudged_loss(network, tokens, target, place, sign * by) for sign in (1, -1))
                differences[distance, part, :, unit] = (up - down) / (2 * small)
    torch.testing.assert_close(gradients, differences, rtol=0, atol=1e-8)


@pytest.mark.parametrize("weight", [0.5, 1.25])
def test_an_elman_network_on_paper(weight: float) -> None:
    # One unit that stays at zero: h' = tanh(w h) has slope w there, so d steps back the gradient is w ** d of the last.
    network = RecurrentNetwork(RecurrentConfig(cell="rnn", embed_size=1, hidden_size=1, num_layers=1), 2)
    for parameter in network.parameters():
        parameter.data.zero_()
    network.get_parameter("layers.0.weight_hh_l0").data.fill_(weight)
    network.output_matrix.data = torch.tensor([[2.0], [0.0]])
    ((_, gradients),) = unroll_back(
        network, torch.zeros(1, 30, dtype=torch.long), torch.ones(1, dtype=torch.long), network.initial_state(1)
    )
    norms = typical(whole_norms(gradients))
    # d J / d logits = (1/2, -1/2), times the weights 2 and 0.
    assert norms == pytest.approx([weight**d for d in range(30)], rel=1e-5)
    assert trend_of(norms).rate == pytest.approx(math.log2(weight), abs=1e-6)


def test_norms_are_of_all_parts_and_averaged_by_their_logarithms() -> None:
    # Two parts, (3) and (4), make 5; the typical one of 1, 4 and 16 is 4.
    assert whole_norms(torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)).item() == pytest.approx(5)
    assert typical(torch.tensor([[1.0, 4.0, 16.0]])) == pytest.approx([4])


# Verdicts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (-1.0, "vanishing: half-life of 1.0 steps"),
        (-1 / 2.9, "vanishing: half-life of 2.9 steps"),
        (-1 / 3.1, "healthy: half-life of 3.1 steps"),
        (-1 / 2500, "healthy: half-life of 2,500 steps"),
        (0.0, "healthy: steady"),
        (1 / 21, "healthy: doubles every 21.0 steps"),
        (1 / 19, "exploding: doubles every 19.0 steps"),
    ],
)
def test_the_rule(rate: float, words: str) -> None:
    assert str(Trend(rate)) == words


def test_a_line_is_fitted_from_distance_one_on() -> None:
    assert trend_of([1e9, 8.0, 4.0, 2.0, 1.0]).rate == pytest.approx(-1)
    # Least squares through (1, 0), (2, 1), (3, 3): slope 3 / 2.
    assert trend_of([1.0, 1.0, 2.0, 8.0]).rate == pytest.approx(1.5)


def test_where_fp32_ends_the_line_ends() -> None:
    assert trend_of([1.0, 2.0**-60, 2.0**-120, LEAST, LEAST, LEAST]).rate == pytest.approx(-33)
    assert trend_of([1.0, *[LEAST] * 9]).rate == pytest.approx(-126)
    assert trend_of([1.0, 2.0**60, MOST, MOST]).rate == pytest.approx(67)


def test_what_is_lost_or_without_bounds_still_has_a_norm() -> None:
    gradients = torch.tensor([0.0, math.inf, math.nan, 1e-45]).view(1, 1, 4, 1)
    assert whole_norms(gradients).tolist() == [[LEAST, MOST, MOST, LEAST]]


def scaled(scale: float) -> RecurrentNetwork:
    """An untrained Elman network whose recurrent matrices are an orthogonal one times a number."""
    network = new_network(RecurrentConfig(cell="rnn", embed_size=8, hidden_size=32), CharTokenizer("abcde"), 0)
    assert isinstance(network, RecurrentNetwork)
    for i in range(len(network.layers)):
        network.get_parameter(f"layers.{i}.weight_hh_l0").data *= scale
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("scale", "verdict"), [(0.01, "vanishing"), (0.3, "vanishing"), (4.0, "exploding"), (12.0, "exploding")]
)
def test_recurrent_matrices_too_small_and_too_large_are_called_so(tmp_path: Path, scale: float, verdict: str) -> None:
    for layer in gradient_flow(scaled(scale), span_of(tmp_path, 500), 60):
        assert layer.trend.verdict == verdict
        assert layer.spectral_radii["state"] == pytest.approx(scale, rel=1e-4)
        values = [*layer.norms, *layer.mean_norms, *layer.h_norms, layer.step_norm]
        assert all(map(math.isfinite, values))


# Of a text ----------------------------------------------------------------------------------------------------


@every_cell
def test_every_layer_is_measured_at_every_distance(tmp_path: Path, cell: RecurrentCell) -> None:
    network = new_network(RecurrentConfig(cell=cell, embed_size=8, hidden_size=16), CharTokenizer("abcde"), 0).eval()
    assert isinstance(network, RecurrentNetwork)
    span = span_of(tmp_path, 300)
    layers = gradient_flow(network, span, 20)
    assert {len(values) for layer in layers for values in (layer.norms, layer.mean_norms, layer.h_norms)} == {21}
    lower, upper = layers
    assert [tuple(layer.spectral_radii) for layer in layers] == [GATE_NAMES[cell]] * 2
    # The loss reads h alone, and a mean of logarithms is at most the mean.
    assert upper.h_norms[0] == pytest.approx(upper.norms[0])
    for layer in layers:
        for h, norm, mean in zip(layer.h_norms, layer.norms, layer.mean_norms, strict=True):
            assert h <= norm * (1 + 1e-9)
            assert norm <= mean * (1 + 1e-9)
    assert (lower.h_norms == lower.norms) == (STATE_PARTS[cell] == 1)
    assert gradient_flow(network, span, 20) == layers


@every_cell
def test_a_network_that_overflows_has_no_gradient(tmp_path: Path, cell: RecurrentCell) -> None:
    network = double_network(cell)
    network.output_matrix.data.sign_().mul_(1.7e308)  # finite, but its products are not
    with pytest.raises(NonFiniteError, match="not numbers"):
        gradient_flow(network, span_of(tmp_path, 300), 10)


def test_the_text_must_hold_a_window(tmp_path: Path) -> None:
    network = scaled(1.0)
    assert len(gradient_flow(network, span_of(tmp_path, 22), 20)[0].norms) == 21
    with pytest.raises(DataError, match="the text has 21 tokens: 20 steps back need 22"):
        gradient_flow(network, span_of(tmp_path, 21), 20)
