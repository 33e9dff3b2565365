"""Translation models: to build, to load, to judge by their loss.

A translation model gives the probability of the next target token after the source and all target tokens before it.
`seqgen.tasks.translation.task` trains one, `seqgen.tasks.translation.translate` translates with it.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seqgen import modeldir
from seqgen.config import Seq2SeqConfig, to_json
from seqgen.data.buckets import pad
from seqgen.data.parallel import ParallelCorpus
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.tokens import TokenIds, vocab_size
from seqgen.errors import ConfigError, ModelError
from seqgen.nets.shapes import shapes_only
from seqgen.seeds import derive
from seqgen.tasks.networks import (
    TranslationConfig,
    TranslationNetwork,
    architecture_of,
    fill,
    known_architecture,
    translation_config,
    translation_network,
)

TASK = "translation"
VALIDATION_PAIRS = 64


@dataclass(frozen=True)
class TranslationModel:
    """A network and its tokenizers; these are one when the vocabulary is joint."""

    network: TranslationNetwork
    source_tokenizer: SentencePieceTokenizer
    target_tokenizer: SentencePieceTokenizer
    directory: Path | None = None

    @classmethod
    def new(cls, config: TranslationConfig, corpus: ParallelCorpus, seed: int) -> TranslationModel:
        """An untrained model, its weights a function of the seed."""
        torch.manual_seed(derive(seed, "weights"))
        source, target = corpus.source_tokenizer, corpus.target_tokenizer
        network = translation_network(config, vocab_size(source), vocab_size(target))
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
        try:
            kind = translation_config(known_architecture(config, path), config.network, where=f"{path}: network")
        except ConfigError as error:
            raise ModelError(error.message, hint=error.hint) from None
        source_size, size = config.source_vocab_size, config.vocab_size
        with shapes_only():
            network = translation_network(kind, source_size, size)
        names = _tokenizer_names(network.config)
        tokenizers = [_read_tokenizer(directory / name) for name in names]
        for i, wanted in enumerate((source_size, size)):
            name, found = names[i % len(names)], vocab_size(tokenizers[i % len(names)])
            if found != wanted:
                raise ModelError(f"{directory / name} has {found} tokens, not {wanted}")
        fill(network, directory, device)
        return cls(network, tokenizers[0], tokenizers[-1], directory)

    def files(self) -> dict[str, bytes]:
        """What turns a weights file into a model directory."""
        network = self.network
        config = modeldir.ModelConfig(
            TASK,
            architecture_of(network.config),
            to_json(network.config),
            network.vocab_size,
            network.source_vocab_size,
        )
        contents = (self.source_tokenizer.to_bytes(), self.target_tokenizer.to_bytes())
        names = _tokenizer_names(network.config)
        return {modeldir.CONFIG: config.to_bytes(), **dict(zip(names, contents, strict=False))}

    # What the network is given ----------------------------------------------------------------------------

    @property
    def start_id(self) -> int:
        """The token that the decoder is given first."""
        config, target = self.network.config, self.target_tokenizer
        return target.eos_id if isinstance(config, Seq2SeqConfig) and config.start == "eos" else target.bos_id

    @property
    def reverse_source(self) -> bool:
        """Whether the encoder reads the source backwards."""
        return isinstance(self.network.config, Seq2SeqConfig) and self.network.config.reverse_source

    def unseen(self, source: str, target: str) -> list[str]:
        """The characters of a pair that the model has never seen, in order, as often as they stand there."""
        return self.source_tokenizer.unseen(source) + self.target_tokenizer.unseen(target)

    def source_tensors(self, sources: Sequence[TokenIds]) -> tuple[Tensor, Tensor]:
        """Token ids `(batch, source)` as the encoder reads them, end symbols included, and lengths `(batch,)`."""
        if self.reverse_source:
            sources = [ids[::-1] for ids in sources]
        tokenizer = self.source_tokenizer
        tokens, lengths = pad(sources, tokenizer.pad_id, last=tokenizer.eos_id)
        return torch.from_numpy(tokens).to(self.network.device), torch.from_numpy(lengths)

    def target_tensors(self, targets: Sequence[TokenIds]) -> tuple[Tensor, Tensor, Tensor]:
        """What the decoder is given, what it should say, and where: `(batch, target)` each.

        A decoder is given the start symbol and the target, and should say the target and the end symbol; true where
        there is something to say.
        """
        tokenizer = self.target_tokenizer
        inputs, lengths = pad(targets, tokenizer.pad_id, first=self.start_id)
        labels, _ = pad(targets, tokenizer.pad_id, last=tokenizer.eos_id)
        wanted = np.arange(labels.shape[1]) < lengths[:, None]
        given, said, where = (torch.from_numpy(array).to(self.network.device) for array in (inputs, labels, wanted))
        return given, said, where


def _tokenizer_names(config: TranslationConfig) -> tuple[str, ...]:
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
