"""Fuzz: any model directory loads and works, or is refused in one sentence; so are settings files and logs."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from fuzzing import altered, damaged, fuzz, only_below, survives
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from seqgen import modeldir
from seqgen.cli.settings import settle
from seqgen.config import (
    Cell,
    ClassifierConfig,
    ClassifierSettings,
    FeatureConfig,
    ForecasterConfig,
    ForecasterSettings,
    GanConfig,
    GanNetworks,
    GanSettings,
    ImageFormat,
    LanguageModelSettings,
    RecurrentConfig,
    SamplingConfig,
    SearchConfig,
    Seq2SeqConfig,
    SeriesConfig,
    TransformerConfig,
    TransformerSeq2SeqConfig,
    TranslationSettings,
    from_json,
    to_json,
)
from seqgen.config.forecasting import FittedTransform
from seqgen.data.calendar import Calendar
from seqgen.data.label_inputs import InputReader
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.series import Series
from seqgen.data.tokenizers import CharTokenizer, WordTokenizer, from_bytes
from seqgen.data.tokens import decode, vocab_size
from seqgen.modeldir.layout import manifest
from seqgen.nets.classifier import Classifier
from seqgen.tasks.classification.classify import Labeller
from seqgen.tasks.classification.model import ClassifierModel
from seqgen.tasks.features import model as features
from seqgen.tasks.features.model import FeatureModel
from seqgen.tasks.forecasting.choice import Cut
from seqgen.tasks.forecasting.forecast import forecast, known_series
from seqgen.tasks.forecasting.model import ForecasterModel
from seqgen.tasks.gan.imagine import Imagination
from seqgen.tasks.gan.model import GanModel
from seqgen.tasks.language import model as language_model
from seqgen.tasks.language.model import LanguageModel
from seqgen.tasks.language.write import Writer
from seqgen.tasks.translation.model import TranslationModel, translation_network
from seqgen.tasks.translation.translate import Translator

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")

# Tiny models, and a little use of each ------------------------------------------------------------------------


@functools.cache
def _sentence_pieces() -> SentencePieceTokenizer:
    lines = [f"ein Hund {letter} sieht a dog {letter}" for letter in "abcdefgh"]
    return SentencePieceTokenizer.train(lines, 280, sentences=True)


@functools.cache
def _text_pieces() -> SentencePieceTokenizer:
    return SentencePieceTokenizer.train(["a b c"] * 9, 262)


def _write_a_little(path: Path) -> None:
    model = LanguageModel.load(str(path), CPU)
    for _ in Writer(model.network, model.tokenizer, SamplingConfig()).write("a b", length=3, seeds=[1]):
        pass


def _translate_a_little(path: Path) -> None:
    model = TranslationModel.load(str(path), CPU)
    for _ in Translator([model], search=SearchConfig(beam_size=2), max_length=4).stream(["ein Hund", ""]):
        pass


def _draw_a_little(path: Path) -> None:
    model = GanModel.load(str(path), CPU)
    assert all(name.isprintable() for name in model.classes)
    for images in Imagination(model, seed=1).images(range(2)):
        assert images.dtype == np.uint8


def _look_a_little(path: Path) -> None:
    model = FeatureModel.load(str(path), CPU)
    model.extract(np.zeros((2, 1, 9, 8), np.uint8))


def _label_a_little(path: Path) -> None:
    model = ClassifierModel.load(str(path), CPU)
    for answer in Labeller(model, top=2).label(["a b zz", "", "b"]):
        assert all(label.name.isprintable() for labels in answer.labels for label in labels)


def _go_on_a_little(path: Path) -> None:
    model = ForecasterModel.load(str(path), CPU)
    series, fitted = known_series(model, [], SeriesConfig(), print)
    found = forecast(model, series[0], fitted[0], 3, paths=1)
    assert len(found.dates()) == 3


@dataclass(frozen=True)
class Kind:
    """The files of a tiny model, and what shows that it works."""

    files: Mapping[str, bytes]
    use: Callable[[Path], None]


def _with_weights(network: nn.Module, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {**files, modeldir.WEIGHTS: modeldir.tensors_to_bytes(network.state_dict())}


def _language(config: RecurrentConfig | TransformerConfig, tokenizer: CharTokenizer | WordTokenizer) -> Kind:
    network = language_model.new_network(config, tokenizer, 0)
    return Kind(_with_weights(network, language_model.model_files(network, tokenizer)), _write_a_little)


def _translation(config: Seq2SeqConfig | TransformerSeq2SeqConfig) -> Kind:
    pieces = _sentence_pieces()
    network = translation_network(config, vocab_size(pieces), vocab_size(pieces))
    network.initialise()
    return Kind(_with_weights(network, TranslationModel(network, pieces, pieces).files()), _translate_a_little)


def _gan(arch: str, body: str) -> Kind:
    images = ImageFormat(channels=1, height=8, width=8, classes=("0", "1") if arch == "cgan" else ())
    fields = {"arch": arch, "body": body, "latent_size": 2, "generator_size": 2, "discriminator_size": 2}
    model = GanModel.new(GanNetworks(images=images, gan=from_json(GanConfig, fields, where="here")), 0)
    return Kind(_with_weights(model.networks, model.files()), _draw_a_little)


def _features() -> Kind:
    images = ImageFormat(channels=1, height=8, width=8, classes=("0", "1"))
    network = features.new_network(FeatureConfig(base_size=2, feature_size=4, hidden_size=4), images, 0)
    return Kind(_with_weights(network, features.model_files(network)), _look_a_little)


def _forecaster() -> Kind:
    config = ForecasterConfig(horizon=2, hidden_size=4)
    values = np.sin(np.arange(60.0))
    calendar = Calendar("months", 1, "1990-01-01T00:00:00", 1, style="%Y-%m")
    series = Series("x", values, np.zeros((60, 1)), calendar)
    model = ForecasterModel.new(config, FittedTransform(order=3, period=6.0), [series], [Cut(40, 50)], 0)
    return Kind(_with_weights(model.network, model.files()), _go_on_a_little)


def _classifier(*, per_token: bool) -> Kind:
    words, letters = WordTokenizer(["a", "b"]), CharTokenizer("ab")
    reader = InputReader(words, letters, per_token, 4, per_token)
    config = ClassifierConfig(embed_size=4, hidden_size=4, char_size=4)
    network = Classifier(config, vocab_size(words), vocab_size(letters), 2, per_token=per_token)
    network.initialise()
    model = ClassifierModel(network, reader, ("x", "y"))
    return Kind(_with_weights(network, model.files()), _label_a_little)


def _recurrent(cell: Cell) -> Kind:
    return _language(RecurrentConfig(cell=cell, embed_size=4, hidden_size=4, num_layers=1), CharTokenizer("abc \n"))


SMALL: dict[str, Any] = {"embed_size": 4, "hidden_size": 4, "num_layers": 1}
BLOCK: dict[str, Any] = {"embed_size": 8, "num_layers": 1, "num_heads": 2, "ffn_size": 4, "context": 8}
KINDS: dict[str, Callable[[], Kind]] = {
    **{cell: functools.partial(_recurrent, cell) for cell in get_args(Cell)},
    "transformer": lambda: _language(TransformerConfig(**BLOCK), WordTokenizer(["a", "b"])),
    "seq2seq": lambda: _translation(Seq2SeqConfig(attention_size=4, **SMALL)),
    "transformer-seq2seq": lambda: _translation(TransformerSeq2SeqConfig(**BLOCK)),
    "classifier": lambda: _classifier(per_token=False),
    "tagger": lambda: _classifier(per_token=True),
    "forecaster": _forecaster,
    "dcgan": lambda: _gan("dcgan", "dcgan"),
    "cgan": lambda: _gan("cgan", "residual"),
    "features": _features,
}


@functools.cache
def _kind(name: str) -> Kind:
    return KINDS[name]()


# Tests --------------------------------------------------------------------------------------------------------


def _open(files: Mapping[str, bytes], use: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model"
        path.mkdir()
        for file, content in files.items():
            (path / file).write_bytes(content)
        with only_below(Path(name)), survives():
            use(path)


def _vouched(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {**files, modeldir.MANIFEST: manifest(files)}


@fuzz
@given(kind=st.sampled_from(list(KINDS)), draw=st.data())
def test_fuzz_config(kind: str, draw: st.DataObject) -> None:
    files, use = _kind(kind).files, _kind(kind).use
    config = json.dumps(draw.draw(altered(json.loads(files[modeldir.CONFIG])))).encode()
    _open(_vouched({**files, modeldir.CONFIG: config}), use)


@fuzz
@given(kind=st.sampled_from(list(KINDS)), vouched=st.booleans(), draw=st.data())
def test_fuzz_any_file_of_a_model(kind: str, vouched: bool, draw: st.DataObject) -> None:
    files, use = _vouched(_kind(kind).files), _kind(kind).use
    file = draw.draw(st.sampled_from(list(files)))
    changed = {**files, file: draw.draw(damaged([files[file]]))}
    if vouched and file != modeldir.MANIFEST:
        changed = _vouched({name: content for name, content in changed.items() if name != modeldir.MANIFEST})
    _open(changed, use)


TOKENIZERS = {
    "tokenizer.json": lambda: [CharTokenizer("abc \n").to_bytes(), WordTokenizer(["a", "b"]).to_bytes()],
    "tokenizer.model": lambda: [
        _sentence_pieces().to_bytes(),
        SentencePieceTokenizer.train(["a b c"] * 9, 262).to_bytes(),
    ],
}


@fuzz
@given(name=st.sampled_from(list(TOKENIZERS)), text=st.text(max_size=20), draw=st.data())
def test_fuzz_tokenizer(name: str, text: str, draw: st.DataObject) -> None:
    content = draw.draw(damaged(TOKENIZERS[name]()))
    with survives():
        tokenizer = from_bytes(name, content)
        decode(tokenizer, tokenizer.encode(text.encode(errors="replace").decode()))


SETTINGS = {
    "train-classifier": ClassifierSettings(),
    "train-forecaster": ForecasterSettings(),
    "train-lm": LanguageModelSettings(),
    "train-seq2seq": TranslationSettings(),
    "gan-train": GanSettings(),
}


@fuzz
@given(command=st.sampled_from(list(SETTINGS)), draw=st.data())
def test_fuzz_settings(command: str, draw: st.DataObject) -> None:
    whole = {"command": command, "settings": to_json(SETTINGS[command])}
    content = json.dumps(draw.draw(altered(whole))).encode()
    if draw.draw(st.booleans()):
        content = draw.draw(damaged([content]))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "training.json"
        path.write_bytes(content)
        with only_below(Path(name)), survives():
            settle(SETTINGS[command], {}, resumed=None, config=path, note=lambda message: None)
