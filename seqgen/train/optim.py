"""From gradients to weights: optimizer, clipping, learning rate, averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from seqgen.config import TrainConfig
from seqgen.nets.transformer.layers import TokenEmbedding
from seqgen.nets.transformer.positions import Positions

# Matrices that see the cells learn at this share of the rate. Cells have no bound as states have: at the full rate the
# gates open on them, they grow, the gates see more, and ten minutes of tiny Shakespeare end at 2.24 nats, not 1.64.
FULL_PEEPHOLES = 0.1


def build_optimizer(module: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) in one fused pass over all parameters.

    Weight decay spares biases and gains, embeddings and learned positions, and, unless `decay_recurrent`, what works on
    the state: to pull `U` towards zero makes gradients vanish sooner and shortens the memory that it is there for.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    tables = _tables(module)
    for name, parameter in module.named_parameters():
        recurrent = "weight_hh" in name or "weight_ch" in name
        spare = parameter.ndim < 2 or (recurrent and not config.decay_recurrent) or id(parameter) in tables
        pace = FULL_PEEPHOLES if "weight_ch" in name and parameter.ndim == 3 else 1.0
        groups.setdefault((0.0 if spare else config.weight_decay, pace), []).append(parameter)
    settings = [{"params": group, "weight_decay": decay, "pace": pace} for (decay, pace), group in groups.items()]
    return torch.optim.AdamW(settings, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)


def _tables(module: nn.Module) -> set[int]:
    """What is read row by row, by identity: vectors of tokens, labels and positions.

    A row that few batches contain would shrink at every step between them.
    """
    tables = (part for part in module.modules() if isinstance(part, nn.Embedding | TokenEmbedding | Positions))
    return {id(parameter) for table in tables for parameter in table.parameters()}


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """The learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["pace"]


def learning_rate(config: TrainConfig, step: int, progress: float, warmup_steps: int) -> float:
    """The learning rate of one step: a linear warm-up, then a decay to zero over the run.

    Args:
        config (TrainConfig): peak rate and shape of the decay.
        step (int): steps already taken.
        progress (float): how much of the run after warm-up is done, in [0, 1].
        warmup_steps (int): in which the rate rises; `config` says how many are wanted, a short run has fewer.
    """
    warm = min(1.0, (step + 1) / (warmup_steps + 1))
    if config.schedule == "cosine":
        return config.lr * warm * 0.5 * (1.0 + math.cos(math.pi * progress))
    if config.schedule == "linear":
        return config.lr * warm * (1.0 - progress)
    return config.lr * warm


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> float:
    """Scale all gradients together so that their global norm is at most `max_norm`.

    A step in the same direction, but smaller (Pascanu et al. 2013). A `max_norm` of 0 only measures.

    Returns:
        float: the norm before clipping; infinite or not-a-number if any gradient is.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if max_norm > 0 and norm > max_norm:
        torch._foreach_mul_(gradients, max_norm / norm)
    return float(norm)


class Average:
    """Exponential moving average of a network's weights, usually better than the last weights themselves.

    `average = decay * average + (1 - decay) * weights` after each step, with a smaller decay at the start,
    `(1 + step) / (10 + step)`, so that the average forgets the initial weights.

    Args:
        module (nn.Module): the network; it goes on training.
        decay (float): in (0, 1).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._module, self._decay = module, decay
        self.weights = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step `step`; what is not a float, such as a counter, is copied."""
        decay = min(self._decay, (1 + step) / (10 + step))
        current = self._module.state_dict()
        floats = [name for name, value in self.weights.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.weights[n] for n in floats], [current[n] for n in floats], 1.0 - decay)
        for name in self.weights.keys() - set(floats):
            self.weights[name].copy_(current[name])

    def swap(self) -> None:
        """Exchange the network's weights and the average; a second call undoes the first."""
        current = {name: value.detach().clone() for name, value in self._module.state_dict().items()}
        self._module.load_state_dict(self.weights)
        self.weights = current


def optimizer_tensors(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's memory by parameter name, such as `output.bias.exp_avg`; empty before the first step."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return {
        f"{names[id(parameter)]}.{key}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def load_optimizer_tensors(module: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restore what `optimizer_tensors` gave, in the memory layout of the parameters: a fused step relies on it."""
    parameters = dict(module.named_parameters())
    for path, value in tensors.items():
        name, key = path.rsplit(".", 1)
        parameter = parameters[name]
        like = parameter.detach() if value.shape == parameter.shape else value
        restored = torch.empty_like(like, dtype=value.dtype, device=parameter.device)
        optimizer.state[parameter][key] = restored.copy_(value)
