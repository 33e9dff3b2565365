"""A translation model as two ONNX graphs: the encoder, and one step of the decoder.

    encoder.onnx        source (batch, source), lengths (batch) -> memory
    decoder_step.onnx   tokens (rows), cache, memory, lengths (rows) -> log_probs (rows, vocab), new_cache

`memory` and `cache` are keys and values of all layers, `(layers, 2, rows, kv_heads, time, head)`. A cache begins with a
time of 0 and grows by one token a step. A search lies outside: it picks tokens, and moves the rows of both.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from seqgen.errors import ModelError
from seqgen.export.directory import new_directory, require, write_tokenizers
from seqgen.nets.transformer.attention import KeysValues, MultiHeadAttention
from seqgen.nets.transformer.layers import run_parts
from seqgen.nets.transformer.seq2seq import TransformerSeq2Seq
from seqgen.tasks.translation.model import TranslationModel

OPSET = 18

README = """\
# {name} as ONNX

A Transformer of seqgen: `encoder.onnx` reads sentences, `decoder_step.onnx` writes one token. With the most probable
token at each step (`pip install onnxruntime sentencepiece numpy`):

```python
import numpy as np
import onnxruntime
from sentencepiece import SentencePieceProcessor

source, target = (SentencePieceProcessor(model_file=f"{{side}}.model") for side in ("source", "target"))
encoder, step = (onnxruntime.InferenceSession(f"{{name}}.onnx") for name in ("encoder", "decoder_step"))
sentence = np.array([[*source.encode("Ein Hund rennt."), source.eos_id()]])
lengths = np.array([sentence.shape[1]])
(memory,) = encoder.run(None, {{"source": sentence, "lengths": lengths}})
token, written = target.bos_id(), []
cache = np.zeros(({layers}, 2, 1, {heads}, 0, {head}), dtype=np.float32)
while token != target.eos_id() and len(written) < 2 * lengths[0] + 10:
    given = {{"tokens": np.array([token]), "cache": cache, "memory": memory, "lengths": lengths}}
    log_probs, cache = step.run(None, given)
    token = int(log_probs[0].argmax())
    written.append(token)
print(target.decode(written))
```

`memory` and `cache` are keys and values of all layers, (layers, 2, rows, heads, time, head). A beam repeats and
moves rows of both, and of `lengths`, which hides what stands behind a shorter source.

Before sentencepiece reads a line, `seqgen translate` makes any white space one space and composes letters with their
marks: `unicodedata.normalize("NFC", " ".join(line.split()))`. Do the same for lines that may need it.
"""


class Encoder(nn.Module):
    """What a decoder attends to, `(layers, 2, batch, kv_heads, source, head)`, of sources and their lengths."""

    def __init__(self, network: TransformerSeq2Seq) -> None:
        super().__init__()
        self.network = network

    def forward(self, source: Tensor, lengths: Tensor) -> Tensor:
        """As `TransformerSeq2Seq.encode`, but what is hidden never depends on the lengths of this batch."""
        network = self.network
        positions = torch.arange(source.shape[1], device=source.device)
        x = network.source_embedding(source, network.positions.added(positions))
        turn = network.positions.rotation(positions)
        x = network.encoder.norm(network.encoder(x, present(source.shape[1], lengths), causal=False, turn=turn))
        crossing = [layer.cross for layer in network.decoder if layer.cross is not None]
        return torch.stack([torch.stack(cross.keys_values(x)) for cross in crossing])


class DecoderStep(nn.Module):
    """Log-probabilities of the next token of each row, and the cache with one token more."""

    def __init__(self, network: TransformerSeq2Seq) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor, cache: Tensor, memory: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As `seqgen.nets.stepping.cached`, with all that it needs among the arguments."""
        network = self.network
        position = torch.full((1,), cache.shape[4], device=tokens.device)
        x = network.target_matrix(tokens[:, None], network.positions.added(position))
        turn = network.positions.rotation(position)
        mask = present(memory.shape[4], lengths)
        written = []
        for layer, before, source in zip(network.decoder, cache.unbind(), memory.unbind(), strict=True):

            def attend(y: Tensor, own: MultiHeadAttention = layer.attention, before: Tensor = before) -> Tensor:
                written.append(torch.cat((before, torch.stack(own.keys_values(y, turn))), dim=3))
                found: Tensor = own(own.queries(y, turn), _keys_values(written[-1]))
                return found

            x = run_parts(layer.parts(attend, _keys_values(source, mask)), x, pre=layer.pre)
        logits = nn.functional.linear(network.decoder.norm(x[:, 0]), network.output_matrix, network.output_bias)
        return logits.log_softmax(dim=-1), torch.stack(written)


def _keys_values(both: Tensor, mask: Tensor | None = None) -> KeysValues:
    keys, values = both
    return KeysValues(keys, values, mask)


def present(time: int, lengths: Tensor) -> Tensor:
    """Where there is a token, `(batch, 1, 1, time)`."""
    return (torch.arange(time, device=lengths.device) < lengths[:, None])[:, None, None]


def export(model: TranslationModel, target: Path) -> None:
    """Write a directory with both graphs.

    Args:
        model (TranslationModel): a Transformer.
        target (Path): must not exist yet.

    Raises:
        ModelError: the network is recurrent.
        UsageError: a package is missing, or there is something in the way.
        OutputError: the directory cannot be written.
    """
    network = model.network
    if not isinstance(network, TransformerSeq2Seq):
        raise ModelError(f"{model.directory} is recurrent, and only Transformers can be written as ONNX")
    if not network.config.causal:
        raise ModelError(f"{model.directory} has no causal mask, and an exported decoder needs one")
    require("onnx", "onnxscript", extra="onnx")
    config = network.config
    layers, shape = len(network.decoder.layers), (config.kv_heads, config.head_size)
    with new_directory(target) as directory:
        _write(Encoder(network), directory / "encoder.onnx", _encoder_example(), ["memory"])
        step_example = _step_example(layers, *shape)
        _write(DecoderStep(network), directory / "decoder_step.onnx", step_example, ["log_probs", "new_cache"])
        write_tokenizers(model, directory)
        sizes = {"layers": layers, "heads": shape[0], "head": shape[1]}
        (directory / "README.md").write_text(README.format(name=target.name, **sizes), "utf-8")


Example = dict[str, tuple[Tensor, dict[int, str]]]
"""An argument by its name, and which of its sizes may be others, by their names."""


def _encoder_example() -> Example:
    sources = torch.zeros(2, 3, dtype=torch.long)
    return {"source": (sources, {0: "batch", 1: "source"}), "lengths": (torch.tensor([3, 2]), {0: "batch"})}


def _step_example(layers: int, heads: int, head: int) -> Example:
    return {
        "tokens": (torch.zeros(2, dtype=torch.long), {0: "rows"}),
        "cache": (torch.zeros(layers, 2, 2, heads, 4, head), {2: "rows", 4: "time"}),
        "memory": (torch.zeros(layers, 2, 2, heads, 3, head), {2: "rows", 4: "source"}),
        "lengths": (torch.tensor([3, 2]), {0: "rows"}),
    }


def _write(module: nn.Module, path: Path, example: Example, outputs: list[str]) -> None:
    """Trace a module with some arguments; the graph takes any sizes where the example has names for them."""
    with _silence():
        torch.onnx.export(
            module.eval(),
            tuple(value for value, _ in example.values()),
            str(path),
            input_names=list(example),
            output_names=outputs,
            dynamic_shapes=tuple(dict(names) for _, names in example.values()),
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """The exporter speaks to its developers: on stdout, through warnings and through the log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
