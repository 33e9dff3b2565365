"""Both graphs, run by ONNX Runtime, say what our own step says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_transformers
import torch
from small_transformers import KINDS, untrained

from seqgen.data.parallel import ParallelCorpus
from seqgen.export.onnx_format import export
from seqgen.nets.stepping.steps import source_step
from seqgen.nets.transformer.seq2seq import TransformerSeq2Seq
from seqgen.tasks.translation.model import TranslationModel

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.slow  # the exporter takes its time
BOS = 2


@pytest.fixture(scope="module")
def numbers_corpus(tmp_path_factory: pytest.TempPathFactory) -> ParallelCorpus:
    return small_transformers.corpus(tmp_path_factory.mktemp("numbers"))


def agree(model: TranslationModel, directory: Path, lengths: list[int], steps: int) -> None:
    """Some steps for sources of some lengths, each with its most probable token."""
    network, longest = model.network, max(lengths)
    assert isinstance(network, TransformerSeq2Seq)
    encoder, decoder = (
        onnxruntime.InferenceSession(str(directory / f"{name}.onnx")) for name in ("encoder", "decoder_step")
    )
    source = torch.randint(4, network.source_vocab_size, (len(lengths), longest), generator=torch.Generator())
    step: Any = source_step(network)
    state = step.start(source, torch.tensor(lengths))
    given: dict[str, Any] = {"lengths": np.array(lengths)}
    (given["memory"],) = encoder.run(None, given | {"source": source.numpy()})
    layers, kv_heads, head = len(network.decoder.layers), network.config.kv_heads, network.config.head_size
    given["cache"] = np.zeros((layers, 2, len(lengths), kv_heads, 0, head), dtype=np.float32)
    tokens = torch.full((len(lengths),), BOS)
    for _ in range(steps):
        ours, state = step(tokens, state)
        theirs, given["cache"] = decoder.run(None, given | {"tokens": tokens.numpy()})
        np.testing.assert_allclose(theirs, ours.numpy(), atol=1e-4)
        tokens = ours.argmax(dim=1)


@pytest.mark.parametrize("kind", ["default", "rotary, shared heads"])
def test_both_graphs_agree_with_our_own_step(
    kind: str,
    numbers_corpus: ParallelCorpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = untrained(numbers_corpus, **KINDS[kind])
    export(model, tmp_path / "out")
    for lengths in ([1], [5, 3, 5], [17, 2]):
        agree(model, tmp_path / "out", lengths, steps=4)
    monkeypatch.chdir(tmp_path / "out")
    (code,) = re.findall(r"```python\n(.*?)```", Path("README.md").read_text("utf-8"), re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out.count("\n") == 1  # the exporter itself says nothing
