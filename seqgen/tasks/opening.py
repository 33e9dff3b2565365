"""How a model directory is opened: the steps that every kind takes, and what each of them refuses."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from seqgen import modeldir
from seqgen.config import (
    Config,
    RecurrentConfig,
    Seq2SeqConfig,
    TransformerConfig,
    TransformerSeq2SeqConfig,
    from_json,
)
from seqgen.data.tokens import Tokenizer, vocab_size
from seqgen.errors import ConfigError, ModelError
from seqgen.nets.shapes import shapes_only
from seqgen.tasks.kind import Kind

C = TypeVar("C", bound=Config)
N = TypeVar("N", bound=nn.Module)


class Opening:
    """A model directory whose `config.json` was read.

    Args:
        name (str): a path or a name.
        kind (Kind): what the model has to be.

    Raises:
        ModelError: no such model, or it is damaged, or of another kind.
    """

    def __init__(self, name: str, kind: Kind) -> None:
        self.directory = modeldir.locate(name)
        self.config = modeldir.read_config(self.directory)
        self.config_path = self.directory / modeldir.CONFIG
        if self.config.task != kind.task:
            raise ModelError(
                f"{self.directory} is a model for {reprlib.repr(self.config.task)}, not {kind.called}", hint=kind.hint
            )

    def network(self, architectures: Mapping[str, type[C]], build: Callable[[C], N]) -> tuple[C, N]:
        """The configuration of the network, and the network: shapes without memory.

        Args:
            architectures (Mapping[str, type[C]]): the configuration of each architecture that there is.
            build (Callable[[C], N]): makes the network of a configuration.

        Raises:
            ModelError: the architecture is unknown, or a size is out of range; the message names the field.
        """
        path, architecture = self.config_path, self.config.architecture
        if architecture not in architectures:
            raise ModelError(f"{path}: architecture {architecture!r} is unknown; known: {', '.join(architectures)}")
        try:
            config = from_json(architectures[architecture], self.config.network, where=f"{path}: network")
            with shapes_only():
                return config, build(config)
        except ConfigError as error:
            raise ModelError(error.message, hint=error.hint) from None

    def read(self, name: str) -> bytes:
        """A file of bounded size.

        Raises:
            ModelError: it is missing or too large.
        """
        path = self.directory / name
        if not path.is_file():
            raise ModelError(f"{path} is missing")
        if path.stat().st_size > modeldir.MAX_JSON_BYTES:
            raise ModelError(f"{path} is larger than {modeldir.MAX_JSON_BYTES >> 20} MiB")
        return path.read_bytes()

    def check_size(self, name: str, tokenizer: Tokenizer, wanted: int) -> None:
        """Refuse a tokenizer of another size than the network's.

        Raises:
            ModelError: it is.
        """
        if (found := vocab_size(tokenizer)) != wanted:
            raise ModelError(f"{self.directory / name} has {found} tokens, not {wanted}")

    def fill(self, network: nn.Module, device: torch.device) -> Path:
        """Give a network of shapes the weights of the directory, for use on a device.

        Returns:
            Path: the file of the weights.

        Raises:
            ModelError: they are damaged, or not those of this network.
        """
        path = self.directory / modeldir.WEIGHTS
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        tensors = modeldir.read_tensors(path, shapes)
        network.load_state_dict({key: value.float() for key, value in tensors.items()}, assign=True)
        network.to(device).eval().requires_grad_(False)
        return path


def leak_of(config: RecurrentConfig | TransformerConfig | Seq2SeqConfig | TransformerSeq2SeqConfig) -> str:
    """A warning to give beside a loss or a score where the network reads what it is to predict; else empty."""
    if config.leaks:
        return "this model sees the tokens that it is to predict (--no-causal): what it makes of given text is a leak"
    return ""
