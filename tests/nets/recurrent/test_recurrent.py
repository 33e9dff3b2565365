from __future__ import annotations

import copy
import math
from itertools import pairwise
from typing import get_args

import pytest
import torch
from tolerances import assert_near
from torch import Tensor
from torch.nn import functional

from seqgen.config import Connections, PeepholeKind, RecurrentCell, RecurrentConfig
from seqgen.nets.recurrent.cells import GATES, STATE_PARTS
from seqgen.nets.recurrent.network import RecurrentNetwork
from seqgen.nets.stepping import recurrent as stepping
from seqgen.nets.stepping.recurrent import RecurrentStep

CELLS: tuple[RecurrentCell, ...] = get_args(RecurrentCell)
VOCAB = 7

every_cell = pytest.mark.parametrize("cell", CELLS)
every_depth = pytest.mark.parametrize("num_layers", [1, 2, 3])


def network_of(
    cell: RecurrentCell,
    num_layers: int = 2,
    *,
    embed_size: int = 4,
    hidden_size: int = 6,
    dropout: float = 0.0,
    weight_drop: float = 0.0,
    peephole: PeepholeKind = "diagonal",
    connections: Connections = "none",
    layer_norm: bool = False,
    tied: bool = False,
    variational: bool = False,
    init_scale: float = 1.0,
) -> RecurrentNetwork:
    """A network with random weights everywhere, the output layer included, in fp64."""
    config = RecurrentConfig(
        cell=cell,
        embed_size=embed_size,
        hidden_size=hidden_size,
        num_layers=num_layers,
        dropout=dropout,
        weight_drop=weight_drop,
        peephole=peephole,
        connections=connections,
        layer_norm=layer_norm,
        tied=tied,
        variational=variational,
        init_scale=init_scale,
    )
    network = RecurrentNetwork(config, VOCAB)
    generator = torch.Generator().manual_seed(num_layers)
    for parameter in network.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator).double()
    return network.eval()


def some_tokens(batch: int, time: int, seed: int = 0) -> Tensor:
    return torch.randint(VOCAB, (batch, time), generator=torch.Generator().manual_seed(seed))


