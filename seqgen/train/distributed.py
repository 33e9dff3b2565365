"""Several processes that train one model: each computes its share of every batch, and the gradients are added up.

    torchrun --nproc-per-node 4 -m seqgen train-lm data.txt
    seqgen train-lm data.txt --processes 4

are the same thing. All processes hold the same weights and take the same decisions; the first one alone reads signals
for all, keeps the clock, and writes. A process that was not started by torchrun is a group of one, for which everything
here does nothing. At an equal number of processes two runs are equal bit for bit; at different numbers they differ by
rounding and by the dropout that each process draws for its own share.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

# Longer than any evaluation of a small model, shorter than a night: a process that died must not hang the others.
TIMEOUT = timedelta(minutes=30)

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """The processes of a run, seen from one of them."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def share(self, total: int) -> slice:
        """This process's part of `total` things in a row."""
        return slice(self.rank * total // self.size, (self.rank + 1) * total // self.size)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        distributed.all_reduce(flat)
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def sum(self, value: float) -> float:
        """The sum of everybody's number."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(tensor)
        return tensor.item()

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        return self.sum(float(flag)) > 0

    def first_says(self, value: float) -> float:
        """The first process's number."""
        return self.sum(value if self.first else 0.0)

    def agree(self, decide: Callable[[], T]) -> T:
        """What the first process decides, told to all; it is something that JSON can say."""
        if self.size == 1:
            return decide()
        said = json.dumps(decide()).encode() if self.first else b""
        length = int(self.first_says(len(said)))
        content = torch.tensor(list(said.ljust(length)), dtype=torch.uint8, device=self.device)
        distributed.broadcast(content, src=0)
        told: T = json.loads(bytes(content.tolist()))
        return told

    def gather(self, tensor: Tensor) -> Tensor:
        """Everybody's part of a tensor, joined along the first dimension in order of rank."""
        if self.size == 1:
            return tensor
        parts = []
        for rank in range(self.size):
            length = int(self.sum(len(tensor) if rank == self.rank else 0))
            part = tensor.contiguous() if rank == self.rank else tensor.new_empty(length, *tensor.shape[1:])
            distributed.broadcast(part, src=rank)
            parts.append(part)
        return torch.cat(parts)

    def wait(self) -> None:
        """Go on when everybody is here."""
        self.sum(0.0)


@contextmanager
def join(device: torch.device) -> Iterator[Group]:
    """Join the group that torchrun started this process in, or be a group of one."""
    if not launched():
        yield Group(device=device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    # An optimizer imports this at its first step. Imported while a group exists, it would hold on to the group for
    # ever, and gloo's threads would outlive the interpreter: now and then such a process is aborted as it exits.
    importlib.import_module("torch._dynamo")
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        group = Group(distributed.get_rank(), distributed.get_world_size(), device)
        yield group
        group.wait()  # leave together: who leaves a group that others still use may be aborted
    finally:
        distributed.destroy_process_group()


def launched() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def launch(processes: int, arguments: list[str]) -> None:
    """Become torchrun, which starts `processes` copies of `seqgen ARGUMENTS`. Does not return."""
    import sys

    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m", "seqgen"]
    os.execv(sys.executable, [sys.executable, *words, *arguments])
