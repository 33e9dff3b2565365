"""The peephole cell learns precise timing where a plain LSTM of the same size seldom does.

Gers, Schraudolph and Schmidhuber (2002, "Learning precise timing with LSTM recurrent networks", JMLR 3) had one memory
cell measure the time between spikes. Here a spike comes in every 5 to 20 steps, and the network must answer exactly 10
steps later, if no other has come in by then: never earlier, never later, and with silence otherwise. As in the paper
there is one cell and the error is squared. A unit that counts in its cell c must show nothing while it counts, a spike
at ten and nothing at eleven. Gates that see c are thresholds on the counter; those of the plain LSTM see h only, that
is what the output gate lets out.

Whether one network learns it is chance, so that 64 are trained at once. Measured: 30 of 64 with peepholes, 2 of 64
without (at rate 0.06 15 and 4); the bounds below leave room for another machine's rounding.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from seqgen.config import RecurrentCell
from seqgen.nets.recurrent.layers import initialise, recurrent_layer

NETWORKS = 64
DELAY = 10
SHORTEST, LONGEST = 5, 20
"""The time between two spikes, in steps."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def spikes(batch: int, time: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Spikes at step 0 and random times after, and the answers to them, both `(time, batch, 1)`, of zeros and ones."""
    gaps = torch.randint(SHORTEST, LONGEST + 1, (time // SHORTEST + 1, batch), generator=generator)
    heard, answers = torch.zeros(2, time + LONGEST * len(gaps), batch)
    at = gaps.cumsum(0) - gaps[0]
    heard.scatter_(0, at, 1.0)
    due = torch.cat([(gaps[1:] > DELAY).float(), torch.zeros(1, batch)])  # one that comes in time stops the clock
    answers.scatter_(0, at + DELAY, due)
    return heard[:time, :, None], answers[:time, :, None]


class OneUnitNetworks(nn.Module):
    """Networks of one unit and a linear output each, side by side: one layer whose recurrent matrix stays diagonal."""

    def __init__(self, cell: RecurrentCell) -> None:
        super().__init__()
        self.layer = recurrent_layer(cell, 1, NETWORKS)
        units = [recurrent_layer(cell, 1, 1) for _ in range(NETWORKS)]
        for unit in units:
            initialise(unit, input_gain=1.0, init_scale=0.1)
        diagonal = torch.eye(NETWORKS)
        for name, parameter in self.layer.named_parameters():
            values = torch.cat([unit.get_parameter(name).detach().reshape(-1, 1) for unit in units], dim=1)
            if name.startswith("weight_hh"):
                values = values[:, :, None] * diagonal
                mask = diagonal.repeat(len(parameter) // NETWORKS, 1)
                parameter.register_hook(mask.mul)  # type: ignore[no-untyped-call]
            parameter.data.copy_(values.reshape(parameter.shape))
        self.scale = nn.Parameter(torch.ones(NETWORKS))
        self.shift = nn.Parameter(torch.zeros(NETWORKS))

    def forward(self, heard: Tensor) -> Tensor:
        """What each network answers, `(time, batch, networks)`."""
        outputs: Tensor = self.layer(heard)[0]
        return outputs * self.scale + self.shift


def clip(networks: OneUnitNetworks) -> None:
    """Clip the gradient of each network to norm 1: the last axis of every parameter, unrolled, counts networks."""
    gradients = [p.grad.view(-1, NETWORKS) for p in networks.parameters() if p.grad is not None]
    factor = torch.cat(gradients).norm(dim=0).clamp(min=1.0).reciprocal()
    for gradient in gradients:
        gradient.mul_(factor)


def train(cell: RecurrentCell, steps: int = 1500, rate: float = 0.1) -> OneUnitNetworks:
    """Each network by itself: the losses are added up, the gradients clipped one by one."""
    torch.manual_seed(0)
    networks = OneUnitNetworks(cell)
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(networks.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        heard, answers = spikes(4, 40, generator)
        weight = 1.0 + 3.0 * answers  # silence is more frequent
        loss = (weight * (networks(heard) - answers).square()).sum() / 4
        optimizer.zero_grad()
        loss.backward()
        clip(networks)
        optimizer.step()
        schedule.step()
    return networks


def solved(cell: RecurrentCell) -> int:
    """How many of the networks answer at every right step and no other, in sequences ten times as long."""
    networks = train(cell)
    heard, answers = spikes(16, 400, torch.Generator().manual_seed(2))
    with torch.inference_mode():
        right = (networks(heard) > 0.5) == (answers > 0.5)
    return int(right.flatten(0, 1).all(0).sum())


@pytest.mark.slow
def test_one_unit_times_a_spike_if_its_gates_see_the_cell() -> None:
    assert solved("lstm") <= NETWORKS // 8
    assert solved("peephole") >= NETWORKS // 4