def run(network: RecurrentNetwork, tokens: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(tokens, network.initial_state(len(tokens)))[0]  # type: ignore[no-any-return]


def loss_of(network: RecurrentNetwork, tokens: Tensor) -> Tensor:
    logits, _ = network(tokens[:, :-1], network.initial_state(len(tokens)))
    return functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


# The network --------------------------------------------------------------------------------------------------


@every_cell
def test_shapes_are_batch_first(cell: RecurrentCell) -> None:
    network = network_of(cell, 3)
    logits, state = network(some_tokens(2, 5), network.initial_state(2))
    assert logits.shape == (2, 5, VOCAB)
    assert state.shape == (3, STATE_PARTS[cell], 2, 6)
    assert network.initial_state(2).shape == state.shape
    assert not network.initial_state(2).any()


@every_cell
@every_depth
@pytest.mark.parametrize("chunk", [1, 3, 7])
def test_chunks_with_carried_state_equal_one_long_pass(cell: RecurrentCell, num_layers: int, chunk: int) -> None:
    network, tokens = network_of(cell, num_layers), some_tokens(3, 20)
    state, parts = network.initial_state(3), []
    with torch.inference_mode():
        for piece in torch.split(tokens, chunk, dim=1):
            logits, state = network(piece, state)
            parts.append(logits)
    assert_near(torch.cat(parts, dim=1), run(network, tokens))


@every_cell
def test_a_later_token_never_changes_an_earlier_prediction(cell: RecurrentCell) -> None:
    network, tokens = network_of(cell), some_tokens(2, 10)
    changed = tokens.clone()
    changed[:, 6] = (changed[:, 6] + 1) % VOCAB
    before, after = run(network, tokens), run(network, changed)
    assert_near(before[:, :6], after[:, :6])
    assert (before[:, 6:] - after[:, 6:]).abs().amax(dim=-1).min() > 1e-5


@every_cell
def test_a_sequence_does_not_depend_on_its_neighbours(cell: RecurrentCell) -> None:
    network, tokens = network_of(cell), some_tokens(5, 12)
    together = run(network, tokens)
    for row in range(5):
        assert_near(run(network, tokens[row : row + 1])[0], together[row])


def test_dropout_acts_in_training_only() -> None:
    network, tokens = network_of("gru", dropout=0.5), some_tokens(2, 10)
    assert torch.equal(run(network, tokens), run(network, tokens))
    network.train()
    assert not torch.equal(run(network, tokens), run(network, tokens))


def test_operations_on_paper() -> None:
    # LSTM of 2 layers, embedding 4, hidden 6, vocabulary 7: 24 rows of (4 + 6), 24 of (6 + 6), 7 of 6.
    # 2 * (240 + 288 + 42) = 1140.
    assert network_of("lstm", 2).operations_per_token == 1140


# Gradients ----------------------------------------------------------------------------------------------------


@every_cell
def test_gradients_are_finite_differences(cell: RecurrentCell) -> None:
    network, tokens = network_of(cell, embed_size=2, hidden_size=3).double(), some_tokens(2, 6)
    loss_of(network, tokens).backward()  # type: ignore[no-untyped-call]
    step = 1e-5
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        numeric = torch.zeros_like(parameter)
        with torch.no_grad():
            for place in range(parameter.numel()):
                flat, value = parameter.view(-1), parameter.view(-1)[place].item()
                flat[place] = value + step
                above = loss_of(network, tokens).item()
                flat[place] = value - step
                below = loss_of(network, tokens).item()
                flat[place] = value
                numeric.view(-1)[place] = (above - below) / (2 * step)
        torch.testing.assert_close(parameter.grad, numeric, rtol=1e-5, atol=1e-8, msg=name)


@every_cell
def test_the_gradient_reaches_the_first_token(cell: RecurrentCell) -> None:
    network, tokens = network_of(cell), some_tokens(1, 8)
    tokens[0, 0], tokens[0, 1:] = 0, 1
    logits, _ = network(tokens, network.initial_state(1))
    logits[0, -1].logsumexp(dim=0).backward()
    gradient = network.embedding.weight.grad
    assert gradient is not None
    assert gradient[0].abs().max() > 1e-8
    assert not gradient[2:].any()


# Initialisation -----------------------------------------------------------------------------------------------


@every_cell
def test_the_loss_begins_near_the_logarithm_of_the_vocabulary(cell: RecurrentCell) -> None:
    network = network_of(cell)
    network.initialise()
    assert loss_of(network, some_tokens(4, 30)).item() == pytest.approx(math.log(VOCAB), abs=0.25)


@every_cell
def test_the_first_step_already_reaches_the_first_layer(cell: RecurrentCell) -> None:
    network = network_of(cell)
    network.initialise()
    loss_of(network, some_tokens(4, 30)).backward()  # type: ignore[no-untyped-call]
    gradient = network.embedding.weight.grad
    assert gradient is not None
    assert gradient.norm() > 1e-4


@every_cell
@every_depth
def test_every_recurrent_block_begins_orthogonal(cell: RecurrentCell, num_layers: int) -> None:
    network = network_of(cell, num_layers)
    network.initialise()
    blocks = [
        block
        for name, weight in network.named_parameters()
        if "weight_hh" in name
        for block in torch.split(weight.detach(), network.config.hidden_size)
    ]
    assert len(blocks) == num_layers * GATES[cell]
    for block in blocks:
        assert_near(block @ block.t(), torch.eye(6))
    assert all(not torch.allclose(one, other) for one, other in pairwise(blocks))


@every_cell
def test_biases_begin_at_zero_save_the_forget_gates_at_one(cell: RecurrentCell) -> None:
    network = network_of(cell, 3)
    network.initialise()
    for layer in network.layers:
        biases = torch.stack([value for name, value in layer.named_parameters() if "bias" in name]).sum(0)
        expected = torch.zeros_like(biases)
        if cell in ("lstm", "peephole"):
            expected[6:12] = 1.0  # PyTorch's order is i, f, g, o
        assert torch.equal(biases.detach(), expected)


def test_initialisation_follows_the_seed() -> None:
    def made(seed: int) -> Tensor:
        torch.manual_seed(seed)
        network = network_of("lstm")
        network.initialise()
        return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])

    assert torch.equal(made(1), made(1))
    assert not torch.equal(made(1), made(2))


