from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from seqgen.config import (
    Attention,
    Cell,
    FeatureConfig,
    GanBody,
    GanConfig,
    ImageFormat,
    PeepholeKind,
    Positions,
    RecurrentConfig,
    Schedule,
    Seq2SeqConfig,
    TrainConfig,
    TransformerConfig,
    TransformerSeq2SeqConfig,
)
from seqgen.nets.images.features import FeatureNetwork
from seqgen.nets.recurrent.layers import initialise, recurrent_layer
from seqgen.nets.recurrent.network import RecurrentNetwork
from seqgen.tasks.gan.model import Adversaries
from seqgen.tasks.language.model import language_network
from seqgen.tasks.translation.model import translation_network
from seqgen.train.optim import (
    FULL_PEEPHOLES,
    Average,
    build_optimizer,
    clip_gradients,
    learning_rate,
    load_optimizer_tensors,
    optimizer_tensors,
    set_learning_rate,
)


def config_of(*, schedule: Schedule = "cosine", warmup_steps: int = 4, weight_decay: float = 0.1) -> TrainConfig:
    return TrainConfig(steps=100, lr=0.01, schedule=schedule, warmup_steps=warmup_steps, weight_decay=weight_decay)


def network() -> RecurrentNetwork:
    torch.manual_seed(0)
    made = RecurrentNetwork(RecurrentConfig(cell="lstm", embed_size=3, hidden_size=4, num_layers=2, dropout=0.0), 5)
    made.initialise()
    return made


def gradients(*values: list[float]) -> list[nn.Parameter]:
    parameters = [nn.Parameter(torch.zeros(len(value))) for value in values]
    for parameter, value in zip(parameters, values, strict=True):
        parameter.grad = torch.tensor(value)
    return parameters


def grads_of(parameters: list[nn.Parameter]) -> list[list[float]]:
    return [parameter.grad.tolist() for parameter in parameters if parameter.grad is not None]


def train_step(net: RecurrentNetwork, optimizer: torch.optim.Optimizer, seed: int) -> None:
    tokens = torch.randint(5, (2, 6), generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    net(tokens, net.initial_state(2))[0].square().mean().backward()
    optimizer.step()


# Clipping -----------------------------------------------------------------------------------------------------


def test_clipping_scales_all_gradients_together() -> None:
    # The norm of (3, 0) and (4) together is 5; clipped to 1 each is a fifth.
    parameters = gradients([3.0, 0.0], [4.0])
    assert clip_gradients(parameters, 1.0) == pytest.approx(5.0)
    assert grads_of(parameters) == [pytest.approx([0.6, 0.0]), pytest.approx([0.8])]


def test_small_gradients_are_left_alone() -> None:
    parameters = gradients([3.0, 0.0], [4.0])
    assert clip_gradients(parameters, 5.5) == pytest.approx(5.0)
    assert grads_of(parameters) == [[3.0, 0.0], [4.0]]


def test_a_maximum_of_zero_only_measures() -> None:
    parameters = gradients([300.0], [-400.0])
    assert clip_gradients(parameters, 0.0) == pytest.approx(500.0)
    assert grads_of(parameters) == [[300.0], [-400.0]]


def test_parameters_without_a_gradient_do_not_count() -> None:
    assert clip_gradients([*gradients([2.0]), nn.Parameter(torch.ones(3))], 1.0) == pytest.approx(2.0)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_gradient_that_is_no_number_shows_in_the_norm(bad: float) -> None:
    assert not math.isfinite(clip_gradients(gradients([1.0], [bad]), 1.0))


# Learning rate ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_warm_up_is_linear(schedule: Schedule) -> None:
    # Four steps of warm-up: 1/5, 2/5, 3/5, 4/5, and then all of it.
    rates = [learning_rate(config_of(schedule=schedule), step, 0.0, 4) for step in range(7)]
    assert rates == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.01, 0.01, 0.01])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        # 0.01 * (1 + cos(pi p)) / 2 at p = 0, 1/4, 1/2, 1: cos(pi / 4) = 0.707107.
        ("cosine", [0.01, 0.00853553, 0.005, 0.0]),
        ("linear", [0.01, 0.0075, 0.005, 0.0]),
        ("constant", [0.01, 0.01, 0.01, 0.01]),
    ],
)
def test_the_decay_follows_its_schedule(schedule: Schedule, expected: list[float]) -> None:
    rates = [learning_rate(config_of(schedule=schedule), 50, progress, 4) for progress in (0.0, 0.25, 0.5, 1.0)]
    assert rates == pytest.approx(expected, abs=1e-8)


def test_without_warm_up_the_first_step_takes_the_full_rate() -> None:
    assert learning_rate(config_of(), 0, 0.0, 0) == 0.01


