"""Whole networks against their equations, written out once more from the papers: one sequence, one position at a time.

Nothing of `seqgen.nets` is used but the weights. Where the papers have dropout, `drop` stands; the tests make dropout a
multiplication with `1 + p`, so that a place too few, too many or elsewhere changes the result, and so do two that were
swapped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import pytest
import torch
from tolerances import assert_near
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import (
    Activation,
    Attention,
    Connections,
    Norm,
    Positions,
    RecurrentCell,
    RecurrentConfig,
    Seq2SeqConfig,
    TransformerConfig,
    TransformerLayersConfig,
    TransformerSeq2SeqConfig,
)
from seqgen.nets.dropout import Dropout
from seqgen.nets.recurrent.cells import STATE_PARTS
from seqgen.nets.recurrent.layers import recurrent_layer
from seqgen.nets.recurrent.network import RecurrentNetwork
from seqgen.nets.recurrent.seq2seq import Seq2Seq
from seqgen.nets.recurrent.window import WindowNetwork
from seqgen.nets.transformer.language_model import TransformerNetwork
from seqgen.nets.transformer.seq2seq import TransformerSeq2Seq

Weights = Mapping[str, Tensor]
Drop = Callable[[Tensor], Tensor]
VOCAB = 9
DROPOUT, EMBED_DROPOUT = 0.25, 0.5

every_cell = pytest.mark.parametrize("cell", get_args(RecurrentCell))
both_modes = pytest.mark.parametrize("training", [False, True])


@pytest.fixture(autouse=True)
def _dropout_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dropout, "_dropped", lambda self, values: values * (1.0 + self.p))


def dropping(p: float, training: bool) -> Drop:
    return lambda values: values * (1.0 + p) if training else values


def drawn(network: nn.Module, training: bool) -> Any:
    """A network with random weights everywhere, in fp64."""
    generator = torch.Generator().manual_seed(3)
    for parameter in network.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return network.train(training)


def tokens_of(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(VOCAB, shape, generator=torch.Generator().manual_seed(seed))


# Recurrent cells ----------------------------------------------------------------------------------------------


def sigmoid(x: Tensor) -> Tensor:
    return 1.0 / (1.0 + torch.exp(-x))


def cell_step(cell: RecurrentCell, w: Weights, x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """One step of one sequence: `x` is `(input,)`, the state `(h,)` or `(h, c)`, `(hidden,)` each."""
    h, size = state[0], len(state[0])

    def rows(gate: int) -> slice:
        return slice(gate * size, (gate + 1) * size)

    def read(gate: int) -> Tensor:  # W x + b
        return w["weight_ih_l0"][rows(gate)] @ x + w["bias_ih_l0"][rows(gate)]

    def back(gate: int, h: Tensor) -> Tensor:  # U h + b
        bias = w["bias_hh_l0"][rows(gate)] if "bias_hh_l0" in w else 0.0
        return w["weight_hh_l0"][rows(gate)] @ h + bias

    match cell:
        case "rnn":  # Elman 1990
            return (torch.tanh(read(0) + back(0, h)),)
        case "lstm":  # Hochreiter and Schmidhuber 1997, Gers et al. 2000
            i, f, o = (sigmoid(read(gate) + back(gate, h)) for gate in (0, 1, 3))
            c = f * state[1] + i * torch.tanh(read(2) + back(2, h))
            return o * torch.tanh(c), c
        case "gru":  # Cho et al. 2014, with the reset gate after the product
            r, z = (sigmoid(read(gate) + back(gate, h)) for gate in (0, 1))
            n = torch.tanh(read(2) + r * back(2, h))
            return (z * h + (1.0 - z) * n,)
        case "gru-before":  # Chung et al. 2014, eq. 4 to 8: z is the share of what is new
            r, z = (sigmoid(read(gate) + back(gate, h)) for gate in (0, 1))
            n = torch.tanh(read(2) + back(2, r * h))
            return ((1.0 - z) * h + z * n,)
        case "peephole":  # Gers et al. 2002, eq. 2 to 6
            see_i, see_f, see_o = (v if v.dim() == 2 else torch.diag(v) for v in w["weight_ch_l0"])
            i = sigmoid(read(0) + back(0, h) + see_i @ state[1])
            f = sigmoid(read(1) + back(1, h) + see_f @ state[1])
            c = f * state[1] + i * torch.tanh(read(2) + back(2, h))
            o = sigmoid(read(3) + back(3, h) + see_o @ c)
            return o * torch.tanh(c), c


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in module.named_parameters()}


def zero_state(cell: RecurrentCell, size: int) -> tuple[Tensor, ...]:
    return (torch.zeros(size, dtype=torch.float64),) * STATE_PARTS[cell]


@every_cell
@pytest.mark.parametrize("peephole", ["diagonal", "full"])
def test_a_layer_follows_its_equations(cell: RecurrentCell, peephole: Any) -> None:
    layer = drawn(recurrent_layer(cell, 3, 5, peephole=peephole), training=False)
    values = torch.randn(6, 1, 3, generator=torch.Generator().manual_seed(1)).double()
    outputs, _ = layer(values)
    state = zero_state(cell, 5)
    for x, output in zip(values[:, 0], outputs[:, 0], strict=True):
        state = cell_step(cell, weights_of(layer), x, state)
        assert_near(output, state[0])


# Recurrent language models ------------------------------------------------------------------------------------


def connect(connections: Connections, read: Tensor, written: Tensor) -> Tensor:
    if connections == "dense":
        return torch.cat((read, written))
    return read + written if connections == "residual" and len(read) == len(written) else written


@every_cell
@both_modes
@pytest.mark.parametrize("connections", get_args(Connections))
@pytest.mark.parametrize("variational", [False, True])
def test_a_recurrent_language_model_is_its_layers_with_dropout_between(
    cell: RecurrentCell, training: bool, connections: Connections, variational: bool
) -> None:
    config = RecurrentConfig(
        cell=cell,
        embed_size=4,
        hidden_size=5,
        num_layers=2,
        dropout=DROPOUT,
        embed_dropout=EMBED_DROPOUT,
        connections=connections,
        variational=variational,
    )
    network: RecurrentNetwork = drawn(RecurrentNetwork(config, VOCAB), training)
    tokens = tokens_of(1, 4)
    logits, _ = network(tokens, network.initial_state(1))
    drop, drop_embedded = dropping(DROPOUT, training), dropping(EMBED_DROPOUT, training)
    states = [zero_state(cell, 5)] * 2
    for token, found in zip(tokens[0], logits[0], strict=True):
        hidden = drop_embedded(network.embedding.weight[token])
        for i, layer in enumerate(network.layers):
            states[i] = cell_step(cell, weights_of(layer), hidden, states[i])
            hidden = connect(connections, hidden, drop(states[i][0]))
        assert_near(found, network.output_matrix @ hidden + network.output.bias)


@both_modes
def test_a_window_network_is_its_layers_with_dropout_between(training: bool) -> None:
    config = RecurrentConfig(
        cell="window", window=2, embed_size=4, hidden_size=5, num_layers=2, dropout=DROPOUT, embed_dropout=EMBED_DROPOUT
    )
    network: WindowNetwork = drawn(WindowNetwork(config, VOCAB), training)
    tokens = tokens_of(1, 4)
    logits, _ = network(tokens, network.initial_state(1))
    drop, drop_embedded = dropping(DROPOUT, training), dropping(EMBED_DROPOUT, training)
    (above,) = network.above
    assert isinstance(above, nn.Linear)
    assert network.first.bias is not None
    before = torch.zeros(4, dtype=torch.float64)
    for token, found in zip(tokens[0], logits[0], strict=True):
        now = drop_embedded(network.embedding.weight[token])
        sums = network.first.weight[:, :, 0] @ before + network.first.weight[:, :, 1] @ now + network.first.bias
        hidden = drop(functional.gelu(above(drop(functional.gelu(sums)))))
        assert_near(found, network.output_matrix @ hidden + network.output.bias)
        before = now


# Recurrent encoder-decoders -----------------------------------------------------------------------------------


def attention_score(network: Seq2Seq, query: Tensor, value: Tensor) -> Tensor:
    attention = network.attention
    assert attention is not None
    match attention.kind:
        case "dot":  # Luong et al. 2015, eq. 8
            return query @ value
        case "general":
            return query @ attention.key.weight @ value
        case "additive":  # Bahdanau et al. 2015, appendix A.1.2
            sums = attention.query.weight @ query + attention.key.weight @ value + attention.key.bias
            return (attention.score.weight @ torch.tanh(sums))[0]


def encoded(network: Seq2Seq, source: Tensor, drop: Drop) -> tuple[list[Tensor], list[tuple[Tensor, ...]]]:
    """The last layer's outputs, and each layer's state at its end; two directions side by side."""
    cell, config = network.config.cell, network.config
    suffixes = ("", "_reverse") if config.bidirectional else ("",)
    scale = math.sqrt(config.embed_size)
    values = [drop(scale * network.source_embedding.weight[token]) for token in source]
    ends = []
    for layer in network.encoder:
        named, sides, finals = weights_of(layer), [], []
        for suffix in suffixes:
            own = {name.removesuffix("_reverse"): w for name, w in named.items() if name.endswith("l0" + suffix)}
            state = zero_state(cell, config.hidden_size // len(suffixes))
            outputs = []
            for x in values[::-1] if suffix else values:
                state = cell_step(cell, own, x, state)
                outputs.append(state[0])
            sides.append(outputs[::-1] if suffix else outputs)
            finals.append(state)
        values = [drop(torch.cat(both)) for both in zip(*sides, strict=True)]
        ends.append(tuple(torch.cat(both) for both in zip(*finals, strict=True)))
    return values, ends


@every_cell
@both_modes
@pytest.mark.parametrize("attention", get_args(Attention))
@pytest.mark.parametrize("input_feeding", [False, True])
def test_a_recurrent_encoder_decoder_follows_its_equations(
    cell: RecurrentCell, training: bool, attention: Attention, input_feeding: bool
) -> None:
    config = Seq2SeqConfig(
        cell=cell,
        embed_size=3,
        hidden_size=4,
        attention_size=3,
        num_layers=2,
        dropout=DROPOUT,
        attention=attention,
        input_feeding=input_feeding,
    )
    network: Seq2Seq = drawn(Seq2Seq(config, VOCAB, VOCAB), training)
    source, target = tokens_of(1, 5), tokens_of(1, 4, seed=1)
    found = network(source, torch.tensor([5]), target, torch.ones(1, 4, dtype=torch.bool))
    drop = dropping(DROPOUT, training)
    memory, states = encoded(network, source[0], drop)
    attended = torch.zeros(3, dtype=torch.float64)
    for place, token in enumerate(target[0]):
        hidden = drop(math.sqrt(3) * network.target_matrix.weight[token])
        if input_feeding:  # Luong et al. 2015, section 3.3
            hidden = torch.cat((hidden, attended))
        for i, layer in enumerate(network.decoder):
            states[i] = cell_step(cell, weights_of(layer), drop(hidden) if i else hidden, states[i])
            hidden = states[i][0]
        if attention != "none":  # eq. 5: the context before the state
            scores = torch.stack([attention_score(network, hidden, value) for value in memory])
            weights = torch.exp(scores) / torch.exp(scores).sum()
            hidden = torch.cat((sum(w * value for w, value in zip(weights, memory, strict=True)), hidden))
        attended = torch.tanh(network.readout.weight @ hidden)
        assert_near(found[place], network.output_matrix @ drop(attended) + network.output_bias)


# Transformers -------------------------------------------------------------------------------------------------


def sinusoid(position: int, size: int) -> Tensor:
    """Vaswani et al. 2017, section 3.5."""
    angles = [position / 10_000.0 ** (2 * i / size) for i in range(size // 2)]
    values = [value for angle in angles for value in (math.sin(angle), math.cos(angle))]
    return torch.tensor(values, dtype=torch.float64)


def turned(vector: Tensor, position: int) -> Tensor:
    """Su et al. 2021, eq. 34."""
    size, out = len(vector), []
    for i in range(size // 2):
        angle = position * 10_000.0 ** (-2 * i / size)
        x, y = vector[2 * i], vector[2 * i + 1]
        out += [x * math.cos(angle) - y * math.sin(angle), y * math.cos(angle) + x * math.sin(angle)]
    return torch.stack(out)


def layer_norm(w: Weights, name: str, x: Tensor) -> Tensor:
    centred = x - x.mean()
    return centred / torch.sqrt((centred**2).mean() + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    return w[f"{name}.weight"] @ x + w[f"{name}.bias"]


class Reference:
    """A Transformer by its weights' names, one vector at a time."""

    def __init__(self, config: TransformerLayersConfig, weights: Weights, training: bool) -> None:
        self.config, self.w, self.drop = config, weights, dropping(config.dropout, training)

    def embed(self, name: str, tokens: Tensor) -> list[Tensor]:
        """Section 3.4: embeddings times sqrt(d); section 5.4: dropout of the sums of embeddings and positions."""
        size, vectors = self.config.embed_size, []
        for position, token in enumerate(tokens.tolist()):
            vector = math.sqrt(size) * self.w[f"{name}.weight"][token]
            if self.config.positions == "sinusoidal":
                vector = vector + sinusoid(position, size)
            elif self.config.positions == "learned":
                vector = vector + self.w["positions.table"][position]
            vectors.append(self.drop(vector))
        return vectors

    def attend(self, name: str, asking: list[Tensor], seen: list[Tensor], *, causal: bool, own: bool) -> list[Tensor]:
        """Section 3.2; rotary positions turn the queries and keys of self-attention."""
        config, found = self.config, []
        size, kv = config.head_size, config.kv_heads * config.head_size
        both = [linear(self.w, f"{name}.key_value", x) for x in seen]
        for place, x in enumerate(asking):
            query, heads = linear(self.w, f"{name}.query", x), []
            for head in range(config.num_heads):
                q, group = query[head * size : (head + 1) * size], head * config.kv_heads // config.num_heads
                columns = slice(group * size, (group + 1) * size)
                keys, values = [b[:kv][columns] for b in both], [b[kv:][columns] for b in both]
                if own and config.positions == "rotary":
                    q, keys = turned(q, place), [turned(k, i) for i, k in enumerate(keys)]
                end = place + 1 if causal else len(keys)
                scores = torch.exp(torch.stack([q @ k / math.sqrt(size) for k in keys[:end]]))
                weights = scores / scores.sum()
                heads.append(sum((w * v for w, v in zip(weights, values[:end], strict=True)), torch.zeros(size)))
            found.append(linear(self.w, f"{name}.output", torch.cat(heads)))
        return found

    def feed_forward(self, name: str, x: Tensor) -> Tensor:
        """Section 3.3; swiglu: Shazeer 2020, eq. 6."""
        inner = linear(self.w, f"{name}.inner", x)
        match self.config.activation:
            case "relu":
                inner = torch.clamp(inner, min=0.0)
            case "gelu":
                inner = inner * 0.5 * (1.0 + torch.erf(inner / math.sqrt(2.0)))
            case "swiglu":
                gate, values = inner[: len(inner) // 2], inner[len(inner) // 2 :]
                inner = gate * sigmoid(gate) * values
            case "none":
                pass
        return linear(self.w, f"{name}.outer", self.drop(inner))

    def add(self, norm: str, xs: list[Tensor], part: Callable[[list[Tensor]], list[Tensor]]) -> list[Tensor]:
        """Section 5.4: dropout of what a part makes, before it is added and normalised; pre: Xiong et al. 2020."""
        if self.config.norm == "pre":
            made = part([layer_norm(self.w, norm, x) for x in xs])
            return [x + self.drop(y) for x, y in zip(xs, made, strict=True)]
        return [layer_norm(self.w, norm, x + self.drop(y)) for x, y in zip(xs, part(xs), strict=True)]

    def stack(
        self, name: str, layers: int, xs: list[Tensor], *, causal: bool, memory: list[Tensor] | None = None
    ) -> list[Tensor]:
        for i in range(layers):
            layer = f"{name}.layers.{i}"

            def attend(ys: list[Tensor], layer: str = layer) -> list[Tensor]:
                return self.attend(f"{layer}.attention", ys, ys, causal=causal, own=True)

            def cross(ys: list[Tensor], layer: str = layer) -> list[Tensor]:
                return self.attend(f"{layer}.cross", ys, memory or [], causal=False, own=False)

            def feed(ys: list[Tensor], layer: str = layer) -> list[Tensor]:
                return [self.feed_forward(f"{layer}.feed_forward", y) for y in ys]

            xs = self.add(f"{layer}.attention_norm", xs, attend)
            if memory is not None:
                xs = self.add(f"{layer}.cross_norm", xs, cross)
            xs = self.add(f"{layer}.feed_forward_norm", xs, feed)
        return [layer_norm(self.w, f"{name}.norm", x) for x in xs] if self.config.norm == "pre" else xs


SIZES: dict[str, Any] = {"embed_size": 8, "num_layers": 2, "num_heads": 2, "ffn_size": 6, "dropout": DROPOUT}

transformer_kinds = pytest.mark.parametrize(
    ("positions", "norm", "activation", "num_kv_heads"),
    [
        ("sinusoidal", "post", "relu", 0),
        ("rotary", "pre", "gelu", 1),
        ("learned", "pre", "swiglu", 0),
        ("none", "post", "none", 1),
        ("rotary", "post", "swiglu", 2),
        ("sinusoidal", "pre", "gelu", 1),
    ],
)


def config_fields(positions: Positions, norm: Norm, activation: Activation, num_kv_heads: int) -> dict[str, Any]:
    chosen = {"positions": positions, "norm": norm, "activation": activation, "num_kv_heads": num_kv_heads}
    return {**SIZES, **chosen}


@transformer_kinds
@both_modes
@pytest.mark.parametrize("causal", [True, False])
def test_a_transformer_language_model_follows_the_paper(
    positions: Positions, norm: Norm, activation: Activation, num_kv_heads: int, training: bool, causal: bool
) -> None:
    config = TransformerConfig(**config_fields(positions, norm, activation, num_kv_heads), causal=causal)
    network: TransformerNetwork = drawn(TransformerNetwork(config, VOCAB), training)
    tokens = tokens_of(1, 5)
    logits, _ = network(tokens, network.initial_state(1))
    reference = Reference(config, weights_of(network), training)
    hidden = reference.stack("decoder", 2, reference.embed("embedding", tokens[0]), causal=causal)
    for found, x in zip(logits[0], hidden, strict=True):
        assert_near(found, network.embedding.weight @ x + network.output_bias)


@transformer_kinds
@both_modes
def test_a_transformer_encoder_decoder_follows_the_paper(
    positions: Positions, norm: Norm, activation: Activation, num_kv_heads: int, training: bool
) -> None:
    fields = config_fields(positions, norm, activation, num_kv_heads)
    config = TransformerSeq2SeqConfig(**fields, decoder_layers=1, tied=False, joint=False)
    network: TransformerSeq2Seq = drawn(TransformerSeq2Seq(config, VOCAB, VOCAB), training)
    source, target = tokens_of(1, 5), tokens_of(1, 4, seed=1)
    found = network(source, torch.tensor([5]), target, torch.ones(1, 4, dtype=torch.bool))
    reference = Reference(config, weights_of(network), training)
    memory = reference.stack("encoder", 2, reference.embed("source_embedding", source[0]), causal=False)
    given = reference.embed("target_embedding", target[0])
    hidden = reference.stack("decoder", 1, given, causal=True, memory=memory)
    for logits, x in zip(found, hidden, strict=True):
        assert_near(logits, network.output_matrix @ x + network.output_bias)


# Gradients, by finite differences -----------------------------------------------------------------------------


def check_gradients(network: nn.Module, loss: Callable[[], Tensor]) -> None:
    """Central differences of a few values of every parameter."""
    loss().backward()  # type: ignore[no-untyped-call]
    step = 1e-5
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for place in range(0, len(flat), max(1, len(flat) // 5)):
            value, ends = flat[place].item(), []
            for moved in (value + step, value - step):
                flat[place] = moved
                with torch.no_grad():
                    ends.append(loss().item())
            flat[place] = value
            # The error is of the order step^2; that of the differences' rounding eps / step.
            assert gradient[place].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-8), name


@transformer_kinds
def test_gradients_of_a_transformer_are_finite_differences(
    positions: Positions, norm: Norm, activation: Activation, num_kv_heads: int
) -> None:
    config = TransformerConfig(**config_fields(positions, norm, activation, num_kv_heads), context=5)
    network: TransformerNetwork = drawn(TransformerNetwork(config, VOCAB), training=True)
    tokens = tokens_of(2, 6)

    def loss() -> Tensor:
        logits, _ = network(tokens[:, :-1], network.initial_state(2))
        return functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    check_gradients(network, loss)


@transformer_kinds
def test_gradients_of_a_transformer_encoder_decoder_are_finite_differences(
    positions: Positions, norm: Norm, activation: Activation, num_kv_heads: int
) -> None:
    config = TransformerSeq2SeqConfig(**config_fields(positions, norm, activation, num_kv_heads), context=5)
    network: TransformerSeq2Seq = drawn(TransformerSeq2Seq(config, VOCAB, VOCAB), training=True)
    source, target = tokens_of(2, 5), tokens_of(2, 5, seed=1)
    wanted = torch.arange(4) < torch.tensor([[4], [2]])

    def loss() -> Tensor:
        logits = network(source, torch.tensor([5, 3]), target[:, :-1], wanted)
        return functional.cross_entropy(logits, target[:, 1:][wanted])

    check_gradients(network, loss)
