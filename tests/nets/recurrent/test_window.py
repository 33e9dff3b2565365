from __future__ import annotations

import math

import pytest
import torch
from tolerances import assert_near
from torch import Tensor
from torch.nn import functional

from seqgen.config import Connections, RecurrentConfig
from seqgen.nets.recurrent.window import WindowNetwork
from seqgen.nets.stepping import window
from seqgen.nets.stepping.window import WindowStep

VOCAB, WINDOW = 7, 4


def network_of(
    num_layers: int = 2,
    *,
    size: int = WINDOW,
    connections: Connections = "none",
    layer_norm: bool = False,
    tied: bool = False,
) -> WindowNetwork:
    """A network with random weights everywhere, in fp64."""
    config = RecurrentConfig(
        cell="window",
        window=size,
        embed_size=3,
        hidden_size=5,
        num_layers=num_layers,
        connections=connections,
        layer_norm=layer_norm,
        tied=tied,
        dropout=0.0,
    )
    network = WindowNetwork(config, VOCAB)
    generator = torch.Generator().manual_seed(num_layers)
    for parameter in network.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator).double()
    return network.eval()


def some_tokens(batch: int, time: int) -> Tensor:
    return torch.randint(VOCAB, (batch, time), generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def run(network: WindowNetwork, tokens: Tensor) -> Tensor:
    return network(tokens, network.initial_state(len(tokens)))[0]  # type: ignore[no-any-return]


def test_it_is_a_function_of_the_vectors_side_by_side() -> None:
    network, tokens = network_of(1), some_tokens(1, 6)
    side_by_side = network.embedding.weight[tokens[0, 2:6]].flatten()  # oldest first
    weight = network.first.weight.permute(0, 2, 1).flatten(1)  # (hidden, window * embed)
    assert network.first.bias is not None
    hidden = functional.gelu(weight @ side_by_side + network.first.bias)
    expected = network.output_matrix @ hidden + network.output.bias
    assert_near(run(network, tokens)[0, -1], expected)


@pytest.mark.parametrize("size", [1, 2, WINDOW])
def test_a_token_acts_for_as_long_as_the_window_is(size: int) -> None:
    network, tokens = network_of(size=size), some_tokens(1, 12)
    changed = tokens.clone()
    changed[0, 5] = (changed[0, 5] + 1) % VOCAB
    moved = (run(network, tokens) - run(network, changed)).abs().amax(dim=-1)[0]
    assert not moved[:5].any()
    assert moved[5 : 5 + size].min() > 1e-5
    assert not moved[5 + size :].any()


@pytest.mark.parametrize("chunk", [1, 3, 7])
def test_chunks_with_carried_state_equal_one_long_pass(chunk: int) -> None:
    network, tokens = network_of(), some_tokens(3, 20)
    state, parts = network.initial_state(3), []
    assert state.shape == (1, WINDOW - 1, 3, 3)
    with torch.inference_mode():
        for piece in torch.split(tokens, chunk, dim=1):
            logits, state = network(piece, state)
            parts.append(logits)
    assert_near(torch.cat(parts, dim=1), run(network, tokens))


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("prompt", [1, 3, 9])
@pytest.mark.parametrize(
    ("connections", "layer_norm", "tied"),
    [("none", False, False), ("residual", True, False), ("dense", False, True), ("dense", True, True)],
)
def test_single_steps_equal_the_network(
    monkeypatch: pytest.MonkeyPatch, table: bool, prompt: int, connections: Connections, layer_norm: bool, tied: bool
) -> None:
    if not table:
        monkeypatch.setattr(window, "MAX_TABLE", 0)
    network = network_of(3, connections=connections, layer_norm=layer_norm, tied=tied)
    tokens = some_tokens(2, 15)
    expected = run(network, tokens).log_softmax(dim=-1)
    step = WindowStep(network)
    assert (step._table is not None) == table
    log_probs, state = step.start(tokens[:, :prompt])
    assert_near(log_probs, expected[:, prompt - 1])
    for time in range(prompt, 15):
        log_probs, state = step(tokens[:, time], state)
        assert_near(log_probs, expected[:, time])


def test_rings_are_gathered_and_joined() -> None:
    step, tokens = WindowStep(network_of()), some_tokens(4, 5)
    _, state = step.start(tokens)
    _, later = step(torch.tensor([1, 2, 3, 4]), state)
    _, chosen = step.start(tokens[[2, 0, 2]])
    ours, _ = step(torch.tensor([1, 3, 5]), step.reorder(state, torch.tensor([2, 0, 2])))
    theirs, _ = step(torch.tensor([1, 3, 5]), chosen)
    assert torch.equal(ours, theirs)
    both, _ = step(torch.tensor([0] * 8), step.join([state, later]))  # rings that stand at different places
    assert_near(both[:4], step(torch.tensor([0] * 4), state)[0])
    assert_near(both[4:], step(torch.tensor([0] * 4), later)[0])


def test_the_loss_begins_near_the_logarithm_of_the_vocabulary() -> None:
    torch.manual_seed(0)
    network, tokens = network_of(3), some_tokens(4, 40)
    network.initialise()
    loss = functional.cross_entropy(run(network, tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(VOCAB), abs=0.3)


def test_one_batch_can_be_learned_by_heart() -> None:
    torch.manual_seed(0)
    network, tokens = network_of(2, size=8).train(), some_tokens(2, 17)
    network.initialise()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        logits, _ = network(tokens[:, :-1], network.initial_state(2))
        loss = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss.item() < 0.05


def test_operations_on_paper() -> None:
    # Window 4 of embedding 3 to hidden 5, 5 to 5, vocabulary 7 of 5: 2 * (60 + 25 + 35) = 240.
    assert network_of(2).operations_per_token == 240
