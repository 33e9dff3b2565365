"""Fuzz: any bytes given as text or as sentence pairs are read, or refused in one sentence."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from fuzzing import altered, damaged, fuzz, only_below, survives
from hypothesis import given
from hypothesis import strategies as st

from seqgen.config import TextConfig, Tokens
from seqgen.data.corpus import build_corpus, open_text
from seqgen.data.pair_files import read_pairs

pytestmark = pytest.mark.slow

TEXTS = [
    b"To be, or not to be:\nthat is the question.\n" * 3,
    "Zwei Männer spielen.\r\nEine Frau läuft.\r\n".encode() * 3,
    b"\xef\xbb\xbfone two\rthree four\r" * 3,
    "Ma\u0308nner \u1112\u1161\u11ab \u732b\u3000\xa0 e\u0302\u0323 \U0001f600\u2028\x85\x0b".encode() * 3,
    "a\u2581b\tc \ufeff\ufffd <unk> <s> \n\n  \n".encode() * 3,
    b"x" * 9000,
    b"",
]
TABLES = [
    b"source\ttarget\nEin Hund.\tA dog.\nEine Katze.\tA cat.\n",
    b"Ein Hund.\tA dog.\r\n\r\nEine Katze.\tA cat.",
    b'de,en\r\n"Ein Hund, ein ""guter"".","A dog,\r\na ""good"" one."\r\nZwei.,Two.\r\n',
    b"source,target\nEins,One\n",
    b"id;source;target\n1;Eins;One\n",
]
RECORD = {"source": "Ein Hund.", "target": "A dog.", "translation": {"de": "Ein Hund.", "en": "A dog."}, "id": 3}


@fuzz
@given(content=damaged(TEXTS), tokens=st.sampled_from(["char", "word"]), valid=st.sampled_from(["0", "0.3"]))
def test_fuzz_text(content: bytes, tokens: Tokens, valid: str) -> None:
    _train_and_judge(content, TextConfig(paths=("text.txt",), tokens=tokens, valid=valid))


@fuzz
@given(content=damaged(TEXTS), size=st.sampled_from([257, 270, 300, 2000]))
def test_fuzz_text_in_pieces(content: bytes, size: int) -> None:
    _train_and_judge(content, TextConfig(paths=("text.txt",), tokens="sentencepiece", vocab_size=size))


def _train_and_judge(content: bytes, config: TextConfig) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.chdir(name)
        folder = Path(name)
        (folder / "text.txt").write_bytes(content)
        (folder / "judged").mkdir()
        with only_below(folder, "data"), survives():
            corpus = build_corpus(config, folder / "data", lambda message: None)
            open_text(["text.txt"], corpus.tokenizer, folder / "judged", warn=lambda message: None)


@fuzz
@given(content=damaged(TABLES), ending=st.sampled_from(["tsv", "csv", "txt", "jsonl", ""]))
def test_fuzz_tables(content: bytes, ending: str) -> None:
    _read_pairs({f"pairs.{ending}": content})


@fuzz
@given(records=st.lists(altered(RECORD), max_size=3), damage=st.data())
def test_fuzz_json_lines(records: list[object], damage: st.DataObject) -> None:
    content = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    _read_pairs({"pairs.jsonl": damage.draw(damaged([content])) if damage.draw(st.booleans()) else content})


@fuzz
@given(source=damaged(TEXTS), target=damaged(TEXTS))
def test_fuzz_aligned_files(source: bytes, target: bytes) -> None:
    _read_pairs({"source": source, "target": target})


def _read_pairs(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        with only_below(folder), survives():
            for pair in read_pairs(tuple(str(folder / file) for file in files)):
                assert all("\n" not in side for side in pair)
