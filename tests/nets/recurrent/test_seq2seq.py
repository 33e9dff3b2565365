from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any, get_args

import pytest
import torch
from tolerances import assert_near, rounding
from torch import Tensor
from torch.nn import functional

from seqgen.config import Attention, RecurrentCell, Seq2SeqConfig
from seqgen.nets.recurrent.seq2seq import Seq2Seq
from seqgen.nets.stepping.seq2seq import DecoderState, Seq2SeqStep

CELLS: tuple[RecurrentCell, ...] = get_args(RecurrentCell)
ATTENTIONS: tuple[Attention, ...] = get_args(Attention)
SOURCE_VOCAB, VOCAB = 9, 7
SWITCHES = ("input_feeding", "bidirectional", "tied", "joint")

every_cell = pytest.mark.parametrize("cell", CELLS)
every_attention = pytest.mark.parametrize("attention", ATTENTIONS)


def config_of(**chosen: Any) -> Seq2SeqConfig:
    sizes = {"embed_size": 4, "hidden_size": 6, "attention_size": 3, "num_layers": 2, "dropout": 0.0}
    return Seq2SeqConfig(**{**sizes, **chosen})


def network_of(**chosen: Any) -> Seq2Seq:
    """A network with random weights everywhere, larger than at the start of a training, in fp64."""
    config = config_of(**chosen)
    network = Seq2Seq(config, VOCAB if config.joint else SOURCE_VOCAB, VOCAB)
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator).double()
    return network.eval()