@pytest.mark.slow
@every_cell
def test_one_batch_can_be_learned_by_heart(cell: RecurrentCell) -> None:
    torch.manual_seed(0)
    network = network_of(cell, 1, embed_size=8, hidden_size=24).train()
    network.initialise()
    tokens = some_tokens(2, 17)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        loss = loss_of(network, tokens)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss.item() < 0.05


# Depth --------------------------------------------------------------------------------------------------------


def by_hand(network: RecurrentNetwork, tokens: Tensor, connections: Connections) -> Tensor:
    hidden = network.embedding(tokens.t())
    for layer in network.layers:
        written, _ = layer(hidden)
        if connections == "dense":
            hidden = torch.cat((hidden, written), dim=-1)
        else:
            hidden = hidden + written if hidden.shape == written.shape else written
    logits: Tensor = hidden @ network.output_matrix.t() + network.output.bias
    return logits.transpose(0, 1)


@pytest.mark.parametrize("connections", ["residual", "dense"])
@pytest.mark.parametrize("embed_size", [4, 6])
def test_connections_lead_around_each_layer(connections: Connections, embed_size: int) -> None:
    network, tokens = network_of("lstm", 3, embed_size=embed_size, connections=connections), some_tokens(2, 5)
    with torch.inference_mode():
        assert_near(run(network, tokens), by_hand(network, tokens, connections))


