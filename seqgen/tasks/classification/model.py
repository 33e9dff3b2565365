"""Classifiers: to build, to load, and the probabilities that they give.

`seqgen.tasks.classification.task` trains one, `seqgen.tasks.classification.classify` labels texts with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqgen import modeldir
from seqgen.config import ClassifierConfig, ClassifierModelConfig, to_json
from seqgen.data.label_inputs import InputReader, Inputs
from seqgen.data.labelled_corpus import CHARACTERS, LabelledCorpus
from seqgen.data.tokenizers import CharTokenizer, WordTokenizer, from_bytes
from seqgen.data.tokens import Tokenizer, vocab_size
from seqgen.errors import ModelError
from seqgen.nets.classifier import Classifier, Spelling
from seqgen.seeds import derive
from seqgen.tasks.classification.kind import KIND
from seqgen.tasks.opening import Opening

ARCHITECTURE = "classifier"
LogProbs = NDArray[np.float64]


def tensors(inputs: Inputs, device: torch.device) -> tuple[Tensor, Tensor, Spelling | None]:
    """What the network takes, of a batch: tokens `(rows, time)`, lengths `(rows,)`, and the letters of words."""
    spelling = None
    if (letters := inputs.letters) is not None:
        characters, places = (torch.from_numpy(ids).to(device) for ids in (letters.characters, letters.places))
        spelling = Spelling(characters, torch.from_numpy(letters.lengths), places)
    return torch.from_numpy(inputs.tokens).to(device), torch.from_numpy(inputs.lengths), spelling


@dataclass
class ClassifierModel:
    """A network, how it reads texts, and what its numbers mean.

    Args:
        network (Classifier): on its device.
        reader (InputReader): how texts become tokens.
        classes (tuple[str, ...]): the labels by number.
        temperature (float): what logits are divided by; it is fitted when the training is over.
        directory (Path | None): where it was loaded from.
    """

    network: Classifier
    reader: InputReader
    classes: tuple[str, ...]
    temperature: float = 1.0
    directory: Path | None = None

    @classmethod
    def new(cls, config: ClassifierConfig, corpus: LabelledCorpus, seed: int) -> ClassifierModel:
        """An untrained model, its weights a function of the seed."""
        torch.manual_seed(derive(seed, "weights"))
        reader = corpus.reader
        network = _network(config, reader.tokenizer, reader.characters, corpus.classes, per_token=reader.per_token)
        network.initialise()
        return cls(network, reader, corpus.classes)

    @classmethod
    def load(cls, name: str, device: torch.device) -> ClassifierModel:
        """Load a model by path or name; everything is checked before it is used.

        Raises:
            ModelError: no such model, or it is damaged, or it is not a classifier.
        """
        opening = Opening(name, KIND)
        size = opening.config.vocab_size
        config, network = opening.network(
            {ARCHITECTURE: ClassifierModelConfig},
            lambda config: Classifier(
                config.network, size, config.characters, len(config.classes), per_token=config.per_token
            ),
        )
        file = next(
            (name for name in modeldir.TOKENIZERS if (opening.directory / name).is_file()), CharTokenizer.file_name
        )
        tokenizer = from_bytes(file, opening.read(file))
        opening.check_size(file, tokenizer, size)
        characters = None
        if config.characters:
            characters = CharTokenizer.from_bytes(opening.read(CHARACTERS))
            opening.check_size(CHARACTERS, characters, config.characters)
        if (config.characters or config.per_token) and not isinstance(tokenizer, WordTokenizer):
            raise ModelError(f"{opening.directory / file} has no words, but the model reads words")
        opening.fill(network, device)
        chunk = config.chunk or config.per_token
        reader = InputReader(tokenizer, characters, config.per_token, config.max_length, chunk)
        return cls(network, reader, config.classes, config.temperature, opening.directory)

    def files(self) -> dict[str, bytes]:
        """What turns a weights file into a model directory."""
        reader, tokenizer = self.reader, self.reader.tokenizer
        described = ClassifierModelConfig(
            network=self.network.config,
            classes=self.classes,
            per_token=reader.per_token,
            max_length=reader.max_length,
            chunk=reader.chunk and not reader.per_token,
            characters=vocab_size(reader.characters) if reader.characters else 0,
            temperature=self.temperature,
        )
        config = modeldir.ModelConfig(KIND.task, ARCHITECTURE, to_json(described), vocab_size(tokenizer))
        letters = {CHARACTERS: reader.characters.to_bytes()} if reader.characters else {}
        return {modeldir.CONFIG: config.to_bytes(), tokenizer.file_name: tokenizer.to_bytes(), **letters}

    @torch.inference_mode()
    def log_probs(self, texts: Sequence[str]) -> tuple[list[LogProbs], Inputs]:
        """Log-probabilities of the classes before the temperature, and what was read.

        Args:
            texts (Sequence[str]): normalised, each with at least one token.

        Returns:
            tuple[list[LogProbs], Inputs]: for each text `(1, classes)`, of a text in pieces the mean of their
                probabilities by their lengths; or with a label for each word `(words, classes)`.
        """
        inputs = self.reader.read(texts)
        found = self.network(*tensors(inputs, self.network.device)).double().log_softmax(dim=-1).cpu().numpy()
        rows: list[list[int]] = [[] for _ in texts]
        for row, owner in enumerate(inputs.owners.tolist()):
            rows[owner].append(row)
        if self.reader.per_token:
            return [np.concatenate([found[i, : inputs.lengths[i]] for i in own]) for own in rows], inputs
        return [_mean(found[own], inputs.lengths[own]) for own in rows], inputs


def _mean(log_probs: LogProbs, lengths: NDArray[np.int64]) -> LogProbs:
    """The logarithm of the mean of the probabilities of some pieces, by their lengths, `(1, classes)`."""
    if len(log_probs) == 1:
        return log_probs
    mean: LogProbs = np.log((np.exp(log_probs) * (lengths / lengths.sum())[:, None]).sum(axis=0, keepdims=True))
    return mean


def _network(
    config: ClassifierConfig,
    tokenizer: Tokenizer,
    characters: CharTokenizer | None,
    classes: Sequence[str],
    *,
    per_token: bool,
) -> Classifier:
    letters = vocab_size(characters) if characters else 0
    return Classifier(config, vocab_size(tokenizer), letters, len(classes), per_token=per_token)
