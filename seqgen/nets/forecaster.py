"""Networks that forecast: quantiles of the next values of a series, by what came before.

finite response: dense layers over the last N values; nothing that lies further back has any effect.
infinite response: the state of a recurrent network, a function of all values before, if a fading one.

Quantiles cannot cross: the median is given, and each one away from it adds a positive step,
`q(k + 1) = q(k) + softplus(s(k))`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import ForecasterConfig
from seqgen.config.forecasting import LEVELS
from seqgen.nets.dropout import Dropout
from seqgen.nets.recurrent.layers import initialise, recurrent_layer

SIDE = len(LEVELS) // 2
# Of the band before the training, in steps of unit size.
FIRST_STEP = 0.5


class Forecaster(nn.Module):
    """Quantiles of the next values.

    Args:
        config (ForecasterConfig): kind and sizes.
        window (int): features of the window of the last values.
        step (int): features of each time step, which a recurrent network reads.
    """

    def __init__(self, config: ForecasterConfig, window: int, step: int) -> None:
        super().__init__()
        self.config = config
        hidden, outputs = config.hidden_size, config.horizon * len(LEVELS)
        self.linear = nn.Linear(window, config.horizon) if config.linear else None
        if config.response == "finite":
            sizes = [window, *[hidden] * (config.num_layers - 1)]
            self.layers = nn.ModuleList(nn.Linear(size, hidden) for size in sizes)
        else:
            sizes = [step, *[hidden] * (config.num_layers - 1)]
            self.layers = nn.ModuleList(recurrent_layer(config.cell, size, hidden) for size in sizes)
        self.dropout = Dropout(config.dropout)
        self.output = nn.Linear(hidden, outputs)

    def initialise(self) -> None:
        """Set the weights before training: the layers add nothing at first, and the band is as wide as a step."""
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
            else:
                initialise(layer, 1.0)
        nn.init.zeros_(self.output.weight)
        bias = torch.zeros(self.config.horizon, len(LEVELS))
        bias[:, 1:] = torch.log(torch.expm1(torch.tensor(FIRST_STEP)))
        self.output.bias.data.copy_(bias.flatten())
        if self.linear is not None:
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.output.bias.device

    def forward(self, windows: Tensor, steps: Tensor) -> Tensor:
        """Quantiles of the values after some places of a series.

        Args:
            windows (Tensor): features of the window that ends at each place, `(batch, places, window)`.
            steps (Tensor): features of each step up to the last of these places, `(batch, time, step)`: the places are
                the last ones of them.

        Returns:
            Tensor: `(batch, places, horizon, levels)`, none smaller than the one before it.
        """
        hidden = self._finite(windows) if self.config.response == "finite" else self._infinite(steps)
        hidden = hidden[:, -windows.shape[1] :]
        raw = self.output(hidden).unflatten(-1, (self.config.horizon, len(LEVELS))).float()
        median, apart = raw[..., :1], functional.softplus(raw[..., 1:])
        if self.linear is not None:
            median = median + self.linear(windows).float()[..., None]
        below = median - apart[..., :SIDE].cumsum(-1).flip(-1)
        above = median + apart[..., SIDE:].cumsum(-1)
        return torch.cat((below, median, above), dim=-1)

    def _finite(self, windows: Tensor) -> Tensor:
        hidden = windows
        for layer in self.layers:
            hidden = self.dropout(functional.gelu(layer(hidden)))
        return hidden

    def _infinite(self, steps: Tensor) -> Tensor:
        hidden = steps.transpose(0, 1)
        for layer in self.layers:
            hidden, _ = layer(hidden)
            hidden = self.dropout(hidden)
        return hidden.transpose(0, 1)