def test_layer_norm_makes_the_size_of_what_layers_read_irrelevant() -> None:
    network, tokens = network_of("rnn", 1, layer_norm=True), some_tokens(2, 5)
    network.norms[0] = torch.nn.LayerNorm(6, elementwise_affine=False)
    hidden = network.layers[0](network.embedding(tokens.t()))[0]
    normalised = (hidden - hidden.mean(-1, keepdim=True)) / (hidden.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    expected = normalised @ network.output_matrix.t() + network.output.bias
    assert_near(run(network, tokens), expected.transpose(0, 1).detach())


def test_a_tied_network_has_one_matrix_for_both_and_begins_as_well() -> None:
    torch.manual_seed(0)
    network = network_of("lstm", tied=True)
    network.initialise()
    assert "output.weight" not in network.state_dict()
    assert network.output_matrix is network.embedding.weight
    assert loss_of(network, some_tokens(4, 30)).item() == pytest.approx(math.log(VOCAB), abs=0.25)


def test_variational_dropout_drops_the_same_units_at_every_step() -> None:
    network = network_of("lstm", 1, dropout=0.5, variational=True).train()
    torch.manual_seed(1)
    dropped = network.dropout(torch.ones(5, 2, 6))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(dropped, dropped[:1].expand_as(dropped))
    assert not torch.equal(dropped[0, 0], dropped[0, 1])  # another mask for each sequence
    assert torch.equal(network.eval().dropout(torch.ones(5, 2, 6)), torch.ones(5, 2, 6))


# One token at a time ------------------------------------------------------------------------------------------


@every_cell
@every_depth
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("table", [True, False])
def test_single_steps_equal_the_network(
    monkeypatch: pytest.MonkeyPatch, cell: RecurrentCell, num_layers: int, batch: int, table: bool
) -> None:
    if not table:
        monkeypatch.setattr(stepping, "MAX_TABLE", 0)
    network, tokens = network_of(cell, num_layers), some_tokens(batch, 12)
    expected = run(network, tokens).log_softmax(dim=-1)
    step = RecurrentStep(network)
    assert (step._table is not None) == table
    log_probs, state = step.start(tokens[:, :1])
    assert_near(log_probs, expected[:, 0])
    for time in range(1, 12):
        log_probs, state = step(tokens[:, time], state)
        assert_near(log_probs, expected[:, time])


@every_cell
@pytest.mark.parametrize(
    ("connections", "layer_norm", "tied"),
    [("residual", False, False), ("dense", False, False), ("none", True, True), ("dense", True, True)],
)
def test_single_steps_equal_the_network_however_its_layers_are_connected(
    cell: RecurrentCell, connections: Connections, layer_norm: bool, tied: bool
) -> None:
    network = network_of(cell, 3, connections=connections, layer_norm=layer_norm, tied=tied)
    tokens = some_tokens(2, 8)
    expected = run(network, tokens).log_softmax(dim=-1)
    step = RecurrentStep(network)
    log_probs, state = step.start(tokens[:, :3])
    for time in range(3, 8):
        log_probs, state = step(tokens[:, time], state)
        assert_near(log_probs, expected[:, time])


@every_cell
@every_depth
def test_reading_a_prompt_equals_stepping_through_it(cell: RecurrentCell, num_layers: int) -> None:
    step, tokens = RecurrentStep(network_of(cell, num_layers)), some_tokens(3, 9)
    log_probs, state = step.start(tokens[:, :1])
    for time in range(1, 9):
        log_probs, state = step(tokens[:, time], state)
    at_once, state_at_once = step.start(tokens)
    assert_near(at_once, log_probs)
    for layer, other in zip(state_at_once, state, strict=True):
        assert len(layer) == len(other) == STATE_PARTS[cell]
        for part, same in zip(layer, other, strict=True):
            assert_near(part, same)


@every_cell
def test_a_step_gives_log_probabilities(cell: RecurrentCell) -> None:
    step = RecurrentStep(network_of(cell))
    log_probs, state = step.start(some_tokens(4, 2))
    log_probs, _ = step(some_tokens(4, 1)[:, 0], state)
    assert_near(log_probs.exp().sum(dim=-1), torch.ones(4))


@every_cell
def test_a_step_leaves_the_state_it_was_given(cell: RecurrentCell) -> None:
    step = RecurrentStep(network_of(cell))
    _, state = step.start(some_tokens(2, 3))
    first, _ = step(torch.tensor([1, 2]), state)
    second, _ = step(torch.tensor([1, 2]), state)
    assert torch.equal(first, second)


@every_cell
def test_reordering_gathers_sequences(cell: RecurrentCell) -> None:
    step, tokens = RecurrentStep(network_of(cell)), some_tokens(4, 5)
    index = torch.tensor([2, 0, 2])
    _, state = step.start(tokens)
    ours, _ = step(torch.tensor([1, 3, 5]), step.reorder(state, index))
    _, chosen = step.start(tokens[index])
    theirs, _ = step(torch.tensor([1, 3, 5]), chosen)
    assert_near(ours, theirs)


@every_cell
def test_dropout_is_off_while_writing(cell: RecurrentCell) -> None:
    network = network_of(cell, dropout=0.9).train()
    step, tokens = RecurrentStep(network), some_tokens(2, 6)
    assert torch.equal(step.start(tokens)[0], step.start(tokens)[0])


@pytest.mark.parametrize(("embed_size", "hidden_size"), [(4, 6), (1, 6), (4, 1), (1, 1)])
def test_later_training_does_not_show_in_single_steps(embed_size: int, hidden_size: int) -> None:
    network = network_of("rnn", embed_size=embed_size, hidden_size=hidden_size)
    step = RecurrentStep(network)
    _, state = step.start(some_tokens(2, 3))
    before, _ = step(torch.tensor([1, 2]), state)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    after, _ = step(torch.tensor([1, 2]), state)
    assert torch.equal(before, after)


def test_later_training_does_not_show_in_a_prompt() -> None:
    network, tokens = network_of("lstm"), some_tokens(2, 3)
    step = RecurrentStep(network)
    before, _ = step.start(tokens)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    after, _ = step.start(tokens)
    assert torch.equal(before, after)


@every_cell
def test_weight_drop_is_a_network_with_fewer_recurrent_weights(cell: RecurrentCell) -> None:
    dropping = network_of(cell, weight_drop=0.5).train()
    tokens, state = some_tokens(3, 5), dropping.initial_state(3)
    torch.manual_seed(0)
    logits = dropping(tokens, state)[0]
    fewer = copy.deepcopy(dropping)
    torch.manual_seed(0)
    for layer in fewer.layers:
        layer.weight_hh_l0.data = dropping.weight_drop(layer.weight_hh_l0.data)
    torch.testing.assert_close(logits, fewer.eval()(tokens, state)[0])
    assert not torch.equal(dropping(tokens, state)[0], logits)
    whole = dropping.eval()(tokens, state)[0]
    assert torch.equal(dropping(tokens, state)[0], whole)
