"""Tiny labelled texts, and models of them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seqgen.config import ClassifierConfig, LabelledTextConfig
from seqgen.data.labelled_corpus import LabelledCorpus, build_labelled
from seqgen.tasks.classification.model import ClassifierModel

KINDS = ("letters", "words", "tags")
WORDS = {"run": "VERB", "sleep": "VERB", "dog": "NOUN", "cat": "NOUN", "a": "DET", "the": "DET"}
SIZES: dict[str, Any] = {"embed_size": 8, "hidden_size": 16, "char_size": 4, "dropout": 0.0, "embed_dropout": 0.0}


def write_labelled(path: Path, kind: str, rows: int = 60) -> str:
    """Texts whose labels can be told: by their first letter, by one word, or word by word."""
    draw = random.Random(0)
    lines = []
    for i in range(rows):
        words = draw.choices(list(WORDS), k=draw.randint(2, 6))
        if kind == "tags":
            lines.append("".join(f"{word}\t{WORDS[word]}\n" for word in words))
        elif kind == "words":
            lines.append(
                f"{' '.join(words)} it is {'good' if i % 3 else 'bad'} {draw.choice(words)} {i}\t{min(i % 3, 1)}"
            )
        else:
            lines.append(f"{draw.choice('xyz')}{''.join(draw.choices('abc', k=draw.randint(1, 5)))}{i}".join(("", "")))
            lines[-1] += f"\t{lines[-1][0]}"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def corpus_of(folder: Path, kind: str, **choices: Any) -> tuple[LabelledCorpus, LabelledTextConfig]:
    """A corpus of some kind, made in a folder."""
    path = write_labelled(folder / f"{kind}.tsv", kind)
    config = LabelledTextConfig(**{"paths": (path,), "valid": "0.2", "per_token": kind == "tags", **choices})
    return build_labelled(config, letters=True, directory=folder / f"{kind}-data", warn=lambda message: None), config


def model_of(corpus: LabelledCorpus, seed: int = 0, **choices: Any) -> ClassifierModel:
    """An untrained model that is not indifferent."""
    model = ClassifierModel.new(ClassifierConfig(**{**SIZES, **choices}), corpus, seed)
    torch.manual_seed(seed)
    nn.init.normal_(model.network.output.weight)
    model.network.eval()
    return model
