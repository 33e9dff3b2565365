"""The peer of translation: JoeyNMT 2.3, its own models and its own beam search, if it is installed.

    pip install --no-deps joeynmt==2.3.0
    pip install pyyaml subword-nmt sacremoses matplotlib 'importlib_metadata<9'

`--no-deps`, for the versions that it asks for cannot stand beside seqgen's. Weights are random: the time does not
depend on them as long as the length of the outputs is forced.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

UNK, PAD, BOS, EOS = range(4)
LAYERS = 3

Search = Callable[[Tensor, Tensor, int, int], int]
"""From sources `(batch, source)`, their lengths, a beam size and a number of tokens to the tokens of each output."""


def joey_searches(vocab_size: int, configs: dict[str, dict[str, Any]]) -> dict[str, Search]:
    """Beam searches of JoeyNMT by the description of their models; empty if it is not installed.

    Args:
        vocab_size (int): of both sides.
        configs (dict[str, dict[str, Any]]): by name, from `recurrent` and `transformer`.
    """
    try:
        from joeynmt.model import build_model  # type: ignore[import-not-found]
        from joeynmt.vocabulary import Vocabulary  # type: ignore[import-not-found]
    except ImportError:
        return {}
    logging.disable(logging.INFO)
    symbols = SimpleNamespace(
        unk_token="<unk>",
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        sep_token=None,
        unk_id=UNK,
        pad_id=PAD,
        bos_id=BOS,
        eos_id=EOS,
        lang_tags=[],
    )
    vocabulary = Vocabulary([f"token{i}" for i in range(vocab_size - 4)], symbols)
    found = {}
    for name, config in configs.items():
        torch.manual_seed(0)
        model = build_model(config, vocabulary, vocabulary).eval()
        millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
        found[f"JoeyNMT {name}, {millions:.1f}M"] = _search(model)
    return found


def recurrent(hidden: int) -> dict[str, Any]:
    """Embeddings of 256, an encoder of two directions, Luong's attention, input feeding: one layer each, as ours."""
    both = {"type": "recurrent", "rnn_type": "lstm", "num_layers": 1, "embeddings": {"embedding_dim": 256}}
    decoder = {"attention": "luong", "input_feeding": True, "init_hidden": "bridge", "hidden_size": hidden}
    encoder = {"bidirectional": True, "hidden_size": hidden // 2}
    return {"tied_embeddings": True, "encoder": both | encoder, "decoder": both | decoder}


def transformer(ffn_size: int) -> dict[str, Any]:
    """Layers of 256, with a shared embedding."""
    sizes = {"hidden_size": 256, "ff_size": ffn_size, "num_heads": 4, "num_layers": LAYERS}
    both = {"type": "transformer", "embeddings": {"embedding_dim": 256, "scale": True}, **sizes}
    return {"tied_embeddings": True, "tied_softmax": True, "encoder": dict(both), "decoder": dict(both)}


def _search(model: Any) -> Search:
    from joeynmt.batch import Batch  # type: ignore[import-not-found]
    from joeynmt.search import search  # type: ignore[import-not-found]

    def run(sources: Tensor, lengths: Tensor, beam_size: int, tokens: int) -> int:
        batch = Batch(
            src=sources,
            src_length=lengths,
            src_prompt_mask=None,
            trg=None,
            trg_prompt_mask=None,
            indices=torch.arange(len(sources)),
            device=torch.device("cpu"),
            pad_index=PAD,
            eos_index=EOS,
            is_train=False,
        )
        limits = {"max_output_length": tokens, "min_output_length": tokens}
        outputs, _, _ = search(model=model, batch=batch, beam_size=beam_size, beam_alpha=-1, **limits)
        return int(outputs.shape[1])

    return run
