"""What must hold for any text, any setting and any block size."""

from __future__ import annotations

import functools
import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seqgen.config import (
    Cell,
    LanguageModelSettings,
    Precision,
    RecurrentConfig,
    RecurrentTextConfig,
    SamplingConfig,
    Schedule,
    TextConfig,
    Tokens,
    TrainConfig,
    from_json,
    to_json,
)
from seqgen.data import text as text_module
from seqgen.data.corpus import TokenSpan, build_corpus
from seqgen.data.lanes import Lanes
from seqgen.data.normalization import Rule, normalize
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.text import read_lines, read_text
from seqgen.data.tokenizers import CharTokenizer, from_bytes
from seqgen.data.tokens import TokenIds, Utf8Stream, decode
from seqgen.decode.sampling import draw, restrict
from seqgen.decode.stop import StopText
from seqgen.errors import ConfigError, DataError
from seqgen.train.progress import Plan

# The same examples in every run: a test that fails today fails tomorrow.
steady = settings(max_examples=60, deadline=None, database=None, derandomize=True)

characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, max_size=60)
readable = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff\ufffd"), min_size=2, max_size=60
)
words = st.text("ab\n", max_size=40)


class Bytes:
    """A tokenizer whose tokens are bytes."""

    file_name = "none"
    unk_id = 0
    begins_with_space = False
    rule: Rule = "none"
    unknown_in_training = False

    @property
    def token_bytes(self) -> Sequence[bytes]:
        return [bytes([i]) for i in range(256)]

    def normalize(self, text: str) -> str:
        return text

    def encode(self, text: str) -> TokenIds:
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)

    def unseen(self, text: str) -> list[str]:
        return []

    def lengths(self, text: str, token_ids: TokenIds) -> NDArray[np.int64]:
        return np.ones_like(token_ids)

    def to_bytes(self) -> bytes:
        return b""


@functools.cache
def pieces() -> SentencePieceTokenizer:
    return SentencePieceTokenizer.train((f"plain  words\tand {letter}\n" for letter in "abcdefgh" * 9), 276)


def cut(content: str, places: list[int]) -> list[str]:
    borders = [0, *sorted(place % (len(content) + 1) for place in places), len(content)]
    return [content[begin:end] for begin, end in itertools.pairwise(borders)]


def in_folder(content: bytes) -> tuple[tempfile.TemporaryDirectory[str], Path]:
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "text.txt"
    path.write_bytes(content)
    return folder, path


# Tokenizers ---------------------------------------------------------------------------------------------------


@steady
@given(texts)
@example("\ufffd\ufeff\0🙂")
def test_characters_come_back(content: str) -> None:
    tokenizer = CharTokenizer(growing=True)
    ids = tokenizer.encode(content)
    assert decode(tokenizer, ids) == content
    again = from_bytes(tokenizer.file_name, tokenizer.to_bytes())
    assert again.encode(content).tolist() == ids.tolist()


@steady
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581"), max_size=60))
@example("  a\r\n\n \t\u3000\xa0e\u0301\ufeff\ufffd\0")
def test_pieces_come_back(content: str) -> None:
    assert decode(pieces(), pieces().encode(content)) == normalize(content, "text")


@steady
@given(st.binary(max_size=40))
@example(b"\xf0\x9f\x99")
@example(b"\xe2\x82a\xc3")
def test_bytes_decode_alike_one_by_one_and_at_once(content: bytes) -> None:
    stream = Utf8Stream(Bytes())
    parts = [stream.feed(byte) for byte in content]
    assert "".join(parts) + stream.finish() == content.decode(errors="replace") == decode(Bytes(), content)


# Texts --------------------------------------------------------------------------------------------------------


@steady
@given(st.one_of(texts.map(str.encode), st.binary(max_size=40)), st.integers(1, 9))
@example(b"\xef\xbb\xbf", 1)
@example("\ufeff\ufeffa€".encode(), 2)
def test_a_file_reads_alike_in_blocks_of_any_size(content: bytes, block: int) -> None:
    folder, path = in_folder(content)
    with folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_module, "BLOCK", block)
        try:
            expected = content.decode().removeprefix("\ufeff")
        except UnicodeDecodeError:
            expected = "\0"
        if "\0" in expected:
            with pytest.raises(DataError, match=r"text\.txt, line \d+: "):
                list(read_text(str(path)))
        else:
            assert "".join(read_text(str(path))) == expected


@steady
@given(words, st.lists(st.integers(0, 40), max_size=6))
def test_lines_come_whole_from_any_blocks(content: str, places: list[int]) -> None:
    lines = list(read_lines(cut(content, places)))
    assert lines == [line + "\n" for line in content.split("\n")[:-1]] + (
        [last] if (last := content.split("\n")[-1]) else []
    )


@steady
@given(readable, st.integers(1, 9), st.sampled_from(["0", "0.1", "0.5"]))
def test_a_corpus_gives_its_text_back(content: str, block: int, valid: str) -> None:
    folder, path = in_folder(content.encode())
    with folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_module, "BLOCK", block)
        wanted = normalize(content, "text")
        kept = int(len(wanted) * (1 - float(valid)))
        config = TextConfig(paths=(str(path),), valid=valid)
        if kept < 2:
            with pytest.raises(DataError):
                build_corpus(config, path.parent / "data", lambda message: None)
            return
        corpus = build_corpus(config, path.parent / "data", lambda message: None)
        assert decode(corpus.tokenizer, corpus.train.read(0, kept)) == wanted[:kept]
        if corpus.valid is not None:
            assert decode(corpus.tokenizer, corpus.valid.read(0, len(corpus.valid))) == wanted[kept:]
        assert (corpus.valid is None) == (len(wanted) - kept < 2)


