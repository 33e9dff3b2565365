"""Transformers of a few thousand weights that translate numbers: untrained ones of any kind, and a trained one."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from seqgen.config import ParallelConfig, TransformerSeq2SeqConfig
from seqgen.data.parallel import ParallelCorpus, build_parallel
from seqgen.tasks.translation.model import TranslationModel

GERMAN = "null eins zwei drei vier elf sechs sieben acht neun".split()
ENGLISH = "zero one two three four eleven six seven eight nine".split()
SIZES: dict[str, Any] = {"embed_size": 32, "ffn_size": 48, "num_heads": 4, "num_layers": 2, "decoder_layers": 1}
KINDS: dict[str, dict[str, Any]] = {
    "default": {},
    "post-norm, gelu": {"norm": "post", "activation": "gelu"},
    "learned, swiglu, untied": {"positions": "learned", "context": 8, "activation": "swiglu", "tied": False},
    "rotary, shared heads": {"positions": "rotary", "num_kv_heads": 2},
    "no positions, one shared head": {"positions": "none", "num_kv_heads": 1},
}


def numbers(count: int, seed: int) -> list[tuple[str, str]]:
    """Different lines of one to eight numbers in both languages."""
    draw = random.Random(seed)
    rows = {tuple(draw.choices(range(10), k=draw.randint(1, 8))): None for _ in range(2 * count)}
    pairs = [(" ".join(GERMAN[i] for i in row), " ".join(ENGLISH[i] for i in row)) for row in rows]
    return pairs[:count]


def corpus(folder: Path) -> ParallelCorpus:
    """Some numbers, tokenised."""
    paths = tuple(str(folder / f"train.{language}") for language in ("de", "en"))
    for path, lines in zip(paths, zip(*numbers(300, seed=0), strict=True), strict=True):
        Path(path).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return build_parallel(ParallelConfig(paths=paths, vocab_size=300), True, folder / "data", lambda message: None)


def untrained(pairs: ParallelCorpus, **kind: Any) -> TranslationModel:
    """A network in which no bias is zero and no normalisation does nothing."""
    model = TranslationModel.new(TransformerSeq2SeqConfig(**SIZES | kind), pairs, seed=0)
    torch.manual_seed(1)
    for name, parameter in model.network.named_parameters():
        parameter.data += 0.3 * torch.randn_like(parameter) * ("norm" in name or "bias" in name)
    model.network.eval().requires_grad_(False)
    return model


def trained(pairs: ParallelCorpus, steps: int = 250) -> TranslationModel:
    """A network that has begun to learn: what it writes ends, and follows the source more or less."""
    model = TranslationModel.new(TransformerSeq2SeqConfig(**SIZES, dropout=0.0), pairs, seed=0)
    source, target = (model.source_tokenizer, model.target_tokenizer)
    optimizer = torch.optim.Adam(model.network.parameters(), lr=5e-3)
    draw, lines = random.Random(0), numbers(300, seed=0)
    for _ in range(steps):
        some = draw.sample(lines, 32)
        given, said, where = model.target_tensors([target.encode(line) for _, line in some])
        sources = model.source_tensors([source.encode(line) for line, _ in some])
        optimizer.zero_grad()
        functional.cross_entropy(model.network(*sources, given, where), said[where]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model.network.eval().requires_grad_(False)
    return model
