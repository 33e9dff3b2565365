"""The networks that are trained, each with its optimizer and its averaged weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from seqgen.config import TrainConfig
from seqgen.errors import NonFiniteError
from seqgen.train import machine
from seqgen.train.distributed import Group
from seqgen.train.optim import (
    Average,
    build_optimizer,
    clip_gradients,
    load_optimizer_tensors,
    optimizer_tensors,
    set_learning_rate,
)


class Players:
    """The networks of a task: one of a language model, two of a GAN.

    Args:
        modules (Mapping[str, nn.Module]): by name, on the device of the group already.
        config (TrainConfig): optimizer, clipping, averaging, precision.
        group (Group): the processes of the run.
    """

    def __init__(self, modules: Mapping[str, nn.Module], config: TrainConfig, group: Group) -> None:
        self.modules, self._config, self._group = modules, config, group
        self._optimizers = {name: build_optimizer(module, config) for name, module in modules.items()}
        self._averages = {name: Average(m, config.ema) for name, m in modules.items()} if config.ema else {}

    def turn(self, name: str, share: Callable[[int], Tensor], lr: float, step: int) -> tuple[float, float]:
        """Move one player's weights by one optimizer step.

        Args:
            name (str): whose turn it is; no gradient is computed for the others.
            share (Callable[[int], Tensor]): the share of its mean loss that part i of the batch has.
            lr (float): the learning rate of this step.
            step (int): steps already taken.

        Returns:
            tuple[float, float]: its loss, and the norm of its gradient before clipping.

        Raises:
            NonFiniteError: one of the two is not finite; the player's weights were not touched.
        """
        module, optimizer = self.modules[name], self._optimizers[name]
        loss = self._group.sum(self.gradients(name, share))
        self._group.sum_gradients(module.parameters())
        norm = clip_gradients(module.parameters(), self._config.clip)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise NonFiniteError(
                f"step {step + 1}: the loss of the {name} is {loss:g}, its gradient norm {norm:g}; "
                "its weights were not touched"
            )
        set_learning_rate(optimizer, lr)
        optimizer.step()
        if name in self._averages:
            self._averages[name].update(step)
        return loss, norm

    def gradients(self, name: str, share: Callable[[int], Tensor]) -> float:
        """Compute the gradient of one player's loss over the examples of this process; arguments as of `turn`.

        Returns:
            float: its loss over them.
        """
        module = self.modules[name]
        module.zero_grad()
        loss = 0.0
        with self._only_trains(module):
            for part in range(self._config.grad_accumulation):
                with machine.autocast(self._config.precision, self._group.device):
                    value = share(part)
                value.backward()  # type: ignore[no-untyped-call]
                loss += float(value.detach())
        return loss

    @contextmanager
    def judged(self) -> Iterator[None]:
        """The weights that are judged and published, the averaged ones where they are kept, in evaluation mode."""
        for average in self._averages.values():
            average.swap()
        for module in self.modules.values():
            module.eval()
        try:
            yield
        finally:
            for average in self._averages.values():
                average.swap()
            for module in self.modules.values():
                module.train()

    # State ------------------------------------------------------------------------------------------------

    def tensors(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The judged weights, and what else training needs: trained weights where these differ, optimizer moments."""
        weights: dict[str, Tensor] = {}
        training: dict[str, Tensor] = {}
        for name, module in self.modules.items():
            prefix, trained = self._prefix(name), module.state_dict()
            judged = self._averages[name].weights if name in self._averages else trained
            weights |= {f"{prefix}{key}": value for key, value in judged.items()}
            if name in self._averages:
                training |= {f"weights/{prefix}{key}": value for key, value in trained.items()}
            moments = optimizer_tensors(module, self._optimizers[name])
            training |= {f"optimizer/{name}/{key}": value for key, value in moments.items()}
        return weights, training

    def load(self, weights: Mapping[str, Tensor], training: Mapping[str, Tensor]) -> None:
        """Restore what `tensors` gave.

        Raises:
            RuntimeError: names or shapes are those of other networks.
            KeyError: likewise.
        """
        trained = below("weights/", training) or weights
        for name, module in self.modules.items():
            prefix = self._prefix(name)
            module.load_state_dict(below(prefix, trained))
            if name in self._averages:
                device = self._group.device
                self._averages[name].weights = {k: v.to(device) for k, v in below(prefix, weights).items()}
            load_optimizer_tensors(module, self._optimizers[name], below(f"optimizer/{name}/", training))

    def _prefix(self, name: str) -> str:
        """A model of one network has plain names; of several, each name begins with its player."""
        return "" if len(self.modules) == 1 else f"{name}."

    @contextmanager
    def _only_trains(self, module: nn.Module) -> Iterator[None]:
        """Freeze the others for a while; what was frozen before, such as a pretrained part, stays so."""
        own = set(module.parameters())
        others = {p for other in self.modules.values() for p in other.parameters() if p.requires_grad} - own
        for parameter in others:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in others:
                parameter.requires_grad_(True)


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, named without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
