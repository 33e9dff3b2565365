"""Beam search of a Transformer beside other engines: sentences per second, all of them on one batch.

    python tests/benchmarks/run.py transformer --threads 1

Peers that are not installed are missing; `plain_engines` and `plain_joey` say how to get them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from compare_translation import our_search, random_sources
from measuring import Row, Settings, Side, compare, interleaved, seconds
from plain_engines import ctranslate2_search, marian_search
from plain_joey import Search, joey_searches
from plain_joey import transformer as joey_transformer
from plain_torch import use_threads

from seqgen.config import TransformerSeq2SeqConfig
from seqgen.nets.stepping.steps import source_step
from seqgen.nets.transformer.seq2seq import TransformerSeq2Seq

CONFIG = TransformerSeq2SeqConfig(embed_size=256, ffn_size=1024, num_layers=3)
VOCABULARY, SENTENCES, BEAM, TOKENS = 8000, 64, 5, 16


def transformer(settings: Settings) -> list[Row]:
    """64 sentences of realistic lengths at once, beam 5, 16 forced steps."""
    use_threads(settings.threads)
    torch.manual_seed(0)
    network = TransformerSeq2Seq(CONFIG, VOCABULARY, VOCABULARY)
    network.initialise()
    network.eval().requires_grad_(False)
    sources, lengths = random_sources(SENTENCES)
    tokens = settings.amount(TOKENS)
    step, half = source_step(network), source_step(network, torch.bfloat16)
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "generate of a MarianMT": marian_search(network),
            "CTranslate2 fp32": ctranslate2_search(network, Path(folder) / "model", settings.threads),
            **joey_searches(VOCABULARY, {"Transformer": joey_transformer(CONFIG.ffn_size)}),
        }
        searches: dict[str, Search] = {
            "fp32": lambda *given: our_search(step, *given),
            "bf16": lambda *given: our_search(half, *given),
        }
        ours = list(searches)
        searches |= {name: search for name, search in found.items() if search is not None}

        def rate(search: Search) -> Side:
            return lambda: SENTENCES / seconds(lambda: _check(search(sources, lengths, BEAM, tokens), tokens))

        measured = interleaved({name: rate(search) for name, search in searches.items()}, settings.repeats)
    return [
        compare(f"Transformer {kind}, beam {BEAM}, {SENTENCES} sentences", measured[kind], rates, "sentences/s", peer)
        for peer, rates in measured.items()
        if peer not in ours
        for kind in ours
    ]


def _check(written: int, wanted: int) -> None:
    if written != wanted:
        raise RuntimeError(f"a peer wrote {written} tokens instead of {wanted}")