# Averages -----------------------------------------------------------------------------------------------------


class Numbers(nn.Module):
    """One weight, and one counter that is not a float."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([value]))
        self.register_buffer("count", torch.tensor([0]))


def set_to(module: Numbers, value: float, count: int) -> None:
    module.weight.data.fill_(value)
    module.get_buffer("count").fill_(count)


def test_an_average_on_paper() -> None:
    module = Numbers(1.0)
    average = Average(module, decay=0.5)
    set_to(module, 3.0, 1)
    # Step 0: the decay is min(0.5, 1/10) = 0.1; 0.1 * 1 + 0.9 * 3 = 2.8.
    average.update(0)
    assert average.weights["weight"].item() == pytest.approx(2.8)
    set_to(module, 0.0, 2)
    # Step 2: the decay is min(0.5, 3/12) = 0.25; 0.25 * 2.8 + 0.75 * 0 = 0.7.
    average.update(2)
    assert average.weights["weight"].item() == pytest.approx(0.7)
    set_to(module, 1.7, 3)
    # Step 90: the decay is min(0.5, 91/100) = 0.5; 0.5 * 0.7 + 0.5 * 1.7 = 1.2.
    average.update(90)
    assert average.weights["weight"].item() == pytest.approx(1.2)
    assert average.weights["count"].item() == 3
    assert module.weight.item() == pytest.approx(1.7)


def test_a_swap_exchanges_and_a_second_one_undoes_it() -> None:
    module = Numbers(1.0)
    average = Average(module, decay=0.5)
    set_to(module, 3.0, 7)
    average.swap()
    assert (module.weight.item(), module.get_buffer("count").item()) == (1.0, 0)
    assert average.weights["weight"].item() == 3.0
    average.swap()
    assert (module.weight.item(), module.get_buffer("count").item()) == (3.0, 7)
    assert average.weights["weight"].item() == 1.0


def test_a_swap_keeps_the_parameters_that_the_optimizer_knows() -> None:
    module = Numbers(1.0)
    parameter = module.weight
    Average(module, decay=0.5).swap()
    assert module.weight is parameter


# The optimizer ------------------------------------------------------------------------------------------------


def test_weight_decay_spares_embeddings_recurrence_and_biases() -> None:
    net = network()
    optimizer = build_optimizer(net, config_of())
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    decayed, spared = (
        {
            names[id(p)]
            for group in optimizer.param_groups
            if bool(group["weight_decay"]) == wanted
            for p in group["params"]
        }
        for wanted in (True, False)
    )
    assert decayed == {"layers.0.weight_ih_l0", "layers.1.weight_ih_l0", "output.weight"}
    assert "embedding.weight" in spared
    assert "layers.1.weight_hh_l0" in spared
    assert decayed | spared == set(names.values())


IMAGES = ImageFormat(channels=1, height=8, width=8, classes=("a", "b"))


def recurrent(cell: Cell, **more: Any) -> nn.Module:
    return language_network(RecurrentConfig(cell=cell, embed_size=4, hidden_size=6, layer_norm=True, **more), 9)


def encoder_decoder(attention: Attention) -> nn.Module:
    sizes: dict[str, Any] = {"embed_size": 4, "hidden_size": 6, "attention_size": 5, "num_layers": 2}
    return translation_network(Seq2SeqConfig(attention=attention, joint=False, tied=False, **sizes), 9, 8)


def transformer(kind: type[TransformerConfig] | type[TransformerSeq2SeqConfig], positions: Positions) -> nn.Module:
    config = kind(positions=positions, tied=positions == "rotary", embed_size=4, num_heads=2, num_layers=1, context=8)
    if isinstance(config, TransformerSeq2SeqConfig):
        return translation_network(config, 9, 9)
    return language_network(config, 9)


def adversaries(body: GanBody) -> nn.Module:
    config = GanConfig(arch="cgan", body=body, latent_size=3, generator_size=2, discriminator_size=2)
    return Adversaries(IMAGES, config)


NETWORKS: list[Callable[[], nn.Module]] = [
    *(partial(recurrent, cell) for cell in get_args(Cell)),
    partial(recurrent, "peephole", peephole="full"),
    partial(recurrent, "lstm", tied=True, connections="dense"),
    *(partial(encoder_decoder, attention) for attention in get_args(Attention)),
    *(partial(transformer, TransformerConfig, positions) for positions in get_args(Positions)),
    *(partial(transformer, TransformerSeq2SeqConfig, positions) for positions in get_args(Positions)),
    *(partial(adversaries, body) for body in get_args(GanBody)),
    partial(FeatureNetwork, FeatureConfig(base_size=2, feature_size=2, hidden_size=2), IMAGES),
]
# By a part of their names: tables that are read row by row, and what works on the state.
TABLES = ("embedding.weight", "positions.table", "label.weight", "label.parametrizations")
RECURRENT = ("weight_hh", "weight_ch")


@pytest.mark.parametrize("decay_recurrent", [False, True])
@pytest.mark.parametrize("build", NETWORKS, ids=range(len(NETWORKS)))
def test_weight_decay_spares_the_same_things_in_all_networks(
    build: Callable[[], nn.Module], decay_recurrent: bool
) -> None:
    net = build()
    config = TrainConfig(steps=1, weight_decay=0.1, decay_recurrent=decay_recurrent)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    decay = {names[id(p)]: g["weight_decay"] for g in build_optimizer(net, config).param_groups for p in g["params"]}
    spared = TABLES if decay_recurrent else TABLES + RECURRENT
    for name, parameter in net.named_parameters():
        spare = parameter.ndim == 1 or any(part in name for part in spared)  # of one dimension: gains and biases
        assert decay[name] == (0.0 if spare else 0.1), name


@pytest.mark.parametrize(("kind", "pace"), [("diagonal", 1.0), ("full", FULL_PEEPHOLES)])
def test_full_peepholes_learn_slowly(kind: PeepholeKind, pace: float) -> None:
    layer = recurrent_layer("peephole", 3, 4, peephole=kind)
    initialise(layer, 1.0)
    optimizer = build_optimizer(layer, config_of(weight_decay=0.0))
    before = {name: parameter.detach().clone() for name, parameter in layer.named_parameters()}
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    set_learning_rate(optimizer, 0.01)
    optimizer.step()
    for name, parameter in layer.named_parameters():
        # Adam's first step is the learning rate in the direction of each gradient's sign.
        expected = 0.01 * (pace if name == "weight_ch_l0" else 1.0)
        torch.testing.assert_close(before[name] - parameter.detach(), torch.full_like(parameter, expected))


def test_decayed_weights_shrink_without_a_gradient() -> None:
    net = network()
    optimizer = build_optimizer(net, config_of())
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    # Decoupled decay: 1 - lr * decay = 1 - 0.01 * 0.1 = 0.999.
    torch.testing.assert_close(net.output.weight, 0.999 * before["output.weight"])
    assert torch.equal(net.embedding.weight, before["embedding.weight"])


def test_a_module_with_spared_parameters_only_can_be_trained() -> None:
    optimizer = build_optimizer(nn.Embedding(3, 2), config_of())
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0]


def test_an_optimizer_has_no_tensors_before_its_first_step() -> None:
    net = network()
    assert optimizer_tensors(net, build_optimizer(net, config_of())) == {}


def test_a_restored_optimizer_takes_the_same_step() -> None:
    net, again = network(), network()
    optimizer, restored = build_optimizer(net, config_of()), build_optimizer(again, config_of())
    for seed in range(3):
        train_step(net, optimizer, seed)
    saved = {name: tensor.clone() for name, tensor in optimizer_tensors(net, optimizer).items()}
    assert {"output.bias.exp_avg", "output.bias.exp_avg_sq", "output.bias.step"} <= set(saved)
    assert saved["output.bias.step"].item() == 3
    again.load_state_dict(net.state_dict())
    load_optimizer_tensors(again, restored, saved)
    train_step(net, optimizer, 9)
    train_step(again, restored, 9)
    for one, other in zip(net.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_restoring_copies_so_that_the_source_stays() -> None:
    net = network()
    optimizer = build_optimizer(net, config_of())
    train_step(net, optimizer, 0)
    saved: dict[str, Tensor] = {name: tensor.clone() for name, tensor in optimizer_tensors(net, optimizer).items()}
    before = saved["output.bias.exp_avg"].clone()
    load_optimizer_tensors(net, optimizer, saved)
    train_step(net, optimizer, 1)
    assert torch.equal(saved["output.bias.exp_avg"], before)


@pytest.mark.parametrize("decay_recurrent", [False, True])
def test_what_works_on_the_state_is_decayed_only_if_asked(decay_recurrent: bool) -> None:
    made = RecurrentNetwork(RecurrentConfig(cell="peephole", peephole="full", num_layers=1), 5)
    made.initialise()
    config = TrainConfig(steps=1, weight_decay=0.1, decay_recurrent=decay_recurrent)
    groups = build_optimizer(made, config).param_groups
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    for name in ("weight_hh_l0", "weight_ch_l0"):
        assert (id(made.layers[0].get_parameter(name)) in decayed) == decay_recurrent
    assert id(made.layers[0].get_parameter("weight_ih_l0")) in decayed
