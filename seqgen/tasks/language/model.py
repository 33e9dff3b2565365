"""Language models: to load, and to turn into a model directory.

A language model gives the probability of the next token after all tokens before it. `seqgen.tasks.language.task`
trains one, `seqgen.tasks.language.judge` judges it, `seqgen.tasks.language.write` writes with it.
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from pathlib import Path

import torch

from seqgen import modeldir
from seqgen.config import to_json
from seqgen.data.tokenizers import from_bytes
from seqgen.data.tokens import Tokenizer, vocab_size
from seqgen.errors import ConfigError, ModelError
from seqgen.nets.shapes import shapes_only
from seqgen.seeds import derive
from seqgen.tasks.networks import (
    LanguageConfig,
    LanguageNetwork,
    architecture_of,
    fill,
    known_architecture,
    language_config,
    language_network,
)

TASK = "language-model"


def new_network(config: LanguageConfig, tokenizer: Tokenizer, seed: int) -> LanguageNetwork:
    """An untrained network, its weights a function of the seed."""
    torch.manual_seed(derive(seed, "weights"))
    network = language_network(config, vocab_size(tokenizer))
    network.initialise()
    return network


@dataclass(frozen=True)
class LanguageModel:
    """A network and its tokenizer, as loaded from a model directory."""

    network: LanguageNetwork
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
        try:
            kind = language_config(known_architecture(config, path), config.network, where=f"{path}: network")
        except ConfigError as error:
            raise ModelError(error.message, hint=error.hint) from None
        with shapes_only():
            network = language_network(kind, config.vocab_size)
        tokenizer = _read_tokenizer(directory)
        if vocab_size(tokenizer) != config.vocab_size:
            raise ModelError(f"{directory}: the tokenizer has {vocab_size(tokenizer)} tokens, not {config.vocab_size}")
        fill(network, directory, device)
        return cls(network, tokenizer, directory)


def _read_tokenizer(directory: Path) -> Tokenizer:
    for name in ("tokenizer.json", "tokenizer.model"):
        if (path := directory / name).is_file():
            if path.stat().st_size > modeldir.MAX_JSON_BYTES:
                raise ModelError(f"{path} is larger than {modeldir.MAX_JSON_BYTES >> 20} MiB")
            return from_bytes(name, path.read_bytes())
    raise ModelError(f"{directory} has no tokenizer")


def model_files(network: LanguageNetwork, tokenizer: Tokenizer) -> dict[str, bytes]:
    """What turns a weights file into a model directory."""
    config = modeldir.ModelConfig(TASK, architecture_of(network.config), to_json(network.config), network.vocab_size)
    return {modeldir.CONFIG: config.to_bytes(), tokenizer.file_name: tokenizer.to_bytes()}
