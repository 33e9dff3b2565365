"""Pairs of sentences, the corpus that they make, and models of a few thousand weights that translate them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from tolerances import rounding

from seqgen import modeldir
from seqgen.config import ParallelConfig, Seq2SeqConfig
from seqgen.data.parallel import ParallelCorpus, build_parallel
from seqgen.tasks.translation.model import TranslationModel

CPU = torch.device("cpu")
WORDS = "ein hund rennt durch den schnee und zwei katzen sehen ihm dabei zu bis es dunkel wird".split()
VOCAB_SIZE = 300  # of both sides together
# Two ways to a log-probability of 6 nats, through 20 source and 20 target tokens and sums of 30 terms for each.
LOG_PROB = rounding((20 + 20) * 30, scale=6.0)


def some_pairs(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Sentences of 1 to 9 words; a translation is the same words backwards, in capitals."""
    draw = random.Random(seed)
    sources = [draw.choices(WORDS, k=draw.randint(1, 9)) for _ in range(count)]
    return [(" ".join(words), " ".join(reversed(words)).upper()) for words in sources]


def write_pairs(folder: Path, pairs: list[tuple[str, str]], name: str = "train") -> tuple[str, str]:
    """Two aligned files."""
    paths = folder / f"{name}.de", folder / f"{name}.en"
    for side, path in enumerate(paths):
        path.write_text("".join(pair[side] + "\n" for pair in pairs), encoding="utf-8")
    return str(paths[0]), str(paths[1])


def corpus_of(folder: Path, *, joint: bool = True, count: int = 200, held_out: bool = True) -> ParallelCorpus:
    """A tokenised corpus with 20 pairs to validate on, or none."""
    train = write_pairs(folder, some_pairs(count))
    valid = write_pairs(folder, some_pairs(20, seed=1), "valid") if held_out else ()
    if not held_out:
        train = write_pairs(folder, some_pairs(40), "small")  # 2 % of it are none
    config = ParallelConfig(paths=train, valid=valid, vocab_size=VOCAB_SIZE if joint else 290)
    return build_parallel(config, joint, folder / "data", lambda message: None)


def config_of(**chosen: Any) -> Seq2SeqConfig:
    """Sizes that take milliseconds."""
    sizes = {"cell": "gru", "embed_size": 8, "hidden_size": 12, "attention_size": 5, "dropout": 0.0}
    return Seq2SeqConfig(**{**sizes, **chosen})


def model_of(corpus: ParallelCorpus, *, scale: float = 1.0, seed: int = 0, **chosen: Any) -> TranslationModel:
    """An untrained model; a scale above 1 makes it surer of what it says."""
    config = config_of(joint=corpus.source_tokenizer is corpus.target_tokenizer, **chosen)
    model = TranslationModel.new(config, corpus, seed)
    for parameter in model.network.parameters():
        parameter.data *= scale
    model.network.eval().requires_grad_(False)
    return model


def save(model: TranslationModel, directory: Path) -> Path:
    """A model directory."""
    weights = {name: value.clone() for name, value in model.network.state_dict().items()}
    directory.mkdir(parents=True, exist_ok=True)
    modeldir.publish(directory, {**model.files(), modeldir.WEIGHTS: modeldir.tensors_to_bytes(weights)})
    return directory
