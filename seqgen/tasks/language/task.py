"""How a language model is trained: on lanes of contiguous text, a chunk at a time.

Truncated back-propagation through time: a recurrent network's hidden state is carried from chunk to chunk while the
gradient stops at the border. A Transformer carries nothing: a chunk is all that it reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from seqgen.config import SamplingConfig
from seqgen.data.corpus import Corpus
from seqgen.data.lanes import Lanes
from seqgen.nets.cross_entropy import cross_entropy
from seqgen.tasks.language.gradient_watch import GradientWatch
from seqgen.tasks.language.judge import evaluate
from seqgen.tasks.language.model import LanguageNetwork
from seqgen.tasks.language.write import Writer
from seqgen.train.task import OnePlayer

# In training, validation runs in parallel lanes, over so many tokens at most, and in short runs over fewer.
VALIDATION_LANES, MOST_VALIDATED, LEAST_VALIDATED = 32, 2**17, 2**12
SAMPLE_TOKENS = 160


class LanguageModelTask(OnePlayer):
    """Trains a network on a corpus (see `seqgen.train.task.Task`).

    Args:
        network (LanguageNetwork): on its device already.
        corpus (Corpus): text and tokenizer.
        chunk (int): tokens of a lane that a step reads.
        batch_size (int): lanes.
        seed (int): the run's.
        share (Callable[[int], slice]): which of so many lanes are computed here; all of them unless there are more
            processes.
        watch (GradientWatch | None): measures the gradient through time.
        validation_share (float): of the usual number of tokens to validate on.
    """

    def __init__(
        self,
        network: LanguageNetwork,
        corpus: Corpus,
        chunk: int,
        *,
        batch_size: int,
        seed: int,
        share: Callable[[int], slice] = slice,
        watch: GradientWatch | None = None,
        validation_share: float = 1.0,
    ) -> None:
        self.players: Mapping[str, nn.Module] = {"model": network}
        self._network, self._corpus, self._watch = network, corpus, watch
        self._most = max(LEAST_VALIDATED, round(MOST_VALIDATED * validation_share))
        self._lanes = Lanes(corpus.train, batch_size, chunk, seed)
        self._rows = share(self._lanes.num_lanes)
        here = len(range(self._lanes.num_lanes)[self._rows])
        self.steps_per_epoch = self._lanes.steps_per_epoch
        self.criterion = "valid_loss" if corpus.valid is not None else None
        self._state = network.initial_state(here)
        self._after: list[Tensor] = []
        self._inputs = self._targets = torch.empty(0, dtype=torch.long)
        self._batch_tokens = self._step = 0

    def prepare(self, step: int) -> int:
        """Read the chunk of every lane here; an epoch begins with the zero state."""
        device, self._step = self._state.device, step
        inputs, targets, first = self._lanes.read(step, self._rows)
        self._state, self._after = self._carried(), []
        self._inputs, self._targets = inputs.to(device), targets.to(device)
        if first:
            self._state = torch.zeros_like(self._state)
        self._batch_tokens = self._lanes.num_lanes * targets.shape[1]
        return self._batch_tokens

    def loss(self, player: str, part: int, parts: int) -> Tensor:
        """The part's share of the mean cross-entropy in nats per token."""
        here = len(self._inputs)
        rows = slice(part * here // parts, (part + 1) * here // parts)
        if rows.start == rows.stop:  # fewer lanes than processes, or than parts
            return torch.zeros((), requires_grad=True)
        logits, state = self._network(self._inputs[rows], self._state[:, :, rows])
        # Truncated back-propagation: the value goes on to the next chunk, the gradient does not.
        self._after.append(state.detach())
        return cross_entropy(logits.flatten(0, 1), self._targets[rows].flatten()) / self._batch_tokens

    def measures(self, losses: Mapping[str, float]) -> dict[str, Any]:
        """Nats per token and bits per character, and when that is due how the gradient comes back through time."""
        loss = losses["model"]
        measures = {"loss": loss, "bits_per_char": loss / math.log(2) / self._corpus.train.chars_per_token}
        if self._watch is None or not len(self._inputs):
            return measures
        return measures | self._watch.measure(self._step + 1, self._inputs, self._targets, self._state)

    def evaluate(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        """Validate in parallel lanes on an even share of the text; an empty result without a validation part."""
        if self._corpus.valid is None:
            return {}
        measures = evaluate(self._network, self._corpus.valid, lanes=VALIDATION_LANES, most=self._most, stop=stop)
        return (
            None if measures is None else {f"valid_{k}": measures[k] for k in ("loss", "bits_per_char", "perplexity")}
        )

    def sample(self, seed: int) -> str:
        """A short text at temperature 0.8."""
        writer = Writer(self._network, self._corpus.tokenizer, SamplingConfig(temperature=0.8))
        return "".join(text for _, text in writer.write("", length=SAMPLE_TOKENS, seeds=[seed]))

    def state(self) -> dict[str, Tensor]:
        """The hidden state that every lane here goes on with, `(lanes, num_layers, parts, hidden)`."""
        return {"state": self._carried().movedim(2, 0)}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the hidden state from that of all lanes."""
        state = tensors["state"][self._rows].movedim(0, 2).contiguous()
        self._state, self._after = state.to(self._state.device), []

    def _carried(self) -> Tensor:
        """The hidden state `(num_layers, parts, lanes, hidden)` after the last step."""
        return torch.cat(self._after, dim=2) if self._after else self._state
