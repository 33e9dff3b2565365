"""Language models: to train, to judge, to load. `seqgen.tasks.writing` writes with them.

A language model gives the probability of the next token after all tokens before it. It is trained by truncated
back-propagation through time: lanes of contiguous text, a chunk at a time, the hidden state carried from chunk to
chunk while the gradient stops at the border. It is judged by the mean negative log-probability per token in nats.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seqgen import modeldir
from seqgen.config import Architecture, RecurrentConfig, SamplingConfig, TextConfig, from_json, to_json
from seqgen.data.corpus import Corpus, TokenSpan
from seqgen.data.lanes import Lanes
from seqgen.data.tokenizers import Tokenizer, from_bytes, vocab_size
from seqgen.errors import ConfigError, ModelError
from seqgen.nets.recurrent import RecurrentNetwork
from seqgen.seeds import derive
from seqgen.tasks.writing import Writer

TASK = "language-model"

# In training, validation runs in parallel lanes; each first reads this much of the text before it, uncounted.
VALIDATION_LANES = 32
WARM_UP_TOKENS = 128
SAMPLE_TOKENS = 160


def build(
    architecture: Architecture, network: Mapping[str, object], vocab_size: int, *, where: str
) -> RecurrentNetwork:
    """The network of a `config.json`, its weights not set.

    Raises:
        ConfigError: a size is out of range; the message names the field.
    """
    match architecture:
        case "recurrent":
            return RecurrentNetwork(from_json(RecurrentConfig, network, where=where), vocab_size)
        case _:
            assert_never(architecture)


def new_network(config: RecurrentConfig, tokenizer: Tokenizer, seed: int) -> RecurrentNetwork:
    """An untrained network, its weights a function of the seed."""
    torch.manual_seed(derive(seed, "weights"))
    network = RecurrentNetwork(config, vocab_size(tokenizer))
    network.initialise()
    return network


@dataclass(frozen=True)
class LanguageModel:
    """A network and its tokenizer, as loaded from a model directory."""

    network: RecurrentNetwork
    tokenizer: Tokenizer
    directory: Path

    @classmethod
    def load(cls, name: str, device: torch.device) -> LanguageModel:
        """Load a model by path or name; everything is checked before it is used.

        Raises:
            ModelError: no such model, or it is damaged, or it is not a language model.
        """
        directory = modeldir.locate(name)
        config = modeldir.read_config(directory)
        path = directory / modeldir.CONFIG
        if config.task != TASK:
            raise ModelError(f"{directory} is a model for {reprlib.repr(config.task)}, not a language model")
        if config.architecture != "recurrent":
            raise ModelError(f"{path}: architecture {config.architecture!r} is unknown; known: recurrent")
        try:
            with torch.device("meta"):  # shapes without memory
                network = build("recurrent", config.network, config.vocab_size, where=f"{path}: network")
        except ConfigError as error:
            raise ModelError(error.message, hint=error.hint) from None
        tokenizer = _read_tokenizer(directory)
        if vocab_size(tokenizer) != config.vocab_size:
            raise ModelError(f"{directory}: the tokenizer has {vocab_size(tokenizer)} tokens, not {config.vocab_size}")
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        tensors = modeldir.read_tensors(directory / modeldir.WEIGHTS, shapes)
        network.load_state_dict({key: value.float() for key, value in tensors.items()}, assign=True)
        return cls(network.to(device).eval().requires_grad_(False), tokenizer, directory)


def _read_tokenizer(directory: Path) -> Tokenizer:
    for name in ("tokenizer.json", "tokenizer.model"):
        if (path := directory / name).is_file():
            if path.stat().st_size > modeldir.MAX_JSON_BYTES:
                raise ModelError(f"{path} is larger than {modeldir.MAX_JSON_BYTES >> 20} MiB")
            return from_bytes(name, path.read_bytes())
    raise ModelError(f"{directory} has no tokenizer")


def model_files(network: RecurrentNetwork, tokenizer: Tokenizer) -> dict[str, bytes]:
    """What turns a weights file into a model directory."""
    config = modeldir.ModelConfig(TASK, "recurrent", to_json(network.config), network.vocab_size)
    return {modeldir.CONFIG: config.to_bytes(), tokenizer.file_name: tokenizer.to_bytes()}


# Judging ------------------------------------------------------------------------------------------------------


def char_counts(tokenizer: Tokenizer) -> NDArray[np.int64]:
    """How many characters each token brings, `(vocab,)`: the bytes that do not continue a character."""
    counts = [sum(byte & 0xC0 != 0x80 for byte in piece) for piece in tokenizer.token_bytes]
    return np.asarray(counts, dtype=np.int64)


@torch.inference_mode()
def evaluate(
    network: RecurrentNetwork,
    span: TokenSpan,
    counts: NDArray[np.int64],
    *,
    lanes: int = 1,
    stop: Callable[[], bool] = lambda: False,
    advance: Callable[[int], None] = lambda tokens: None,
) -> dict[str, float] | None:
    """How well a network predicts each token of a text from those before it.

    With one lane this is a single sequential pass with carried state, exact to rounding: the figure to report.
    With more it is faster, and each lane begins with a state that has seen only `WARM_UP_TOKENS` of what is
    before it; fewer tokens than lanes at the end are left out.

    Args:
        network (RecurrentNetwork): in evaluation mode.
        span (TokenSpan): at least two tokens; the first is given, not predicted.
        counts (NDArray[np.int64]): characters per token, from `char_counts`.
        lanes (int): in how many parallel parts to read the text.
        stop (Callable[[], bool]): looked at now and then; true ends the pass.
        advance (Callable[[int], None]): told how many more tokens were predicted.

    Returns:
        dict[str, float] | None: `loss` in nats per token, `bits_per_char`, `perplexity` per token, `tokens` and
        `chars` predicted; None when stopped.
    """
    lanes = max(1, min(lanes, len(span) // (2 * WARM_UP_TOKENS)))
    warm = WARM_UP_TOKENS if lanes > 1 else 0
    length, width = (len(span) - 1) // lanes, 1024 if lanes == 1 else 256
    state = network.initial_state(lanes)
    nats, chars = 0.0, 0
    for begin in range(-warm, length, width):
        if stop():
            return None
        size = min(width, length - begin)
        tokens = span.read_circular((lane * length + begin for lane in range(lanes)), size + 1)
        inputs = torch.from_numpy(tokens[:, :-1]).to(state.device)
        logits, state = network(inputs, state)
        skip = max(0, -begin)
        targets = tokens[:, 1 + skip :]
        chars += int(counts[targets].sum())
        wanted = torch.from_numpy(targets).to(state.device)
        nats += functional.cross_entropy(logits[:, skip:].flatten(0, 1), wanted.flatten(), reduction="sum").item()
        advance(targets.size)
    predicted = lanes * length
    loss = nats / predicted
    return {
        "loss": loss,
        "bits_per_char": nats / math.log(2) / max(1, chars),
        "perplexity": math.exp(min(loss, 700.0)),
        "tokens": predicted,
        "chars": chars,
    }


class LanguageModelTask:
    """Trains a network on a corpus (see `seqgen.train.loop.Task`).

    Args:
        network (RecurrentNetwork): on its device already.
        corpus (Corpus): text and tokenizer.
        config (TextConfig): the chunk length.
        batch_size (int): lanes.
        seed (int): the run's.
        share (Callable[[int], slice]): which of so many lanes are computed here; all of them unless there are more
            processes.
    """

    def __init__(
        self,
        network: RecurrentNetwork,
        corpus: Corpus,
        config: TextConfig,
        *,
        batch_size: int,
        seed: int,
        share: Callable[[int], slice] = slice,
    ) -> None:
        self.players: Mapping[str, nn.Module] = {"model": network}
        self._network, self._corpus = network, corpus
        self._lanes = Lanes(corpus.train, batch_size, config.bptt, seed)
        self._rows = share(self._lanes.num_lanes)
        here = len(range(self._lanes.num_lanes)[self._rows])
        self._counts = char_counts(corpus.tokenizer)
        self.steps_per_epoch = self._lanes.steps_per_epoch
        self.criterion = "valid_loss" if corpus.valid is not None else None
        self._state = network.initial_state(here)
        self._after: list[Tensor] = []
        self._inputs = self._targets = torch.empty(0, dtype=torch.long)
        self._batch_tokens = 0
        self._chars_per_token = 1.0

    def prepare(self, step: int) -> int:
        """Read the chunk of every lane here; an epoch begins with the zero state."""
        device = self._state.device
        inputs, targets, first = self._lanes.read(step, self._rows)
        self._state, self._after = self._carried(), []
        self._chars_per_token = max(1, int(self._counts[targets.numpy()].sum())) / targets.numel()
        self._inputs, self._targets = inputs.to(device), targets.to(device)
        if first:
            self._state = torch.zeros_like(self._state)
        self._batch_tokens = self._lanes.num_lanes * targets.shape[1]
        return self._batch_tokens

    def pace(self, player: str, step: int) -> float:
        """The only player moves in every step."""
        return 1.0

    def loss(self, player: str, part: int, parts: int) -> Tensor:
        """The part's share of the mean cross-entropy in nats per token."""
        here = len(self._inputs)
        rows = slice(part * here // parts, (part + 1) * here // parts)
        if rows.start == rows.stop:  # a short text has fewer lanes than there are parts
            return 0.0 * self._network.output.bias.sum()
        logits, state = self._network(self._inputs[rows], self._state[:, :, rows])
        # Truncated back-propagation: the value goes on to the next chunk, the gradient does not.
        self._after.append(state.detach())
        targets = self._targets[rows].flatten()
        nats = functional.cross_entropy(logits.flatten(0, 1).float(), targets, reduction="sum")
        return nats / self._batch_tokens

    def measures(self, losses: Mapping[str, float]) -> dict[str, float]:
        """Nats per token and bits per character."""
        loss = losses["model"]
        return {"loss": loss, "bits_per_char": loss / math.log(2) / self._chars_per_token}

    def evaluate(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        """Validate in parallel lanes; an empty result without a validation part."""
        if self._corpus.valid is None:
            return {}
        measures = evaluate(self._network, self._corpus.valid, self._counts, lanes=VALIDATION_LANES, stop=stop)
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


def unknown_characters(tokenizer: Tokenizer, text: str) -> list[str]:
    """The characters of a text that the tokenizer does not know, in order of appearance."""
    unknown = dict.fromkeys(c for c in text if tokenizer.unk_id in tokenizer.encode(c))
    return list(unknown)
