"""A translation model for CTranslate2, a C++ engine for Transformers (https://opennmt.net/CTranslate2).

Its own classes describe the network and write it. What is said differently there:

- the two input matrices of an attention, or of a source and a target, are stacked into one
- query heads that share keys and values get a copy each: then every layer is of the most common kind
- positions that are added are a table, as long as any sentence that we translate
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqgen.config import Activation
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.errors import ModelError
from seqgen.export.directory import new_directory, require, write_tokenizers
from seqgen.nets.transformer.attention import MultiHeadAttention
from seqgen.nets.transformer.layers import FeedForward, Layer
from seqgen.nets.transformer.seq2seq import TransformerSeq2Seq
from seqgen.tasks.translation.model import TranslationModel
from seqgen.tasks.translation.translate import MAX_SOURCE_TOKENS

if TYPE_CHECKING:
    from ctranslate2.specs import TransformerSpec

# The longest output that `translate` allows: twice the longest source and ten more.
POSITIONS = 2 * MAX_SOURCE_TOKENS + 12
ACTIVATIONS: dict[Activation, str] = {"relu": "RELU", "gelu": "GELU", "swiglu": "SWISH"}

README = """\
# {name} for CTranslate2

A Transformer of seqgen in the format of CTranslate2. Translate with it (`pip install ctranslate2 sentencepiece`):

```python
import ctranslate2
from sentencepiece import SentencePieceProcessor

source, target = (SentencePieceProcessor(model_file=f"{{side}}.model") for side in ("source", "target"))
translator = ctranslate2.Translator(".", compute_type="float32")  # "int8" is smaller and faster, and less exact
sentences = [source.encode(line, out_type=str) for line in ["Ein Hund rennt."]]
results = translator.translate_batch(sentences, beam_size=5, length_penalty=0, min_decoding_length=0)
print(*(target.decode(result.hypotheses[0]) for result in results), sep="\\n")
```

These are the settings of `seqgen translate`: a score is a sum of log-probabilities, not divided by the length, and an
output may be empty.

Before sentencepiece reads a line, `seqgen translate` makes any white space one space and composes letters with their
marks: `unicodedata.normalize("NFC", " ".join(line.split()))`. Do the same for lines that may need it.
"""


def export(model: TranslationModel, target: Path) -> None:
    """Write a directory that CTranslate2 loads.

    Args:
        model (TranslationModel): a Transformer.
        target (Path): must not exist yet.

    Raises:
        ModelError: CTranslate2 has no such network.
        UsageError: CTranslate2 is not installed, or there is something in the way.
        OutputError: the directory cannot be written.
    """
    network = model.network
    if not isinstance(network, TransformerSeq2Seq):
        raise ModelError(f"{model.directory} is recurrent, and CTranslate2 knows Transformers only")
    if not network.config.causal:
        raise ModelError(f"{model.directory} has no causal mask, and an exported decoder needs one")
    if network.config.activation not in ACTIVATIONS:
        raise ModelError(f"{model.directory} has no nonlinearity, and CTranslate2 knows no Transformer without one")
    require("ctranslate2", extra="ctranslate2")
    spec = describe(network)
    for tokenizer, register in (
        (model.source_tokenizer, spec.register_source_vocabulary),
        (model.target_tokenizer, spec.register_target_vocabulary),
    ):
        register(_pieces(tokenizer))
    spec.config.add_source_eos = True
    spec.config.layer_norm_epsilon = nn.LayerNorm(1).eps
    spec.validate()
    spec.optimize()  # what two layers share is written once
    with new_directory(target) as directory:
        spec.save(str(directory))
        write_tokenizers(model, directory)
        (directory / "README.md").write_text(README.format(name=target.name), "utf-8")


def describe(network: TransformerSeq2Seq) -> TransformerSpec:
    """The network in CTranslate2's words."""
    from ctranslate2.specs import TransformerDecoderSpec, TransformerEncoderSpec, TransformerSpec, common_spec

    config = network.config
    kinds = {
        "pre_norm": config.norm == "pre",
        "activation": common_spec.Activation[ACTIVATIONS[config.activation]],
        "ffn_glu": config.activation == "swiglu",
        "rotary_dim": 0 if config.positions == "rotary" else None,  # 0: all of a head
    }
    encoder = TransformerEncoderSpec(len(network.encoder.layers), config.num_heads, **kinds)
    decoder = TransformerDecoderSpec(len(network.decoder.layers), config.num_heads, **kinds)
    encoder.embeddings[0].weight = _array(network.source_embedding.weight)
    decoder.embeddings.weight = _array(network.target_matrix.weight)
    decoder.projection.weight, decoder.projection.bias = _array(network.output_matrix), _array(network.output_bias)
    for there, stack in ((encoder, network.encoder), (decoder, network.decoder)):
        if config.positions != "rotary":
            there.position_encodings.encodings = _array(_position_table(network))
        if isinstance(stack.norm, nn.LayerNorm):
            _norm(there.layer_norm, stack.norm)
        for their_layer, layer in zip(there.layer, stack, strict=True):
            _layer(their_layer, layer)
    return TransformerSpec(encoder, decoder)


