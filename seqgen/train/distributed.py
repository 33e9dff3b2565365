"""Several processes that train one model: each computes its share of every batch, and the gradients are added up.

All processes hold the same weights. What depends on a clock, a disk or a signal is decided by the first and told to all
(`Group.agree`); it also judges and writes, while the others wait. A process that was not started as one of several
(`seqgen.train.launch`) is a group of one, for which everything here does nothing. At an equal number of processes two
runs are equal bit for bit; at different numbers they differ by rounding and by the dropout that each process draws for
its own share. Batch norm reads the share of its process.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from seqgen.errors import TrainingError
from seqgen.train import machine
from seqgen.train.launch import launched

# A step takes minutes at most. What the first process does while the others wait, such as to tokenise, may take days;
# gloo notices within a second or so when it dies meanwhile.
TIMEOUT, PATIENCE = timedelta(minutes=30), timedelta(days=30)
# How long one that failed waits for the first process to say so.
HEARING_SECONDS = 10.0

T = TypeVar("T")


class LostProcessError(TrainingError):
    """Another process has ended, and said why if it could."""

    def __init__(self) -> None:
        super().__init__(
            "another process of this run was killed or could not be reached", hint="--resume goes on from the last save"
        )


@dataclass(frozen=True)
class Group:
    """The processes of a run, as one of them knows them."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    patient: list[distributed.ProcessGroup] = field(default_factory=list)
    """The same processes, for waits without a limit; emptied at the end, for gloo's threads live while it is held."""

    @property
    def first(self) -> bool:
        """Whether this process is the one that decides and writes."""
        return self.rank == 0

    def share(self, total: int) -> slice:
        """This process's part of `total` things in a row: of too few, the first processes get one and others none."""
        return slice(-(-self.rank * total // self.size), -(-(self.rank + 1) * total // self.size))

    def agree(self, decide: Callable[[], T]) -> T:
        """What the first process decides, told to all, who wait for it as long as it takes.

        Args:
            decide (Callable[[], T]): called in the first process only; gives something that JSON can say. An error is
                told as well: then it is raised in the first process, and the others end silently with its exit code.
        """
        if self.size == 1:
            return decide()
        answer: dict[str, Any] = {}
        failure = None
        if self.first:
            try:
                answer["said"] = decide()
            except Exception as error:
                failure = error
                answer["failed"] = getattr(error, "exit_code", 1)
        told = self._told(answer)
        if failure:
            raise failure
        if "failed" in told:
            raise SystemExit(told["failed"])
        said: T = told["said"]
        return said

    def _told(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The first process's answer, in every process."""
        content = torch.tensor(list(json.dumps(answer).encode()) if self.first else [], dtype=torch.uint8)
        length = torch.tensor(len(content))
        with _together():
            distributed.broadcast(length, src=0, group=self.patient[0])
            if not self.first:
                content = torch.empty(int(length), dtype=torch.uint8)
            distributed.broadcast(content, src=0, group=self.patient[0])
        told: dict[str, Any] = json.loads(bytes(content.tolist()))
        return told

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes, in one message; who has none, for its share is empty, adds zero."""
        if self.size == 1:
            return
        trained = [p for p in parameters if p.requires_grad]
        parts = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in trained]
        present = parts[0].new_tensor([p.grad is not None for p in trained])
        flat = torch.cat([*parts, present])
        with _together():
            distributed.all_reduce(flat)
        *sums, found = torch.split(flat, [*map(len, parts), len(present)])
        for parameter, total, wanted in zip(trained, sums, found.tolist(), strict=True):
            if wanted:  # a parameter without a gradient anywhere stays without: the optimizer passes it over
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad.copy_(total.view_as(parameter))

    def sum(self, value: float) -> float:
        """The sum of everybody's number."""
        return self._reduced(value, distributed.ReduceOp.SUM)

    def most(self, value: float) -> float:
        """The largest of everybody's numbers."""
        return self._reduced(value, distributed.ReduceOp.MAX)

    def _reduced(self, value: float, how: distributed.ReduceOp.RedOpType) -> float:
        if self.size == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=self.device)
        with _together():
            distributed.all_reduce(tensor, how)
        return tensor.item()

    def gather(self, tensor: Tensor) -> Tensor:
        """Everybody's part of a tensor, joined along the first dimension in order of rank."""
        if self.size == 1:
            return tensor
        parts = []
        for rank in range(self.size):
            length = int(self.sum(len(tensor) if rank == self.rank else 0))
            if length == 0:
                continue
            part = tensor.contiguous() if rank == self.rank else tensor.new_empty(length, *tensor.shape[1:])
            with _together():
                distributed.broadcast(part, src=rank)
            parts.append(part)
        return torch.cat(parts) if parts else tensor

    def wait(self) -> None:
        """Go on when everybody is here."""
        self.agree(lambda: None)
        self.sum(0.0)


@contextmanager
def _together() -> Iterator[None]:
    """What fails in a message between processes is that another one is gone."""
    try:
        yield
    except RuntimeError as error:
        raise LostProcessError from error


@contextmanager
def join(device_name: str) -> Iterator[Group]:
    """Join the group that this process was started in, or be a group of one.

    An error is said by one process, with its exit code for all: by the first, unless another one failed alone.

    Args:
        device_name (str): as `choose_device` takes it.

    Raises:
        UsageError: there is no such device.
    """
    if not launched():
        yield Group(device=machine.choose_device(device_name))
        return
    # An optimizer imports this at its first step. Imported while a group exists, it would hold on to the group for
    # ever, and gloo's threads would outlive the interpreter: now and then such a process is aborted as it exits.
    importlib.import_module("torch._dynamo")
    store, rank, size = next(rendezvous("env://", timeout=TIMEOUT))
    try:
        yield from _joined(store, rank, size, device_name)
    except Exception as error:
        if _speaks(store, rank, error):
            raise
        raise SystemExit(getattr(error, "exit_code", 1)) from None
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _joined(store: Store, rank: int, size: int, device_name: str) -> Iterator[Group]:
    device = machine.choose_device(device_name)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    group = Group(rank, size, device, [distributed.new_group(backend="gloo", timeout=PATIENCE)])
    try:
        yield group
        group.wait()  # leave together: who leaves a group that others still use may be aborted
    finally:
        group.patient.clear()


def _speaks(store: Store, rank: int, error: Exception) -> bool:
    """Whether this process says what went wrong."""
    lost = isinstance(error, LostProcessError)
    try:
        silent = lost and store.check(["said"]) if rank == 0 else lost or _is_said(store)
        if not silent:
            store.set("said", "by one")
    except distributed.DistNetworkError:  # the first process, which keeps the store, is gone: it failed too
        return False
    return not silent


def _is_said(store: Store) -> bool:
    """Whether the first process says within a while that something is wrong."""
    deadline = time.monotonic() + HEARING_SECONDS
    while not store.check(["said"]):  # a wait with a limit would log on stderr
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
