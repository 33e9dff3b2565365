"""CTranslate2 finds what we find: every token's log-probability, and whole outputs of a beam."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import small_transformers
import torch
from small_transformers import KINDS, numbers, trained, untrained

from seqgen import modeldir
from seqgen.config import SearchConfig, TransformerSeq2SeqConfig
from seqgen.data.parallel import ParallelCorpus
from seqgen.errors import ModelError, UsageError
from seqgen.export import onnx_format
from seqgen.export.ctranslate2_format import export
from seqgen.tasks.translation.model import TranslationModel
from seqgen.tasks.translation.score import force_decode
from seqgen.tasks.translation.translate import Translator

ctranslate2 = pytest.importorskip("ctranslate2")
from sentencepiece import SentencePieceProcessor  # noqa: E402

LIMIT = 60


@pytest.fixture(scope="module")
def numbers_corpus(tmp_path_factory: pytest.TempPathFactory) -> ParallelCorpus:
    return small_transformers.corpus(tmp_path_factory.mktemp("numbers"))


def load(directory: Path) -> tuple[Any, Any, Any]:
    """The engine and both tokenizers of a directory."""
    engine = ctranslate2.Translator(str(directory), compute_type="float32", inter_threads=1, intra_threads=1)
    source, target = (
        SentencePieceProcessor(model_file=str(directory / f"{side}.model")) for side in ("source", "target")
    )
    return engine, source, target


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_is_as_probable(kind: str, numbers_corpus: ParallelCorpus, tmp_path: Path) -> None:
    model, pairs = untrained(numbers_corpus, **KINDS[kind]), numbers(20, seed=1)
    export(model, tmp_path / "out")
    engine, source, target = load(tmp_path / "out")
    sides = zip(*((source.encode(s, out_type=str), target.encode(t, out_type=str)) for s, t in pairs), strict=True)
    theirs = engine.score_batch(*map(list, sides))
    for scored, other in zip(force_decode(model, pairs, 20), theirs, strict=True):
        assert other.tokens == list(scored.tokens)
        assert other.log_probs == pytest.approx(scored.log_probs, abs=1e-4)


def gaps(model: TranslationModel, directory: Path, lines: Sequence[str]) -> list[float]:
    """Of each sentence for which a beam of 5 finds another output there, by how much the scores differ.

    CTranslate2 gives the probability of tokens that we ban to the others, so nothing is to be left of it.
    """
    target = model.target_tokenizer
    model.network.output_bias[[target.pad_id, target.unk_id, target.bos_id]] -= 100
    export(model, directory)
    engine, source, _ = load(directory)
    theirs = engine.translate_batch(
        [source.encode(line, out_type=str) for line in lines],
        beam_size=5,
        length_penalty=0,
        min_decoding_length=0,
        max_decoding_length=LIMIT,
        return_scores=True,
    )
    ours = [t.outputs[0] for t in Translator([model], "beam", SearchConfig(), max_length=LIMIT + 1).stream(lines)]
    assert all(len(output.tokens) <= LIMIT for output in ours)  # there the end symbol is scored here and not there
    return [
        abs(one.hypothesis.log_prob - other.scores[0])
        for one, other in zip(ours, theirs, strict=True)
        if [*other.hypotheses[0], "</s>"] != list(one.tokens)
    ]


@pytest.mark.slow
def test_a_beam_finds_the_same_outputs(numbers_corpus: ParallelCorpus, tmp_path: Path) -> None:
    lines = [source for source, _ in numbers(200, seed=2)]
    different = gaps(trained(numbers_corpus), tmp_path / "out", lines)
    assert len(different) <= 2
    assert all(gap < 1e-3 for gap in different)


@pytest.mark.slow
def test_the_shipped_model_finds_the_same_outputs_for_real_sentences(tmp_path: Path) -> None:
    shipped, data = modeldir.shipped_directory(), os.environ.get("SEQGEN_TEST_DATA", "")
    path = Path(data, "multi30k", "test_2016_flickr.de")
    if shipped is None or not data or not path.is_file():
        pytest.skip("needs the shipped model and Multi30k")
    model = TranslationModel.load(str(shipped / "multi30k-de-en"), torch.device("cpu"))
    if not isinstance(model.network.config, TransformerSeq2SeqConfig):
        pytest.skip("the shipped model is recurrent")
    different = gaps(model, tmp_path / "out", path.read_text(encoding="utf-8").splitlines()[:200])
    assert len(different) <= 2
    assert all(gap < 1e-3 for gap in different)


def test_the_readme_says_how_it_is_used(
    numbers_corpus: ParallelCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = untrained(numbers_corpus)
    export(model, tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    (code,) = re.findall(r"```python\n(.*?)```", Path("README.md").read_text("utf-8"), re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out.count("\n") == 1


def test_what_it_cannot_express_is_an_error(numbers_corpus: ParallelCorpus, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no nonlinearity"):
        export(untrained(numbers_corpus, activation="none"), tmp_path / "out")
    with pytest.raises(ModelError, match="no causal mask"):
        export(untrained(numbers_corpus, causal=False), tmp_path / "out")
    with pytest.raises(ModelError, match="no causal mask"):
        onnx_format.export(untrained(numbers_corpus, causal=False), tmp_path / "out")
    with pytest.raises(UsageError, match="is there already"):
        export(untrained(numbers_corpus), Path(__file__))
    assert list(tmp_path.iterdir()) == []
