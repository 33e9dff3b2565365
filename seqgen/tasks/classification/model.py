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
    def log_probs(self, texts: Sequence[str]) -> tuple[LogProbs, NDArray[np.int64], Inputs]:
        """Log-probabilities of the classes before the temperature, and what was read.

        Args:
            texts (Sequence[str]): normalised, each with at least one token.

        Returns:
            tuple[LogProbs, NDArray[np.int64], Inputs]: `(rows, classes)` of all texts one after another; how many rows
                each has, `(texts,)`, which is 1, or with a label for each word as many as it has words; and what was
                read. Of a text in pieces it is the mean of their probabilities by their lengths.
        """
        inputs = self.reader.read(texts)
        found = self.network(*tensors(inputs, self.network.device)).double().log_softmax(dim=-1).cpu().numpy()
        pieces, lengths = np.bincount(inputs.owners, minlength=len(texts)), inputs.lengths
        if self.reader.per_token:
            words = np.bincount(inputs.owners, lengths, len(texts)).astype(np.int64)
            return found[np.arange(found.shape[1]) < lengths[:, None]], words, inputs
        if len(found) > len(texts):
            found = _means(found, inputs.owners, pieces, lengths)
        return found, np.ones_like(pieces), inputs


def _means(
    log_probs: LogProbs, owners: NDArray[np.int64], pieces: NDArray[np.int64], lengths: NDArray[np.int64]
) -> LogProbs:
    """The logarithms of the means of the probabilities of each text's pieces, by their lengths, `(texts, classes)`."""
    first = np.cumsum(pieces) - pieces
    means: LogProbs = log_probs[first]
    several = pieces > 1
    shares = lengths / np.bincount(owners, lengths)[owners]
    sums = np.add.reduceat(np.exp(log_probs) * shares[:, None], first)
    means[several] = np.log(sums[several])
    return means


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
