"""The parts of a Transformer, and the two networks made of them."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from tolerances import NEAR, assert_near
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import Activation, Norm, Positions, TransformerConfig, TransformerSeq2SeqConfig
from seqgen.nets.stepping.steps import source_step, text_step
from seqgen.nets.transformer.attention import KeysValues, MultiHeadAttention, attention_weights
from seqgen.nets.transformer.language_model import TransformerNetwork
from seqgen.nets.transformer.layers import FeedForward, Layer
from seqgen.nets.transformer.seq2seq import TransformerSeq2Seq

VOCAB, SOURCE_VOCAB = 11, 13
SIZES: dict[str, Any] = {"embed_size": 16, "num_layers": 2, "num_heads": 4, "ffn_size": 24, "dropout": 0.0}

every_kind = pytest.mark.parametrize("positions", get_args(Positions))
every_norm = pytest.mark.parametrize("norm", get_args(Norm))
every_group = pytest.mark.parametrize("num_kv_heads", [0, 1, 2])


def randomised(network: nn.Module) -> Any:
    """Random weights everywhere, norms and biases too, in fp64: there two ways to one number agree to many digits."""
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.data = 0.4 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return network.eval().requires_grad_(False)


def text_network(**chosen: Any) -> TransformerNetwork:
    network: TransformerNetwork = randomised(TransformerNetwork(TransformerConfig(**{**SIZES, **chosen}), VOCAB))
    return network


def pairs_network(**chosen: Any) -> TransformerSeq2Seq:
    config = TransformerSeq2SeqConfig(**{**SIZES, **chosen})
    network: TransformerSeq2Seq = randomised(TransformerSeq2Seq(config, VOCAB if config.joint else SOURCE_VOCAB, VOCAB))
    return network


def tokens_of(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(VOCAB, shape, generator=torch.Generator().manual_seed(seed))


def logits_of(network: TransformerNetwork, tokens: Tensor) -> Tensor:
    logits: Tensor = network(tokens, network.initial_state(len(tokens)))[0]
    return logits


# Attention, against the formula and against PyTorch -----------------------------------------------------------


def test_attention_on_paper() -> None:
    # One head of 2; the scores of the query (1, 0) are its products with the keys over sqrt(2).
    queries = torch.tensor([[[[1.0, 0.0]]]])
    keys = torch.tensor([[[[math.sqrt(2) * math.log(3), 0.0], [0.0, 7.0]]]])
    weights = attention_weights(queries, KeysValues(keys, keys))
    assert weights.flatten().tolist() == pytest.approx([0.75, 0.25])


@every_group
@pytest.mark.parametrize("hidden", ["nothing", "padding", "future"])
def test_attention_equals_its_explicit_softmax(num_kv_heads: int, hidden: str) -> None:
    config = TransformerConfig(**{**SIZES, "num_kv_heads": num_kv_heads})
    attention: MultiHeadAttention = randomised(MultiHeadAttention(config))
    x = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0)).double()
    mask = torch.arange(5) < torch.tensor([5, 2, 4])[:, None] if hidden == "padding" else None
    keys_values = KeysValues(
        *attention.keys_values(x), None if mask is None else mask[:, None, None], causal=hidden == "future"
    )
    queries = attention.queries(x)
    weights = attention_weights(queries, keys_values)
    values = keys_values.values.repeat_interleave(4 // config.kv_heads, dim=1)
    expected = (weights @ values).transpose(1, 2).flatten(2)
    assert_near(attention(queries, keys_values), expected)
    assert_near(weights.sum(dim=-1), torch.ones(3, 4, 5))
    if mask is not None:
        assert not weights[~mask[:, None, None].expand_as(weights)].any()
    if hidden == "future":
        assert not weights.triu(1).any()


@every_norm
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("cross", [False, True])
def test_a_layer_equals_pytorchs(norm: Norm, activation: Activation, cross: bool) -> None:
    layer: Layer = randomised(
        Layer(TransformerConfig(**{**SIZES, "norm": norm, "activation": activation}), cross=cross)
    )
    kind = nn.TransformerDecoderLayer if cross else nn.TransformerEncoderLayer
    theirs: Any = kind(16, 4, 24, 0.0, activation, batch_first=True, norm_first=norm == "pre").double().eval()
    own = {"self_attn": layer.attention, "multihead_attn": layer.cross}
    for name, ours in own.items():
        if ours is not None:
            module = getattr(theirs, name)
            module.in_proj_weight.data = torch.cat((ours.query.weight, ours.key_value.weight))
            module.in_proj_bias.data = torch.cat((ours.query.bias, ours.key_value.bias))
            module.out_proj.load_state_dict(ours.output.state_dict())
    norms = (layer.attention_norm, layer.cross_norm, layer.feed_forward_norm)
    for number, ours_norm in enumerate((norm for norm in norms if norm is not None), start=1):
        getattr(theirs, f"norm{number}").load_state_dict(ours_norm.state_dict())
    theirs.linear1.load_state_dict(layer.feed_forward.inner.state_dict())
    theirs.linear2.load_state_dict(layer.feed_forward.outer.state_dict())
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(3, n, 16, generator=generator).double() for n in (5, 6))
    real = torch.arange(5) < torch.tensor([5, 2, 4])[:, None]
    with torch.no_grad():
        if not cross:
            ours_out = layer(x, real[:, None, None], causal=False, turn=None)
            expected = theirs(x, src_key_padding_mask=~real)
            assert_near(ours_out[real], expected[real])
            return
        assert layer.cross is not None
        memory = KeysValues(*layer.cross.keys_values(x), real[:, None, None])
        causal = nn.Transformer.generate_square_subsequent_mask(6).double()
        expected = theirs(y, x, tgt_mask=causal, tgt_is_causal=True, memory_key_padding_mask=~real)
        assert_near(layer(y, None, causal=True, turn=None, memory=memory), expected)


def test_swiglu_on_paper() -> None:
    part = FeedForward(TransformerConfig(embed_size=2, num_heads=1, ffn_size=1, activation="swiglu", dropout=0.0))
    part.inner.weight.data, part.inner.bias.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.zeros(2)
    part.outer.weight.data, part.outer.bias.data = torch.tensor([[1.0], [2.0]]), torch.zeros(2)
    silu = 2.0 / (1.0 + math.exp(-2.0))
    assert part(torch.tensor([2.0, 3.0])).tolist() == pytest.approx([silu * 3, silu * 6])


def test_without_a_nonlinearity_the_feed_forward_part_is_one_matrix() -> None:
    part: FeedForward = randomised(FeedForward(TransformerConfig(**{**SIZES, "activation": "none"})))
    x, y = torch.randn(2, 16, generator=torch.Generator().manual_seed(0)).double()
    zero = part(torch.zeros_like(x))
    assert_near(part(x + y) - zero, part(x) + part(y) - 2 * zero)


# Language model -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("positions", "norm", "activation"),
    [
        ("rotary", "pre", "gelu"),
        ("sinusoidal", "post", "relu"),
        ("learned", "pre", "swiglu"),
        ("none", "post", "gelu"),
    ],
)
def test_a_new_network_knows_nothing_and_learns_one_batch(
    positions: Positions, norm: Norm, activation: Activation
) -> None:
    torch.manual_seed(0)
    config = TransformerConfig(**{**SIZES, "positions": positions, "norm": norm, "activation": activation})
    network = TransformerNetwork(config, 50)
    network.initialise()
    tokens = torch.randint(50, (4, 13))

    def loss() -> Tensor:
        logits, _ = network(tokens[:, :-1], network.initial_state(4))
        return functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    assert loss().item() == pytest.approx(math.log(50), abs=0.15)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert value.item() < 0.7


@pytest.mark.parametrize("num_layers", [1, 4])
def test_what_writes_into_the_sum_begins_smaller_by_the_root_of_the_parts(num_layers: int) -> None:
    """Two parts of each layer write into one sum (Radford et al. 2019, section 2.3)."""
    torch.manual_seed(0)
    network = TransformerNetwork(TransformerConfig(**{**SIZES, "embed_size": 64, "num_layers": num_layers}), VOCAB)
    network.initialise()
    for name, matrix in network.decoder.named_parameters():
        if matrix.dim() == 2:
            bound = math.sqrt(6.0 / sum(matrix.shape))  # Glorot and Bengio 2010, eq. 16
            if name.endswith(("output.weight", "outer.weight")):
                bound /= math.sqrt(2 * num_layers)
            # Of a thousand uniform numbers or more the largest is within 5 % of the bound.
            assert 0.95 * bound <= matrix.abs().max().item() <= bound * 1.0001, name


@every_kind
def test_the_future_does_not_move_the_past(positions: Positions) -> None:
    network, tokens = text_network(positions=positions), tokens_of(2, 9)
    changed = tokens.clone()
    changed[:, 6] = (changed[:, 6] + 1) % VOCAB
    before, after = logits_of(network, tokens), logits_of(network, changed)
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, 6:], after[:, 6:])


def test_without_the_mask_the_future_leaks() -> None:
    network, tokens = text_network(causal=False), tokens_of(2, 9)
    changed = tokens.clone()
    changed[:, 8] = (changed[:, 8] + 1) % VOCAB
    assert not torch.allclose(logits_of(network, tokens)[:, :8], logits_of(network, changed)[:, :8])


def test_only_with_positions_does_the_order_of_the_past_count() -> None:
    tokens = tokens_of(1, 8)
    swapped = tokens[:, [3, 1, 2, 0, 4, 5, 6, 7]]
    assert tokens[0, 0] != tokens[0, 3]
    for positions in get_args(Positions):
        network = text_network(positions=positions, num_layers=1)
        same = torch.allclose(logits_of(network, tokens)[:, -1], logits_of(network, swapped)[:, -1], atol=NEAR)
        assert same == (positions == "none")


@every_kind
@every_norm
@every_group
def test_the_cached_step_equals_the_network(positions: Positions, norm: Norm, num_kv_heads: int) -> None:
    for activation in get_args(Activation):
        network = text_network(positions=positions, norm=norm, num_kv_heads=num_kv_heads, activation=activation)
        tokens = tokens_of(3, 20)
        expected = logits_of(network, tokens).log_softmax(dim=-1)
        step: Any = text_step(network)
        log_probs, state = step.start(tokens[:, :4])
        assert_near(log_probs, expected[:, 3])
        for place in range(4, 20):
            log_probs, state = step(tokens[:, place], state)
            assert_near(log_probs, expected[:, place])


def test_a_full_context_goes_on_with_its_latter_half() -> None:
    network, tokens = text_network(context=8), tokens_of(2, 11)
    step: Any = text_step(network)
    log_probs, state = step.start(tokens[:, :8])
    assert_near(log_probs, logits_of(network, tokens[:, :8]).log_softmax(dim=-1)[:, -1])
    for place in range(8, 11):  # of 9 tokens the last 4 are kept, and each new one is added
        log_probs, state = step(tokens[:, place], state)
        read = tokens[:, 5 : place + 1]
        assert_near(log_probs, logits_of(network, read).log_softmax(dim=-1)[:, -1])


def test_a_prompt_longer_than_the_context_is_read_at_its_end() -> None:
    network, tokens = text_network(context=8), tokens_of(1, 30)
    log_probs, _ = text_step(network).start(tokens)
    expected = logits_of(network, tokens[:, -8:]).log_softmax(dim=-1)[:, -1]
    assert_near(log_probs, expected)


@every_kind
@every_norm
@every_group
def test_without_the_mask_a_step_is_the_network_on_all_that_there_is(
    positions: Positions, norm: Norm, num_kv_heads: int
) -> None:
    network = text_network(positions=positions, norm=norm, num_kv_heads=num_kv_heads, causal=False, context=8)
    tokens = tokens_of(3, 11)
    step: Any = text_step(network)
    log_probs, state = step.start(tokens[:, :4])
    for place in range(4, 11):
        begin = 0 if place <= 8 else 5  # of 9 tokens the last 4 are kept
        expected = logits_of(network, tokens[:, begin:place])[:, -1].log_softmax(dim=-1)
        assert_near(log_probs, expected)
        log_probs, state = step(tokens[:, place], state)


def test_without_the_mask_texts_are_moved_and_joined() -> None:
    network, tokens = text_network(causal=False), tokens_of(3, 5)
    step: Any = text_step(network)
    _, state = step.start(tokens[:, :3])
    both = step.join([step.reorder(state, torch.tensor([2, 0])), step.reorder(state, torch.tensor([1]))])
    log_probs, _ = step(tokens[[2, 0, 1], 3], both)
    assert_near(log_probs, logits_of(network, tokens[[2, 0, 1], :4])[:, -1].log_softmax(dim=-1))


# Encoder-decoder ----------------------------------------------------------------------------------------------

LENGTHS = torch.tensor([7, 4, 5])


def all_logits(network: TransformerSeq2Seq, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
    everywhere = torch.ones_like(target, dtype=torch.bool)
    logits: Tensor = network(source, lengths, target, everywhere)
    return logits.view(*target.shape, -1).log_softmax(dim=-1)


@every_kind
@every_norm
@every_group
def test_the_cached_decoder_equals_the_network(positions: Positions, norm: Norm, num_kv_heads: int) -> None:
    network = pairs_network(positions=positions, norm=norm, num_kv_heads=num_kv_heads, decoder_layers=1)
    source, target = tokens_of(3, 7), tokens_of(3, 20, seed=1)
    expected = all_logits(network, source, LENGTHS, target)
    step: Any = source_step(network)
    state = step.start(source, LENGTHS)
    for place, tokens in enumerate(target.unbind(1)):
        log_probs, state = step(tokens, state)
        assert_near(log_probs, expected[:, place])
        looks = step.attention(state)
        assert looks is not None
        assert_near(looks.sum(dim=1), torch.ones(3))
        assert not looks[1, 4:].any()


@every_kind
@pytest.mark.parametrize("num_kv_heads", [0, 2])
def test_rows_are_moved_repeated_and_joined_whatever_their_lengths(positions: Positions, num_kv_heads: int) -> None:
    network = pairs_network(positions=positions, num_kv_heads=num_kv_heads)
    source, target = tokens_of(3, 7), tokens_of(3, 6, seed=1)
    expected = all_logits(network, source, LENGTHS, target)
    step: Any = source_step(network)
    begin = step.start(source, LENGTHS)
    _, one = step(target[:, 0], begin)
    _, two = step(target[:, 1], step.reorder(one, torch.arange(3)))
    long, short = torch.tensor([2, 0, 0]), torch.tensor([1, 0])
    mixed = step.join([step.reorder(two, long), step.reorder(one, short)])
    log_probs, mixed = step(torch.cat((target[long, 2], target[short, 1])), mixed)
    assert_near(log_probs, torch.cat((expected[long, 2], expected[short, 1])))
    keep = torch.tensor([4, 1])
    log_probs, _ = step(torch.stack((target[0, 2], target[0, 3])), step.reorder(mixed, keep))
    assert_near(log_probs, torch.stack((expected[0, 2], expected[0, 3])))
    # The first state was not spent: a second search may begin with it.
    again, _ = step(target[:, 0], begin)
    assert_near(again, expected[:, 0])


@every_kind
@every_norm
@pytest.mark.parametrize("num_kv_heads", [0, 2])
def test_without_the_mask_a_decoder_step_is_the_network_on_all_that_there_is(
    positions: Positions, norm: Norm, num_kv_heads: int
) -> None:
    network = pairs_network(positions=positions, norm=norm, num_kv_heads=num_kv_heads, causal=False)
    source, target = tokens_of(3, 7), tokens_of(3, 6, seed=1)
    expected = [all_logits(network, source, LENGTHS, target[:, : n + 1])[:, -1] for n in range(6)]
    step: Any = source_step(network)
    state = step.start(source, LENGTHS)
    kept: list[Any] = []
    for place, tokens in enumerate(target.unbind(1)):
        log_probs, state = step(tokens, state)
        assert_near(log_probs, expected[place])
        looks = step.attention(state)
        assert looks is not None
        assert_near(looks.sum(dim=1), torch.ones(3))
        assert not looks[1, 4:].any()
        kept.append(state)
    # Rows of different lengths side by side.
    mixed = step.join([step.reorder(kept[3], torch.tensor([2, 0])), step.reorder(kept[0], torch.tensor([1]))])
    log_probs, mixed = step(torch.stack((target[2, 4], target[0, 4], target[1, 1])), mixed)
    assert_near(log_probs, torch.stack((expected[4][2], expected[4][0], expected[1][1])))
    log_probs, _ = step(torch.stack((target[1, 2], target[2, 5])), step.reorder(mixed, torch.tensor([2, 0])))
    assert_near(log_probs, torch.stack((expected[2][1], expected[5][2])))


def test_without_the_mask_a_target_does_not_see_what_pads_it() -> None:
    network = pairs_network(causal=False)
    source, target = tokens_of(2, 7), tokens_of(2, 6, seed=1)
    wanted = torch.arange(6) < torch.tensor([[3], [6]])
    lengths = torch.tensor([7, 7])
    alone = all_logits(network, source[:1], lengths[:1], target[:1, :3])[0]
    assert_near(network(source, lengths, target, wanted)[:3].log_softmax(dim=-1), alone)


@every_kind
@pytest.mark.parametrize("causal", [True, False])
def test_padding_and_neighbours_change_nothing(positions: Positions, causal: bool) -> None:
    network = pairs_network(positions=positions, causal=causal)
    source, target = tokens_of(3, 7), tokens_of(3, 6, seed=1)
    together = all_logits(network, source, LENGTHS, target)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = all_logits(network, source[row : row + 1, :length], LENGTHS[row : row + 1], target[row : row + 1])
        assert_near(together[row], alone[0])


def test_an_encoder_without_positions_reads_a_bag_of_tokens() -> None:
    source, target = tokens_of(1, 7), tokens_of(1, 6, seed=1)
    turned = source.flip(1)
    lengths = torch.tensor([7])
    for positions in get_args(Positions):
        network = pairs_network(positions=positions)
        same = torch.allclose(
            all_logits(network, source, lengths, target), all_logits(network, turned, lengths, target), atol=NEAR
        )
        assert same == (positions == "none")


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("joint", [True, False])
def test_a_new_encoder_decoder_knows_nothing(tied: bool, joint: bool) -> None:
    torch.manual_seed(0)
    network = TransformerSeq2Seq(
        TransformerSeq2SeqConfig(**{**SIZES, "tied": tied, "joint": joint}), VOCAB if joint else SOURCE_VOCAB, VOCAB
    )
    network.initialise()
    network.eval()
    target = tokens_of(3, 6, seed=1)
    log_probs = all_logits(network, tokens_of(3, 7), LENGTHS, target[:, :-1])
    nats = -log_probs.gather(2, target[:, 1:, None]).mean().item()
    assert nats == pytest.approx(math.log(VOCAB), abs=0.15)
    embeddings = sum(p.shape in {(VOCAB, 16), (SOURCE_VOCAB, 16)} for p in network.parameters())
    assert embeddings == (1 if tied and joint else 2 if tied or joint else 3) + (joint and not tied)
