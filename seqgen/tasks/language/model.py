"""Language models: to load, and to turn into a model directory.

A language model gives the probability of the next token after all tokens before it. `seqgen.tasks.language.task`
trains one, `seqgen.tasks.language.judge` measures it, `seqgen.tasks.language.write` writes with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import torch

from seqgen import modeldir
from seqgen.config import RecurrentConfig, TransformerConfig, to_json
from seqgen.data.tokenizers import from_bytes
from seqgen.data.tokens import Tokenizer, vocab_size
from seqgen.errors import ModelError
from seqgen.nets.recurrent.network import RecurrentNetwork
from seqgen.nets.recurrent.window import WindowNetwork
from seqgen.nets.transformer.language_model import TransformerNetwork
from seqgen.seeds import derive
from seqgen.tasks.language.kind import KIND
from seqgen.tasks.opening import Opening

LanguageConfig = RecurrentConfig | TransformerConfig
LanguageNetwork = RecurrentNetwork | WindowNetwork | TransformerNetwork

ARCHITECTURES: Mapping[str, type[LanguageConfig]] = {
    config.architecture: config for config in (RecurrentConfig, TransformerConfig)
}
TOKENIZERS = ("tokenizer.json", "tokenizer.model")


def language_network(config: LanguageConfig, vocab_size: int) -> LanguageNetwork:
    """A language model's network, its weights not set."""
    match config:
        case RecurrentConfig(cell="window"):
            return WindowNetwork(config, vocab_size)
        case RecurrentConfig():
            return RecurrentNetwork(config, vocab_size)
        case TransformerConfig():
            return TransformerNetwork(config, vocab_size)
        case _:
            assert_never(config)


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
        opening = Opening(name, KIND)
        size = opening.config.vocab_size
        _, network = opening.network(ARCHITECTURES, lambda config: language_network(config, size))
        file = next((name for name in TOKENIZERS if (opening.directory / name).is_file()), None)
        if file is None:
            raise ModelError(f"{opening.directory} has no tokenizer")
        tokenizer = from_bytes(file, opening.read(file))
        opening.check_size(file, tokenizer, size)
        opening.fill(network, device)
        return cls(network, tokenizer, opening.directory)


def model_files(network: LanguageNetwork, tokenizer: Tokenizer) -> dict[str, bytes]:
    """What turns a weights file into a model directory."""
    config = network.config
    described = modeldir.ModelConfig(KIND.task, config.architecture, to_json(config), network.vocab_size)
    return {modeldir.CONFIG: described.to_bytes(), tokenizer.file_name: tokenizer.to_bytes()}
