"""Translation models: to build, to load, to judge by their loss.

A translation model gives the probability of the next target token after the source and all target tokens before it.
`seqgen.tasks.translation.task` trains one, `seqgen.tasks.translation.translate` translates with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import numpy as np
import torch
from torch import Tensor

from seqgen import modeldir
from seqgen.config import Seq2SeqConfig, TransformerSeq2SeqConfig, to_json
from seqgen.data.buckets import pad
from seqgen.data.parallel import ParallelCorpus
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.tokens import TokenIds, vocab_size
from seqgen.errors import ModelError
from seqgen.nets.recurrent.seq2seq import Seq2Seq
from seqgen.nets.transformer.seq2seq import TransformerSeq2Seq
from seqgen.seeds import derive
from seqgen.tasks.opening import Opening
from seqgen.tasks.translation.kind import KIND

TranslationConfig = Seq2SeqConfig | TransformerSeq2SeqConfig
TranslationNetwork = Seq2Seq | TransformerSeq2Seq

ARCHITECTURES: Mapping[str, type[TranslationConfig]] = {
    config.architecture: config for config in (Seq2SeqConfig, TransformerSeq2SeqConfig)
}


def translation_network(config: TranslationConfig, source_vocab_size: int, vocab_size: int) -> TranslationNetwork:
    """A translation model's network, its weights not set."""
    match config:
        case Seq2SeqConfig():
            return Seq2Seq(config, source_vocab_size, vocab_size)
        case TransformerSeq2SeqConfig():
            return TransformerSeq2Seq(config, source_vocab_size, vocab_size)
        case _:
            assert_never(config)


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
        opening = Opening(name, KIND)
        sizes = opening.config.source_vocab_size, opening.config.vocab_size
        config, network = opening.network(ARCHITECTURES, lambda config: translation_network(config, *sizes))
        names = _tokenizer_names(config)
        tokenizers = [_read_tokenizer(opening, name) for name in names]
        for name, tokenizer, size in zip((names[0], names[-1]), (tokenizers[0], tokenizers[-1]), sizes, strict=True):
            opening.check_size(name, tokenizer, size)
        opening.fill(network, device)
        return cls(network, tokenizers[0], tokenizers[-1], opening.directory)

    def files(self) -> dict[str, bytes]:
        """What turns a weights file into a model directory."""
        network = self.network
        config = modeldir.ModelConfig(
            KIND.task,
            network.config.architecture,
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


def _read_tokenizer(opening: Opening, name: str) -> SentencePieceTokenizer:
    tokenizer = SentencePieceTokenizer(opening.read(name))
    if min(tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id) < 0:
        raise ModelError(f"{opening.directory / name} has no symbols for padding, start and end of a sentence")
    return tokenizer
