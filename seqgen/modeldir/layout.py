"""What a model directory is made of: the names of its files, `config.json`, and the manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqgen import __version__

FORMAT = 1
MANIFEST = "MANIFEST.json"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
SETTINGS = "training.json"
METRICS = "metrics.jsonl"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "source.model", "target.model")
# The name of a directory begins so for the moment in which a new one takes its place.
ASIDE = ".old-"
MAX_JSON_BYTES = 16 * 2**20


@dataclass(frozen=True)
class ModelConfig:
    """`config.json`: what is needed to build the network before its weights are read.

    Args:
        task (str): what the model does, such as `language-model`.
        architecture (str): which network, such as `recurrent`.
        network (Mapping[str, Any]): the fields of the architecture's dataclass in `seqgen.config`.
        vocab_size (int): how many tokens the tokenizer knows, that of the target where there are two; 0 without one.
        source_vocab_size (int): how many tokens the source's tokenizer knows; 0 without a source.
    """

    task: str
    architecture: str
    network: Mapping[str, Any]
    vocab_size: int = 0
    source_vocab_size: int = 0

    def to_bytes(self) -> bytes:
        """The file as it is written."""
        sizes = {"vocab_size": self.vocab_size, "source_vocab_size": self.source_vocab_size}
        return json_bytes(
            {
                "format": FORMAT,
                "seqgen": __version__,
                "task": self.task,
                "architecture": self.architecture,
                **{name: size for name, size in sizes.items() if size},
                "network": dict(self.network),
            }
        )


def json_bytes(value: object) -> bytes:
    """JSON for people: indented, UTF-8 (file names that are not keep their bytes), one final newline."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode(errors="surrogateescape")


def manifest(files: Mapping[str, bytes]) -> bytes:
    """`MANIFEST.json` of some files, contents by name: the sha256 and size of each."""
    return json_bytes(
        {
            "format": FORMAT,
            "files": {
                name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
                for name, content in sorted(files.items())
            },
        }
    )