def tokens_of(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(VOCAB, shape, generator=torch.Generator().manual_seed(seed))


LENGTHS, WANTED = torch.tensor([5, 2, 4]), torch.tensor([3, 6, 1])


def batch_of(source_width: int = 5, target_width: int = 6) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Three pairs of unlike lengths, padded with tokens like any other."""
    source, target = tokens_of(3, source_width), tokens_of(3, target_width, seed=1)
    return source, LENGTHS, target, torch.arange(target_width) < WANTED[:, None]


def log_probs_of(network: Seq2Seq, source: Tensor, lengths: Tensor, target: Tensor, wanted: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(source, lengths, target, wanted).log_softmax(dim=-1)  # type: ignore[no-any-return]


def alone(network: Seq2Seq, source: Tensor, target: Tensor) -> Tensor:
    """The log-probabilities of one pair, `(target, vocab)`."""
    everything = torch.ones(1, len(target), dtype=torch.bool)
    return log_probs_of(network, source[None], torch.tensor([len(source)]), target[None], everything)


def stepped(network: Seq2Seq, source: Tensor, lengths: Tensor, target: Tensor) -> tuple[Tensor, list[Tensor | None]]:
    """The same token by token: `(batch, target, vocab)`, and the attention of each step."""
    step = Seq2SeqStep(network)
    state, log_probs, looks = step.start(source, lengths), [], []
    for tokens in target.unbind(1):
        some, state = step(tokens, state)
        log_probs.append(some)
        looks.append(step.attention(state))
    return torch.stack(log_probs, dim=1), looks


def mean_loss(network: Seq2Seq, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    source, lengths, target, wanted = batch
    logits = network(source, lengths, target[:, :-1], wanted[:, 1:])
    return functional.cross_entropy(logits, target[:, 1:][wanted[:, 1:]])


# Two ways to the same numbers -----------------------------------------------------------------------------------


@every_cell
@every_attention
@pytest.mark.parametrize("num_layers", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("switches", [*itertools.product([False, True], repeat=4)], ids=str)
def test_whole_targets_equal_single_steps(
    cell: RecurrentCell, attention: Attention, num_layers: int, switches: tuple[bool, ...]
) -> None:
    chosen = dict(zip(SWITCHES, switches, strict=True))
    network = network_of(cell=cell, attention=attention, num_layers=num_layers, **chosen)
    source, lengths, target, wanted = batch_of()
    log_probs, looks = stepped(network, source, lengths, target)
    whole = log_probs_of(network, source, lengths, target, wanted)
    assert_near(log_probs[wanted], whole)
    for look in looks:
        assert (look is None) == (attention == "none")
        if look is not None:
            assert_near(look.sum(dim=1), torch.ones(3))
            assert not look[torch.arange(5) >= lengths[:, None]].any()


@every_cell
@every_attention
def test_packed_matrices_step_as_the_network_does(cell: RecurrentCell, attention: Attention) -> None:
    network, (source, lengths, target, wanted) = network_of(cell=cell, attention=attention).float(), batch_of()
    log_probs, _ = stepped(network, source, lengths, target)
    whole = log_probs_of(network, source, lengths, target, wanted)
    # 5 source and 6 target tokens, each on its way through two layers of sums of at most 17 terms, and the readout.
    terms = (5 + 6) * 2 * 17 + 12
    torch.testing.assert_close(log_probs[wanted], whole, rtol=0, atol=rounding(terms, scale=4.0))


def test_the_step_without_its_table_of_inputs_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    network, (source, lengths, target, _) = network_of(), batch_of()
    with_table = stepped(network, source, lengths, target)[0]
    monkeypatch.setattr("seqgen.nets.stepping.seq2seq.MAX_TABLE", 0)
    assert_near(stepped(network, source, lengths, target)[0], with_table)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_encoder_is_that_of_torch(cell: RecurrentCell, bidirectional: bool) -> None:
    network = network_of(cell=cell, bidirectional=bidirectional, attention="dot")
    source = tokens_of(1, 5)
    memory, state = network.encode(source, torch.tensor([5]))
    kernel = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    stack = kernel(4, 3 if bidirectional else 6, num_layers=2, bidirectional=bidirectional, batch_first=True)
    names = [name for name, _ in next(iter(network.encoder)).named_parameters()]
    for depth, layer in enumerate(network.encoder):
        for name in names:
            getattr(stack, name.replace("l0", f"l{depth}")).data = layer.get_parameter(name).data
    values, ends = stack(network.source_embedding(source) * 2.0)  # sqrt(embed_size) = 2
    assert_near(memory.values, values)
    assert memory.mask.all()
    for part, end in enumerate(ends if isinstance(ends, tuple) else (ends,)):
        for depth in range(2):
            per_layer = end.view(2, -1, 1, end.shape[-1])[depth].transpose(0, 1).flatten(1)
            assert_near(state[depth][part], per_layer)


# What may matter, and what may not ------------------------------------------------------------------------------


@every_cell
@every_attention
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_pair_does_not_depend_on_its_neighbours(
    cell: RecurrentCell, attention: Attention, bidirectional: bool
) -> None:
    """Whichever of its neighbours' sides is the longer one, and whatever stands in the padding."""
    network = network_of(cell=cell, attention=attention, bidirectional=bidirectional)
    source, lengths, target, wanted = batch_of()
    together = log_probs_of(network, source, lengths, target, wanted).split(WANTED.tolist())  # type: ignore[no-untyped-call]
    for row, here in enumerate(together):
        own = alone(network, source[row, : lengths[row]], target[row, : WANTED[row]])
        assert_near(here, own)


@every_attention
@pytest.mark.parametrize("width", [(9, 6), (5, 12), (9, 12)])
def test_more_padding_changes_nothing(attention: Attention, width: tuple[int, int]) -> None:
    network = network_of(attention=attention)
    source, lengths, target, wanted = batch_of()
    before = log_probs_of(network, source, lengths, target, wanted)
    wider = (functional.pad(source, (0, width[0] - 5), value=3), functional.pad(target, (0, width[1] - 6), value=2))
    after = log_probs_of(network, wider[0], lengths, wider[1], functional.pad(wanted, (0, width[1] - 6)))
    assert_near(after, before)


@every_cell
@every_attention
@pytest.mark.parametrize("input_feeding", [False, True])
def test_a_later_token_never_changes_an_earlier_prediction(
    cell: RecurrentCell, attention: Attention, input_feeding: bool
) -> None:
    network = network_of(cell=cell, attention=attention, input_feeding=input_feeding)
    source, target = tokens_of(5), tokens_of(8, seed=1)
    changed = target.clone()
    changed[4] = (changed[4] + 1) % VOCAB
    before, after = alone(network, source, target), alone(network, source, changed)
    assert_near(after[:4], before[:4])
    assert (after[4:] - before[4:]).abs().amax(dim=-1).min() > 1e-6


@every_cell
@every_attention
@pytest.mark.parametrize("bidirectional", [False, True])
def test_every_source_token_matters(cell: RecurrentCell, attention: Attention, bidirectional: bool) -> None:
    network = network_of(cell=cell, attention=attention, bidirectional=bidirectional)
    source, target = tokens_of(5), tokens_of(3, seed=1)
    before = alone(network, source, target)
    for place in range(5):
        changed = source.clone()
        changed[place] = (changed[place] + 1) % VOCAB
        assert (alone(network, changed, target) - before).abs().max() > 1e-6


@every_cell
@pytest.mark.parametrize("bidirectional", [False, True])
def test_without_attention_the_whole_sentence_passes_through_the_state_at_its_end(
    cell: RecurrentCell, bidirectional: bool
) -> None:
    network = network_of(cell=cell, attention="none", bidirectional=bidirectional)
    source, lengths, target, _ = batch_of()
    step = Seq2SeqStep(network)
    state = step.start(source, lengths)
    emptied = dataclasses.replace(
        state.memory, values=torch.full_like(state.memory.values, math.nan), keys=torch.empty(0)
    )
    before, after = state, dataclasses.replace(state, memory=emptied)
    for tokens in target.unbind(1):
        expected, before = step(tokens, before)
        found, after = step(tokens, after)
        assert torch.equal(found, expected)


def test_with_attention_the_memory_matters() -> None:
    step = Seq2SeqStep(network_of())
    source, lengths, target, _ = batch_of()
    state = step.start(source, lengths)
    other = dataclasses.replace(state, memory=dataclasses.replace(state.memory, values=-state.memory.values))
    assert not torch.allclose(step(target[:, 0], state)[0], step(target[:, 0], other)[0])


def test_only_wanted_positions_come_back_in_row_major_order() -> None:
    network, (source, lengths, target, wanted) = network_of(), batch_of()
    everything = log_probs_of(network, source, lengths, target, torch.ones_like(wanted)).view(3, 6, VOCAB)
    some = torch.zeros_like(wanted)
    some[0, 2] = some[2, 0] = some[2, 5] = True
    found = log_probs_of(network, source, lengths, target, some)
    expected = torch.stack([everything[0, 2], everything[2, 0], everything[2, 5]])
    assert_near(found, expected)


# Learning -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("joint", [False, True])
@every_cell
def test_the_loss_begins_near_the_logarithm_of_the_vocabulary(cell: RecurrentCell, tied: bool, joint: bool) -> None:
    torch.manual_seed(0)
    size = 500
    network = Seq2Seq(config_of(cell=cell, tied=tied, joint=joint, embed_size=32, hidden_size=64), size, size)
    network.initialise()
    source, target = torch.randint(size, (16, 9)), torch.randint(size, (16, 12))
    everything = torch.ones_like(target, dtype=torch.bool)
    loss = mean_loss(network, (source, torch.full((16,), 9), target, everything)).item()
    assert loss == pytest.approx(math.log(size), abs=0.3)


def test_general_attention_begins_as_the_dot_product() -> None:
    general, dot = (Seq2Seq(config_of(cell="lstm", attention=kind), VOCAB, VOCAB) for kind in ("general", "dot"))
    general.initialise()
    dot.load_state_dict(general.state_dict(), strict=False)
    one, other = (log_probs_of(network.eval(), *batch_of()) for network in (general, dot))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("cell", "attention"), [("rnn", "dot"), ("lstm", "none"), ("lstm", "additive"), ("gru", "general")]
)
def test_one_batch_can_be_learned_by_heart(cell: RecurrentCell, attention: Attention) -> None:
    torch.manual_seed(0)
    network = Seq2Seq(config_of(cell=cell, attention=attention, embed_size=16, hidden_size=32), VOCAB, VOCAB)
    network.initialise()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    batch = batch_of()
    for _ in range(60):
        optimizer.zero_grad()
        loss = mean_loss(network, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss.item() < 0.05


@every_cell
@every_attention
@pytest.mark.parametrize("input_feeding", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("joint", [False, True])
def test_every_parameter_gets_a_gradient(
    cell: RecurrentCell, attention: Attention, input_feeding: bool, tied: bool, joint: bool
) -> None:
    network = network_of(cell=cell, attention=attention, input_feeding=input_feeding, tied=tied, joint=joint)
    mean_loss(network.train(), batch_of()).backward()  # type: ignore[no-untyped-call]
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.slow
@every_cell
@every_attention
@pytest.mark.parametrize("input_feeding", [False, True])
def test_gradients_are_finite_differences(cell: RecurrentCell, attention: Attention, input_feeding: bool) -> None:
    network = network_of(
        cell=cell,
        attention=attention,
        input_feeding=input_feeding,
        embed_size=2,
        hidden_size=2,
        attention_size=2,
        num_layers=1,
    ).double()
    batch = batch_of()
    mean_loss(network, batch).backward()  # type: ignore[no-untyped-call]
    step = 1e-5
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        numeric = torch.zeros_like(parameter)
        with torch.no_grad():
            for place in range(parameter.numel()):
                flat, value = parameter.view(-1), parameter.view(-1)[place].item()
                flat[place] = value + step
                above = mean_loss(network, batch).item()
                flat[place] = value - step
                below = mean_loss(network, batch).item()
                flat[place] = value
                numeric.view(-1)[place] = (above - below) / (2 * step)
        torch.testing.assert_close(parameter.grad, numeric, rtol=1e-5, atol=1e-8, msg=name)


@every_cell
@every_attention
@pytest.mark.parametrize("input_feeding", [False, True])
def test_bf16_trains_and_stays_near_fp32(cell: RecurrentCell, attention: Attention, input_feeding: bool) -> None:
    network, batch = network_of(cell=cell, attention=attention, input_feeding=input_feeding).float(), batch_of()
    exact = mean_loss(network, batch).item()
    with torch.autocast("cpu", torch.bfloat16):
        loss = mean_loss(network, batch)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(exact, abs=0.05)
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in network.parameters())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_dropout_acts_in_training_only() -> None:
    network, (source, lengths, target, wanted) = network_of(dropout=0.5), batch_of()
    quiet = log_probs_of(network, source, lengths, target, wanted)
    assert torch.equal(log_probs_of(network, source, lengths, target, wanted), quiet)
    network.train()
    assert not torch.equal(log_probs_of(network, source, lengths, target, wanted), quiet)


# What is shared -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tied", "joint", "matrices"), [(1, 1, 1), (1, 0, 2), (0, 1, 3), (0, 0, 3)])
def test_how_many_matrices_of_tokens_there_are(tied: int, joint: int, matrices: int) -> None:
    network = network_of(tied=bool(tied), joint=bool(joint))
    sizes = {SOURCE_VOCAB, VOCAB}
    found = [p for p in network.parameters() if p.dim() == 2 and p.shape[0] in sizes and p.shape[1] == 4]
    assert len(found) == matrices


def test_a_tied_matrix_is_saved_once() -> None:
    network = network_of()
    names = set(network.state_dict())
    assert "source_embedding.weight" in names
    assert not names & {"target_embedding.weight", "output_weight"}
    assert network.output_matrix is network.source_embedding.weight


# The state of a search ------------------------------------------------------------------------------------------


def started(**chosen: Any) -> tuple[Seq2SeqStep, DecoderState, Tensor]:
    source, lengths, target, _ = batch_of()
    step = Seq2SeqStep(network_of(**chosen))
    state = step.start(source, lengths)
    return step, step(target[:, 0], state)[1], target


def assert_same_rows(one: Tensor, other: Tensor) -> None:
    assert_near(one, other)


@every_cell
@every_attention
def test_rows_may_move_repeat_and_leave(cell: RecurrentCell, attention: Attention) -> None:
    step, state, target = started(cell=cell, attention=attention)
    index = torch.tensor([2, 0, 0, 2])
    moved = step.reorder(state, index)
    expected = state
    for t in (1, 2):
        wanted, expected = step(target[:, t], expected)
        found, moved = step(target[index, t], moved)
        assert_same_rows(found, wanted[index])
        looks = step.attention(moved), step.attention(expected)
        if attention != "none":
            assert looks[0] is not None
            assert looks[1] is not None
            assert_same_rows(looks[0], looks[1][index])
    assert step.reorder(state, torch.tensor([], dtype=torch.long)).sentence.numel() == 0


@every_cell
@every_attention
def test_joined_states_are_their_rows_in_order(cell: RecurrentCell, attention: Attention) -> None:
    step, state, target = started(cell=cell, attention=attention)
    wanted = step(target[:, 1], state)[0]
    parts = [step.reorder(state, torch.tensor(rows)) for rows in ([1], [2, 0], [1])]
    together = step.join(parts)
    found, after = step(target[[1, 2, 0, 1], 1], together)
    assert_same_rows(found, wanted[[1, 2, 0, 1]])
    assert after.memory is state.memory
    assert torch.equal(step.join([state]).sentence, state.sentence)


def test_two_ways_on_from_one_state_do_not_disturb_each_other() -> None:
    step, state, target = started(cell="lstm")
    with torch.inference_mode():
        first = step(target[:, 1], state)[0].clone()
        for tokens in (target[:, 1], target[:, 2]):
            step(tokens, state)[0].fill_(-math.inf)  # whoever calls may write into it
        assert torch.equal(step(target[:, 1], state)[0], first)


def test_log_probs_are_normalised() -> None:
    step, state, target = started()
    log_probs, _ = step(target[:, 1], state)
    assert_near(log_probs.exp().sum(dim=-1), torch.ones(3))


def test_later_training_does_not_show_in_the_weights_that_a_step_copied() -> None:
    network, (source, lengths, target, _) = network_of(), batch_of()
    step = Seq2SeqStep(network)
    state = step.start(source, lengths)
    before = step(target[:, 0], state)[0].clone()
    with torch.no_grad():
        for parameter in network.decoder.parameters():
            parameter.add_(1.0)
    assert torch.equal(step(target[:, 0], state)[0], before)
    assert not torch.equal(Seq2SeqStep(network)(target[:, 0], state)[0], before)
