"""Turns of several players: who moves, and what stays as it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seqgen.config import TrainConfig
from seqgen.train.distributed import Group
from seqgen.train.players import Players


def pretrained_pair() -> dict[str, nn.Module]:
    """Two players; the first layer of each is a pretrained part that does not learn."""
    torch.manual_seed(0)
    players: dict[str, nn.Module] = {
        name: nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)) for name in ("one", "other")
    }
    for module in players.values():
        module.get_submodule("0").requires_grad_(False)
    return players


def wanting(module: nn.Module) -> dict[str, bool]:
    return {name: parameter.requires_grad for name, parameter in module.named_parameters()}


@pytest.mark.parametrize("name", ["one", "other"])
def test_a_frozen_part_stays_frozen_through_everybodys_turns(name: str) -> None:
    modules = pretrained_pair()
    before = {key: value.clone() for key, value in modules[name].state_dict().items()}
    players = Players(modules, TrainConfig(steps=3, lr=0.1, weight_decay=0.1, precision="fp32"), Group())
    inside: list[dict[str, bool]] = []

    def loss(part: int) -> Tensor:
        inside.append(wanting(modules[name]))
        outputs: Tensor = modules["one"](torch.ones(4, 2)) + modules["other"](torch.ones(4, 2))
        return outputs.square().mean()

    learns = {"0.weight": False, "0.bias": False, "2.weight": True, "2.bias": True}
    for step in range(3):
        for whose in modules:
            players.turn(whose, loss, 0.1, step)
            assert wanting(modules[name]) == learns
            assert inside.pop() == (learns if whose == name else dict.fromkeys(learns, False))
    changed = {key for key, value in modules[name].state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"2.weight", "2.bias"}


def test_a_failed_turn_leaves_nobody_frozen() -> None:
    modules = pretrained_pair()

    def fails(part: int) -> Tensor:
        raise RuntimeError("no memory")

    players = Players(modules, TrainConfig(steps=3, precision="fp32"), Group())
    before = {name: wanting(module) for name, module in modules.items()}
    with pytest.raises(RuntimeError, match="no memory"):
        players.turn("one", fails, 0.1, 0)
    assert {name: wanting(module) for name, module in modules.items()} == before


def test_a_part_that_two_players_share_learns_in_the_turn_of_each() -> None:
    torch.manual_seed(0)
    shared = nn.Linear(2, 2)
    modules: dict[str, nn.Module] = {name: nn.Sequential(shared, nn.Linear(2, 1)) for name in ("one", "other")}
    players = Players(modules, TrainConfig(steps=3, precision="fp32"), Group())
    for name, module in modules.items():
        before = shared.weight.detach().clone()
        players.turn(name, lambda part, module=module: module(torch.ones(4, 2)).square().mean(), 0.1, 0)  # type: ignore[misc]
        assert not torch.equal(shared.weight, before)
