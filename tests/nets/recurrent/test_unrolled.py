"""The network step by step: equal to the kernels, and the gradient of a repeated weight is the sum over its uses."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest
import torch
from torch import Tensor

from seqgen.config import Connections, RecurrentCell, RecurrentConfig
from seqgen.nets.recurrent.cells import CellWeights
from seqgen.nets.recurrent.network import RecurrentNetwork
from seqgen.nets.recurrent.unrolled import UnrolledLayer, step, step_norms, unroll

VOCAB, BATCH, TIME, HIDDEN = 6, 3, 7, 5

every_cell = pytest.mark.parametrize("cell", get_args(RecurrentCell))


def network_of(cell: RecurrentCell, num_layers: int = 2) -> RecurrentNetwork:
    """In double precision, with weights so wide that every gate moves."""
    config = RecurrentConfig(cell=cell, embed_size=4, hidden_size=HIDDEN, num_layers=num_layers)
    network = RecurrentNetwork(config, VOCAB).double()
    generator = torch.Generator().manual_seed(5)
    for parameter in network.parameters():
        parameter.data = 0.6 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return network.eval()


def some_tokens() -> Tensor:
    return torch.randint(VOCAB, (BATCH, TIME), generator=torch.Generator().manual_seed(1))


def some_state(network: RecurrentNetwork) -> Tensor:
    like = network.initial_state(BATCH)
    return torch.rand(like.shape, generator=torch.Generator().manual_seed(2), dtype=like.dtype) - 0.5


@every_cell
@pytest.mark.parametrize("num_layers", [1, 3])
def test_it_computes_what_the_network_computes(cell: RecurrentCell, num_layers: int) -> None:
    network = network_of(cell, num_layers)
    state, tokens = some_state(network), some_tokens()
    logits, layers = unroll(network, tokens, state)
    expected, after = network(tokens, state)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.stack([layer.states[-1] for layer in layers]), after, rtol=0, atol=1e-12)
    assert [len(layer.states) for layer in layers] == [TIME + 1] * num_layers


@pytest.mark.parametrize("connections", ["none", "residual", "dense"])
@pytest.mark.parametrize(("layer_norm", "tied"), [(True, False), (False, True), (True, True)])
def test_it_follows_the_ways_around_the_layers(connections: Connections, layer_norm: bool, tied: bool) -> None:
    config = RecurrentConfig(
        embed_size=4, hidden_size=HIDDEN, num_layers=3, connections=connections, layer_norm=layer_norm, tied=tied
    )
    network, tokens = RecurrentNetwork(config, VOCAB).double().eval(), some_tokens()
    network.initialise()
    expected, _ = network(tokens, network.initial_state(len(tokens)))
    torch.testing.assert_close(unroll(network, tokens, network.initial_state(len(tokens)))[0], expected)


@every_cell
def test_dropout_is_left_out(cell: RecurrentCell) -> None:
    network = network_of(cell)
    state, tokens = some_state(network), some_tokens()
    still, _ = unroll(network, tokens, state)
    assert torch.equal(unroll(network.train(), tokens, state)[0], still)


@every_cell
def test_a_repeated_weight_has_the_sum_of_the_gradients_of_its_uses(
    cell: RecurrentCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, plain = network_of(cell, num_layers=1), CellWeights.step
    state, tokens = some_state(network), some_tokens()
    parts = 2 if cell == "gru-before" else 1  # its gates and its candidate have a matrix each
    uses: list[Tensor] = []

    def own_weight(self: CellWeights, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        own = [matrix.clone() for matrix in self.weights[:parts] if isinstance(matrix, Tensor)]
        uses.extend(own)
        return plain(dataclasses.replace(self, weights=(*own, *self.weights[parts:])), x, state)

    monkeypatch.setattr(CellWeights, "step", own_weight)
    logits, _ = unroll(network, tokens, state)
    of_each_use = torch.autograd.grad(logits[:, -1].logsumexp(-1).sum(), uses)
    network(tokens, state)[0][:, -1].logsumexp(-1).sum().backward()
    (layer,) = network.layers
    assert len(of_each_use) == TIME * parts
    assert all(use.abs().max() > 0 for use in of_each_use)
    total = torch.cat([torch.stack(of_each_use[part::parts]).sum(0) for part in range(parts)], dim=1)
    torch.testing.assert_close(total.t(), layer.get_parameter("weight_hh_l0").grad, rtol=0, atol=1e-12)


@every_cell
def test_the_norm_of_a_step_is_the_largest_singular_value_of_its_jacobian(cell: RecurrentCell) -> None:
    network = network_of(cell)
    _, layers = unroll(network, some_tokens(), some_state(network))
    for layer in layers:
        found = step_norms(layer, 200, torch.Generator().manual_seed(0))
        for i in range(BATCH):
            assert found[i].item() == pytest.approx(exact_norm(layer, i), rel=1e-4)


def exact_norm(layer: UnrolledLayer, i: int) -> float:
    """By the Jacobian of sequence i and its singular values."""
    x, before = layer.inputs[-1, i : i + 1].detach(), layer.states[-2][:, i : i + 1].detach()
    jacobian: Tensor = torch.autograd.functional.jacobian(lambda s: step(layer.weights, x, s), before)  # type: ignore[no-untyped-call]
    return float(torch.linalg.matrix_norm(jacobian.view(before.numel(), before.numel()), ord=2))