def _position_table(network: TransformerSeq2Seq) -> Tensor:
    """What is added at each place, `(positions, embed)`."""
    added = network.positions.added(torch.arange(POSITIONS, device=network.device))
    return torch.zeros(POSITIONS, network.config.embed_size) if added is None else added


def _layer(there: Any, layer: Layer) -> None:
    own = layer.attention
    _linear(there.self_attention.linear[0], *_stacked(own.query, *_keys_and_values(own)))
    _linear(there.self_attention.linear[1], own.output.weight, own.output.bias)
    _norm(there.self_attention.layer_norm, layer.attention_norm)
    if layer.cross is not None and layer.cross_norm is not None:
        _linear(there.attention.linear[0], layer.cross.query.weight, layer.cross.query.bias)
        _linear(there.attention.linear[1], *_keys_and_values(layer.cross))
        _linear(there.attention.linear[2], layer.cross.output.weight, layer.cross.output.bias)
        _norm(there.attention.layer_norm, layer.cross_norm)
    _feed_forward(there.ffn, layer.feed_forward)
    _norm(there.ffn.layer_norm, layer.feed_forward_norm)


def _keys_and_values(attention: MultiHeadAttention) -> tuple[Tensor, Tensor]:
    """Matrix and bias of all keys, then of all values, those of shared heads once for each query head."""
    each = attention.num_heads // attention.kv_heads

    def spread(values: Tensor) -> Tensor:
        heads = values.view(2, attention.kv_heads, attention.head_size, -1)
        return heads.repeat_interleave(each, dim=1).flatten(0, 2)

    return spread(attention.key_value.weight), spread(attention.key_value.bias).flatten()


def _feed_forward(there: Any, part: FeedForward) -> None:
    weights, biases = part.inner.weight, part.inner.bias
    if part.gated:
        (gate, values), (gate_bias, values_bias) = weights.chunk(2), biases.chunk(2)
        _linear(there.linear_0, gate, gate_bias)
        _linear(there.linear_0_noact, values, values_bias)
    else:
        _linear(there.linear_0, weights, biases)
    _linear(there.linear_1, part.outer.weight, part.outer.bias)


def _stacked(query: nn.Linear, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    return torch.cat((query.weight, weight)), torch.cat((query.bias, bias))


def _linear(there: Any, weight: Tensor, bias: Tensor) -> None:
    there.weight, there.bias = _array(weight), _array(bias)


def _norm(there: Any, norm: nn.LayerNorm) -> None:
    there.gamma, there.beta = _array(norm.weight), _array(norm.bias)


def _array(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.detach().float().cpu().contiguous().numpy()
    return array


def _pieces(tokenizer: SentencePieceTokenizer) -> list[str]:
    """The vocabulary as sentencepiece writes it."""
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_proto=tokenizer.to_bytes())
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
