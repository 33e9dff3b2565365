"""The peers of a Transformer's beam search: transformers' `generate` and CTranslate2, each if it is installed.

    pip install transformers ctranslate2

CTranslate2 gets our own weights. MarianMT, of equal shape, normalises after each part instead of before it, so that its
weights are random; the time does not depend on them, for the length of the outputs is forced.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from plain_joey import BOS, EOS, PAD, Search
from torch import Tensor

from seqgen.nets.transformer.seq2seq import TransformerSeq2Seq


def marian_search(network: TransformerSeq2Seq) -> Search | None:
    """`generate` of a MarianMT of the same sizes."""
    try:
        from transformers import MarianConfig, MarianMTModel  # type: ignore[import-not-found]
    except ImportError:
        return None
    ours = network.config
    sizes: dict[str, Any] = {}
    for side, layers in (("encoder", ours.num_layers), ("decoder", ours.decoder_layers or ours.num_layers)):
        sizes |= {f"{side}_layers": layers, f"{side}_attention_heads": ours.num_heads, f"{side}_ffn_dim": ours.ffn_size}
    tokens = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS, "decoder_start_token_id": BOS}
    config = MarianConfig(
        vocab_size=network.vocab_size,
        d_model=ours.embed_size,
        activation_function=ours.activation,
        scale_embedding=True,
        max_position_embeddings=64,
        forced_eos_token_id=None,
        **sizes,
        **tokens,
    )
    torch.manual_seed(0)
    model = MarianMTModel(config).eval()

    def run(sources: Tensor, lengths: Tensor, beam_size: int, tokens: int) -> int:
        mask = torch.arange(sources.shape[1]) < lengths[:, None]
        limits = {"min_new_tokens": tokens, "max_new_tokens": tokens}
        with torch.inference_mode():
            found = model.generate(sources, attention_mask=mask.long(), num_beams=beam_size, do_sample=False, **limits)
        return int(found.shape[1]) - 1

    return run


def ctranslate2_search(network: TransformerSeq2Seq, folder: Path, threads: int) -> Search | None:
    """CTranslate2 in fp32 with the very weights."""
    try:
        import ctranslate2
    except ImportError:
        return None
    from seqgen.export.ctranslate2_format import describe

    words = [f"token{i}" for i in range(network.vocab_size)]
    for token_id, word in ((PAD, "<pad>"), (BOS, "<s>"), (EOS, "</s>")):
        words[token_id] = word
    spec = describe(network)
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    spec.validate()
    spec.optimize()
    os.makedirs(folder)
    spec.save(str(folder))
    engine = ctranslate2.Translator(str(folder), compute_type="float32", inter_threads=1, intra_threads=threads)

    def run(sources: Tensor, lengths: Tensor, beam_size: int, tokens: int) -> int:
        rows = zip(sources.tolist(), lengths.tolist(), strict=True)
        found = engine.translate_batch(
            [[words[i] for i in row[:length]] for row, length in rows],
            beam_size=beam_size,
            length_penalty=0,
            min_decoding_length=tokens,
            max_decoding_length=tokens,
        )
        (length,) = {len(result.hypotheses[0]) for result in found}
        return int(length)

    return run
