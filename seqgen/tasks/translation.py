"""Translation models: to build, to load, to judge by their loss.

A translation model gives the probability of the next target token after the source and all target tokens before it.
`seqgen.tasks.translation_task` trains one, `seqgen.tasks.translating` translates with it.
"""

from __future__ import annotations

import itertools
import math
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from seqgen import modeldir
from seqgen.config import Architecture, Seq2SeqConfig, from_json, to_json
from seqgen.data.buckets import pad
from seqgen.data.parallel import Pairs, ParallelCorpus
from seqgen.data.tokenizers import SentencePieceTokenizer, TokenIds, vocab_size
from seqgen.errors import ConfigError, ModelError
from seqgen.nets.seq2seq import Seq2Seq
from seqgen.seeds import derive

TASK = "translation"
VALIDATION_PAIRS = 64


def build(
    architecture: Architecture, network: Mapping[str, object], source_vocab_size: int, vocab_size: int, *, where: str
) -> Seq2Seq:
    """The network of a `config.json`, its weights not set.

    Raises:
        ConfigError: a size is out of range; the message names the field.
    """
    match architecture:
        case "recurrent":
            return Seq2Seq(from_json(Seq2SeqConfig, network, where=where), source_vocab_size, vocab_size)
        case _:
            assert_never(architecture)


@dataclass(frozen=True)
class TranslationModel:
    """A network and its tokenizers; these are one when the vocabulary is joint."""

    network: Seq2Seq
    source_tokenizer: SentencePieceTokenizer
    target_tokenizer: SentencePieceTokenizer
    directory: Path | None = None

    @classmethod
    def new(cls, config: Seq2SeqConfig, corpus: ParallelCorpus, seed: int) -> TranslationModel:
        """An untrained model, its weights a function of the seed."""
        torch.manual_seed(derive(seed, "weights"))
        source, target = corpus.source_tokenizer, corpus.target_tokenizer
        network = Seq2Seq(config, vocab_size(source), vocab_size(target))
        network.initialise()
        return cls(network, source, target)

    @classmethod
    def load(cls, name: str, device: torch.device) -> TranslationModel:
        """Load a model by path or name; everything is checked before it is used.

        Raises:
            ModelError: no such model, or it is damaged, or it is not a translation model.
        """
        directory = modeldir.locate(name)
        config = modeldir.read_config(directory)
        path = directory / modeldir.CONFIG
        if config.task != TASK:
            raise ModelError(f"{directory} is a model for {reprlib.repr(config.task)}, not for translation")
        if config.architecture != "recurrent":
            raise ModelError(f"{path}: architecture {config.architecture!r} is unknown; known: recurrent")
        source_size, size = config.source_vocab_size, config.vocab_size
        try:
            with torch.device("meta"):  # shapes without memory
                network = build("recurrent", config.network, source_size, size, where=f"{path}: network")
        except ConfigError as error:
            raise ModelError(error.message, hint=error.hint) from None
        names = _tokenizer_names(network.config)
        tokenizers = [_read_tokenizer(directory / name) for name in names]
        for i, wanted in enumerate((source_size, size)):
            name, found = names[i % len(names)], vocab_size(tokenizers[i % len(names)])
            if found != wanted:
                raise ModelError(f"{directory / name} has {found} tokens, not {wanted}")
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        tensors = modeldir.read_tensors(directory / modeldir.WEIGHTS, shapes)
        network.load_state_dict({key: value.float() for key, value in tensors.items()}, assign=True)
        network.to(device).eval().requires_grad_(False)
        return cls(network, tokenizers[0], tokenizers[-1], directory)

    def files(self) -> dict[str, bytes]:
        """What turns a weights file into a model directory."""
        network = self.network
        config = modeldir.ModelConfig(
            TASK, "recurrent", to_json(network.config), network.vocab_size, network.source_vocab_size
        )
        contents = (self.source_tokenizer.to_bytes(), self.target_tokenizer.to_bytes())
        names = _tokenizer_names(network.config)
        return {modeldir.CONFIG: config.to_bytes(), **dict(zip(names, contents, strict=False))}

    # What the network is given ----------------------------------------------------------------------------

    @property
    def start_id(self) -> int:
        """The token that the decoder is given first."""
        target = self.target_tokenizer
        return target.eos_id if self.network.config.start == "eos" else target.bos_id

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.output_bias.device

    def source_tensors(self, sources: Sequence[TokenIds]) -> tuple[Tensor, Tensor]:
        """Token ids `(batch, source)` as the encoder reads them, end symbols included, and lengths `(batch,)`."""
        if self.network.config.reverse_source:
            sources = [ids[::-1] for ids in sources]
        tokenizer = self.source_tokenizer
        tokens, lengths = pad(sources, tokenizer.pad_id, last=tokenizer.eos_id)
        return torch.from_numpy(tokens).to(self.device), torch.from_numpy(lengths)

    def target_tensors(self, targets: Sequence[TokenIds]) -> tuple[Tensor, Tensor, Tensor]:
        """What the decoder is given, what it should say, and where: `(batch, target)` each.

        A decoder is given the start symbol and the target, and should say the target and the end symbol; true where
        there is something to say.
        """
        tokenizer = self.target_tokenizer
        inputs, lengths = pad(targets, tokenizer.pad_id, first=self.start_id)
        labels, _ = pad(targets, tokenizer.pad_id, last=tokenizer.eos_id)
        wanted = np.arange(labels.shape[1]) < lengths[:, None]
        given, said, where = (torch.from_numpy(array).to(self.device) for array in (inputs, labels, wanted))
        return given, said, where