@steady
@given(
    length=st.integers(2, 200),
    num_lanes=st.integers(1, 20),
    chunk=st.integers(1, 40),
    seed=st.integers(0, 2**63 - 1),
    epoch=st.integers(0, 1000),
)
def test_an_epoch_visits_every_token_at_most_once_and_leaves_out_fewer_than_its_lanes(
    length: int, num_lanes: int, chunk: int, seed: int, epoch: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokens.bin"
        np.arange(length, dtype=np.uint8).tofile(path)
        lanes = Lanes(TokenSpan(path, "uint8", 0, length), num_lanes, chunk, seed)
        seen: Counter[int] = Counter()
        for step in range(epoch * lanes.steps_per_epoch, (epoch + 1) * lanes.steps_per_epoch):
            inputs, targets, _ = lanes.read(step)
            assert 1 <= inputs.shape[1] <= chunk
            assert torch.equal(targets, (inputs + 1) % length)
            seen.update(targets.flatten().tolist())
    assert max(seen.values()) == 1
    assert length - len(seen) < max(2, lanes.num_lanes)
    assert lanes.num_lanes <= num_lanes


# Decoding -----------------------------------------------------------------------------------------------------


@steady
@given(words, st.text("ab\n", max_size=4), st.lists(st.integers(0, 40), max_size=8))
@example("aab", "ab", [1, 2])
@example("aaab", "aab", [1, 2, 3])
def test_a_text_ends_before_its_stop_string_however_it_arrives(content: str, stop: str, places: list[int]) -> None:
    stopping = StopText(stop)
    passed = "".join(stopping.feed(part) for part in cut(content, places)) + stopping.finish()
    assert passed == (content.split(stop)[0] if stop else content)
    assert stopping.stopped == bool(stop and stop in content)


@steady
@given(
    logits=st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=12),
    temperature=st.floats(0.01, 100),
    top_k=st.integers(0, 15),
    top_p=st.floats(0, 1),
    uniform=st.floats(0, 1, exclude_max=True),
)
def test_what_is_drawn_is_among_the_most_probable(
    logits: list[float], temperature: float, top_k: int, top_p: float, uniform: float
) -> None:
    log_probs = torch.tensor([logits]).log_softmax(dim=-1)
    probs = restrict(log_probs, SamplingConfig(temperature=temperature, top_k=top_k, top_p=top_p))[0]
    kept = probs > 0
    assert probs.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert 1 <= kept.sum() <= (top_k or len(logits))
    if not kept.all():
        assert log_probs[0][kept].min() >= log_probs[0][~kept].max()
    (token,) = draw(probs[None], torch.tensor([uniform], dtype=torch.float64)).tolist()
    assert kept[token]


# Settings -----------------------------------------------------------------------------------------------------

recurrent_configs = st.builds(
    RecurrentConfig,
    cell=st.sampled_from(get_args(Cell)),
    embed_size=st.integers(1, 65_536),
    hidden_size=st.integers(1, 65_536),
    num_layers=st.integers(1, 64),
    dropout=st.floats(0, 0.99),
)
text_configs = st.builds(
    RecurrentTextConfig,
    paths=st.lists(texts, max_size=3).map(tuple),
    valid=st.one_of(st.floats(0, 1, exclude_max=True).map(str), st.just("valid.txt")),
    tokens=st.sampled_from(get_args(Tokens)),
    vocab_size=st.integers(2, 65_536),
    bptt=st.integers(1, 65_536),
)
train_configs = st.builds(
    TrainConfig,
    minutes=st.floats(0, 1e6),
    seed=st.integers(0, 2**63 - 1),
    lr=st.floats(0, 1e3),
    clip=st.floats(0),
    schedule=st.sampled_from(get_args(Schedule)),
    precision=st.sampled_from(get_args(Precision)),
    patience=st.integers(0, 2**40),
)
settings_of_a_run = st.builds(LanguageModelSettings, text=text_configs, network=recurrent_configs, train=train_configs)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
field_names = st.sampled_from(
    [*to_json(RecurrentConfig()), *to_json(RecurrentTextConfig()), *to_json(TrainConfig(steps=1)), "x"]
)


@steady
@given(settings_of_a_run)
def test_settings_survive_json(chosen: LanguageModelSettings) -> None:
    assert from_json(LanguageModelSettings, json.loads(json.dumps(to_json(chosen))), where="x") == chosen


@settings(steady, max_examples=300)
@given(
    st.sampled_from([RecurrentConfig, RecurrentTextConfig, TrainConfig, SamplingConfig, LanguageModelSettings]),
    st.one_of(json_values, st.dictionaries(field_names, json_values, max_size=4)),
)
def test_hostile_json_makes_a_config_or_an_error_that_names_the_file(cls: type[Any], data: object) -> None:
    made, message = None, "file.json"
    try:
        made = from_json(cls, data, where="file.json")
    except ConfigError as error:
        message = error.message
    assert message.startswith("file.json")
    assert made is None or from_json(cls, to_json(made), where="file.json") == made


# Budgets ------------------------------------------------------------------------------------------------------


@steady
@given(
    st.integers(0, 1000), st.floats(0, 1), st.integers(0, 1000), st.lists(st.integers(0, 3000), min_size=2, max_size=9)
)
def test_progress_never_goes_back_and_ends_at_one(start: int, progress: float, length: int, steps: list[int]) -> None:
    plan = Plan(start, progress, start + length)
    values = [plan.progress(step) for step in sorted(steps)]
    assert values == sorted(values)
    assert all(progress <= value <= 1.0 for value in values)
    assert plan.progress(start) == pytest.approx(progress)
    assert plan.progress(start + length + 1) == 1.0
