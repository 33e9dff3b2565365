"""The model that comes with the package: small, whole, and as good as its card says."""

import json
import os
import re
from pathlib import Path

import pytest
import torch

from seqgen import modeldir
from seqgen.config import SamplingConfig, TextConfig
from seqgen.data.corpus import build_corpus
from seqgen.tasks.language_model import LanguageModel, char_counts, evaluate
from seqgen.tasks.writing import Writer

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("SEQGEN_TEST_DATA", ROOT.parent / "shared" / "data"))
SHAKESPEARE = DATA / "tinyshakespeare" / "input.txt"
NAME = "shakespeare-lstm"

needs_shakespeare = pytest.mark.skipif(not SHAKESPEARE.is_file(), reason="tiny Shakespeare is not here")


def shipped() -> Path:
    directory = modeldir.shipped_directory()
    assert directory is not None
    return directory / NAME


def card_loss() -> float:
    found = re.search(r"^\| (\d\.\d+) \|", (shipped() / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_it_is_whole_and_small() -> None:
    modeldir.verify(shipped())
    assert sum(path.stat().st_size for path in shipped().iterdir()) < 16 * 2**20


def test_it_names_no_path_of_the_machine_that_made_it() -> None:
    settings = json.loads((shipped() / "training.json").read_text())["settings"]
    assert settings["text"]["paths"] == ["input.txt"]


def test_it_writes_words() -> None:
    model = LanguageModel.load(NAME, torch.device("cpu"))
    writer = Writer(model.network, model.tokenizer, SamplingConfig(temperature=0.5))
    text = "".join(piece for _, piece in writer.write("ROMEO:\n", length=400, seeds=[1]))
    words = re.findall(r"[a-z]+", text.lower())
    assert len({"the", "and", "i", "to", "of", "my", "you", "a", "in", "that"} & set(words)) >= 4


@needs_shakespeare
def test_the_split_is_that_of_nanogpt(tmp_path: Path) -> None:
    corpus = build_corpus(TextConfig(paths=(str(SHAKESPEARE),), valid="0.1"), tmp_path / "data", lambda message: None)
    assert corpus.valid is not None
    assert (len(corpus.train), len(corpus.valid)) == (1_003_854, 111_540)


@pytest.mark.slow
@needs_shakespeare
def test_it_is_as_good_as_its_card_says(tmp_path: Path) -> None:
    corpus = build_corpus(TextConfig(paths=(str(SHAKESPEARE),), valid="0.1"), tmp_path / "data", lambda message: None)
    model = LanguageModel.load(NAME, torch.device("cpu"))
    assert corpus.valid is not None
    assert corpus.tokenizer.to_bytes() == model.tokenizer.to_bytes()
    measures = evaluate(model.network, corpus.valid, char_counts(model.tokenizer))
    assert measures is not None
    assert measures["loss"] == pytest.approx(card_loss(), abs=2e-4)
    assert measures["loss"] <= 1.46