def _tokenizer_names(config: Seq2SeqConfig) -> tuple[str, ...]:
    return ("tokenizer.model",) if config.joint else ("source.model", "target.model")


def _read_tokenizer(path: Path) -> SentencePieceTokenizer:
    if not path.is_file():
        raise ModelError(f"{path} is missing")
    if path.stat().st_size > modeldir.MAX_JSON_BYTES:
        raise ModelError(f"{path} is larger than {modeldir.MAX_JSON_BYTES >> 20} MiB")
    tokenizer = SentencePieceTokenizer(path.read_bytes())
    if min(tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id) < 0:
        raise ModelError(f"{path} has no symbols for padding, start and end of a sentence")
    return tokenizer


# Judging ------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def pair_loss(model: TranslationModel, pairs: Pairs, stop: Callable[[], bool]) -> dict[str, float] | None:
    """How well a network predicts each token of true targets, end symbols included.

    Returns:
        dict[str, float] | None: `loss` in nats per token and `perplexity`; None when stopped.
    """
    nats, positions = 0.0, 0
    order = np.argsort(pairs.target_lengths, kind="stable")
    for first in range(0, len(order), VALIDATION_PAIRS):
        if stop():
            return None
        sources, targets = pairs.read(order[first : first + VALIDATION_PAIRS])
        given, said, where = model.target_tensors(targets)
        logits = model.network(*model.source_tensors(sources), given, where)
        nats += functional.cross_entropy(logits, said[where], reduction="sum").item()
        positions += len(logits)
    loss = nats / positions
    return {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}


@dataclass(frozen=True)
class Scored:
    """A given target and how probable it is.

    Args:
        source (str): the line.
        target (str): the line.
        tokens (tuple[str, ...]): the target's pieces, the end symbol last.
        log_probs (tuple[float, ...]): of each, in nats, given the source and those before it.
    """

    source: str
    target: str
    tokens: tuple[str, ...]
    log_probs: tuple[float, ...]


def force_decode(model: TranslationModel, pairs: Iterable[tuple[str, str]], batch_size: int) -> Iterator[Scored]:
    """Score given targets, in order, some at a time; empty sides are scored like any other."""
    remaining = iter(pairs)
    while batch := list(itertools.islice(remaining, batch_size)):
        yield from _force_batch(model, batch)


@torch.inference_mode()
def _force_batch(model: TranslationModel, batch: list[tuple[str, str]]) -> list[Scored]:
    target = model.target_tokenizer
    targets = [target.encode(text) for _, text in batch]
    given, said, where = model.target_tensors(targets)
    sources = model.source_tensors([model.source_tokenizer.encode(text) for text, _ in batch])
    log_probs = model.network(*sources, given, where).log_softmax(dim=-1)
    chosen = log_probs.gather(1, said[where][:, None])[:, 0].split(where.sum(dim=1).tolist())
    return [
        Scored(*texts, tuple(map(target.piece, [*ids.tolist(), target.eos_id])), tuple(values.tolist()))
        for texts, ids, values in zip(batch, targets, chosen, strict=True)
    ]
