"""`seqgen evaluate` on a translation model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import Call, TinyModel, snapshot

KEYS = [
    "model",
    "data",
    "bleu",
    "chrf",
    "bleu_signature",
    "chrf_signature",
    "loss",
    "perplexity",
    "sentences",
    "seconds",
    "unknown",
]
ROW_KEYS = ["search", "bleu", "length_ratio", "errors", "empty", "log_prob", "proved", "seconds"]


@pytest.fixture
def words(tiny_translation: TinyModel, folder: Path) -> list[str]:
    paths = [str(tiny_translation.data), str(tiny_translation.data.with_suffix(".en"))]
    return ["evaluate", "-m", tiny_translation.name, *paths, "--threads", "1"]


def test_json_and_text_say_the_same(tiny_translation: TinyModel, words: list[str], call: Call) -> None:
    before = snapshot(tiny_translation.folder)
    ended = call(*words, "--json")
    assert (ended.code, ended.err) == (0, "")
    told = json.loads(ended.out)
    assert list(told) == KEYS
    assert told["sentences"] == 12
    assert told["bleu_signature"].startswith("BLEU|nrefs:1|case:mixed|eff:no|tok:13a")
    text = call(*words).text
    assert f"BLEU        {told['bleu']:.2f}   {told['bleu_signature']}\n" in text
    assert f"loss        {told['loss']:.4f} nats per token\n" in text
    assert snapshot(tiny_translation.folder) == before


def test_it_is_what_the_card_says(tiny_translation: TinyModel, folder: Path, call: Call) -> None:
    """The card's figures are those of beam 5 over the validation files."""
    paths = [str(tiny_translation.folder / f"val.{side}") for side in ("de", "en")]
    told = json.loads(call("evaluate", "-m", tiny_translation.name, *paths, "--json").out)
    row = f"| {told['bleu']:.2f} | {told['chrf']:.2f} | {told['loss']:.4f} | {told['perplexity']:.3f} |"
    assert row in (tiny_translation.path / "README.md").read_text()


def test_search_errors(words: list[str], call: Call) -> None:
    chosen = ["--search-errors", "--beam", "2", "--max-nodes", "300"]
    told = json.loads(call(*words, *chosen, "--json").out)
    rows = told.pop("search_errors")
    assert list(told) == ["model", "data"]
    assert [row["search"] for row in rows] == ["greedy", "beam 2", "beam 4", "exhaustive"]
    assert all(list(row) == ROW_KEYS for row in rows)
    text = call(*words, *chosen).text.splitlines()
    assert len(text) == 8
    assert text[-1].startswith("proved optimal: ")


@pytest.mark.parametrize("option", ["--tail=0.5", "--dynamic=0.1"])
def test_options_of_a_language_model_are_refused(option: str, words: list[str], call: Call) -> None:
    ended = call(*words, option)
    assert (ended.code, ended.out) == (2, b"")
    assert ended.error == f"{option.partition('=')[0]} has no effect on a translation model"


@pytest.mark.parametrize("option", ["--beam=3", "--length-penalty=1", "--search-errors", "--max-nodes=3"])
def test_options_of_a_translation_model_are_refused(option: str, tiny: TinyModel, folder: Path, call: Call) -> None:
    ended = call("evaluate", str(tiny.data), "-m", tiny.name, option)
    assert (ended.code, ended.out) == (2, b"")
    assert ended.error.endswith("has no effect on a language model")


@pytest.mark.parametrize("option", ["--max-nodes=3", "--max-seconds=3"])
def test_the_budget_of_a_proof_needs_a_proof(option: str, words: list[str], call: Call) -> None:
    ended = call(*words, option)
    assert (ended.code, ended.out) == (2, b"")
    assert "--search-errors" in ended.error


def test_no_pairs_and_unequal_files(tiny_translation: TinyModel, folder: Path, call: Call) -> None:
    Path("empty").touch()
    Path("one").write_text("eins\n")
    model = ["-m", tiny_translation.name]
    assert "no sentence pairs" in call("evaluate", *model, "empty", "empty").error
    assert call("evaluate", *model, "one", "empty").error == "one has 1 lines, but empty has 0"
