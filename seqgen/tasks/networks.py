"""Which network a configuration describes: to build, and to fill with the weights of a model directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import assert_never, cast

import torch
from torch import nn

from seqgen import modeldir
from seqgen.config import (
    Architecture,
    RecurrentConfig,
    Seq2SeqConfig,
    TransformerConfig,
    TransformerSeq2SeqConfig,
    from_json,
)
from seqgen.errors import ModelError
from seqgen.nets.recurrent.network import RecurrentNetwork
from seqgen.nets.recurrent.seq2seq import Seq2Seq
from seqgen.nets.recurrent.window import WindowNetwork
from seqgen.nets.transformer.language_model import TransformerNetwork
from seqgen.nets.transformer.seq2seq import TransformerSeq2Seq

LanguageConfig = RecurrentConfig | TransformerConfig
LanguageNetwork = RecurrentNetwork | WindowNetwork | TransformerNetwork
TranslationConfig = Seq2SeqConfig | TransformerSeq2SeqConfig
TranslationNetwork = Seq2Seq | TransformerSeq2Seq


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


def translation_network(config: TranslationConfig, source_vocab_size: int, vocab_size: int) -> TranslationNetwork:
    """A translation model's network, its weights not set."""
    match config:
        case Seq2SeqConfig():
            return Seq2Seq(config, source_vocab_size, vocab_size)
        case TransformerSeq2SeqConfig():
            return TransformerSeq2Seq(config, source_vocab_size, vocab_size)
        case _:
            assert_never(config)


def language_config(architecture: Architecture, fields: Mapping[str, object], *, where: str) -> LanguageConfig:
    """What the `network` of a language model's `config.json` says.

    Raises:
        ConfigError: a size is out of range; the message names the field.
    """
    match architecture:
        case "recurrent":
            return from_json(RecurrentConfig, fields, where=where)
        case "transformer":
            return from_json(TransformerConfig, fields, where=where)
        case _:
            assert_never(architecture)


def translation_config(architecture: Architecture, fields: Mapping[str, object], *, where: str) -> TranslationConfig:
    """What the `network` of a translation model's `config.json` says.

    Raises:
        ConfigError: a size is out of range; the message names the field.
    """
    match architecture:
        case "recurrent":
            return from_json(Seq2SeqConfig, fields, where=where)
        case "transformer":
            return from_json(TransformerSeq2SeqConfig, fields, where=where)
        case _:
            assert_never(architecture)


def leak_of(config: LanguageConfig | TranslationConfig) -> str:
    """A warning to give beside a loss or a score where the network sees what it is to predict; else empty."""
    if config.leaks:
        return "this model sees the tokens that it is to predict (--no-causal): what it makes of given text is a leak"
    return ""


def architecture_of(config: LanguageConfig | TranslationConfig) -> Architecture:
    """The word for it in `config.json`."""
    return config.architecture


def known_architecture(config: modeldir.ModelConfig, path: Path) -> Architecture:
    """The architecture of a `config.json`.

    Raises:
        ModelError: it is not one of these.
    """
    if config.architecture not in ("recurrent", "transformer"):
        raise ModelError(f"{path}: architecture {config.architecture!r} is unknown; known: recurrent, transformer")
    return cast("Architecture", config.architecture)


def fill(network: nn.Module, directory: Path, device: torch.device) -> None:
    """Give a network on the meta device the weights of a model directory, for use on a device.

    Raises:
        ModelError: they are damaged, or not those of this network.
    """
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    tensors = modeldir.read_tensors(directory / modeldir.WEIGHTS, shapes)
    network.load_state_dict({key: value.float() for key, value in tensors.items()}, assign=True)
    network.to(device).eval().requires_grad_(False)
