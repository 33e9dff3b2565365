"""The tree of errors: one sentence, one hint, one exit code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import seqgen
from seqgen import errors
from seqgen.errors import (
    ConfigError,
    DataError,
    Interrupted,
    ModelError,
    NonFiniteError,
    OutputError,
    SeqgenError,
    TrainingError,
    UsageError,
)

CODES = {
    SeqgenError: 1,
    UsageError: 2,
    ConfigError: 2,
    DataError: 2,
    ModelError: 2,
    TrainingError: 1,
    NonFiniteError: 1,
    OutputError: 1,
}
PACKAGE = Path(seqgen.__file__).parent


@pytest.mark.parametrize("kind", CODES, ids=lambda kind: kind.__name__)
def test_exit_codes_are_those_of_the_drawing(kind: type[SeqgenError]) -> None:
    error = kind("what happened", hint="what to do")
    assert (error.message, error.hint, error.exit_code) == ("what happened", "what to do", CODES[kind])
    assert str(error) == "what happened"
    assert kind("what happened").hint == ""


def test_all_errors_are_drawn_and_tested() -> None:
    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, SeqgenError)]
    assert set(kinds) == CODES.keys() | {Interrupted}
    assert errors.__doc__ is not None
    assert all(kind.__name__ in errors.__doc__ for kind in kinds)


def test_the_tree_has_the_drawn_branches() -> None:
    assert ConfigError.__bases__ == (UsageError,)
    assert NonFiniteError.__bases__ == (TrainingError,)
    for kind in (UsageError, DataError, ModelError, TrainingError, OutputError, Interrupted):
        assert kind.__bases__ == (SeqgenError,)


@pytest.mark.parametrize("code", [130, 143])
def test_an_interruption_carries_the_code_of_its_signal(code: int) -> None:
    error = Interrupted("stopped", hint="go on", exit_code=code)
    assert (error.message, error.hint, error.exit_code) == ("stopped", "go on", code)
    assert Interrupted.exit_code == 1
    assert SeqgenError.exit_code == 1


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_is_pickled_or_evaluated(path: Path) -> None:
    """No pickle, and nothing that unpickles: torch.load, torch.save, numpy.load with objects, shelve, marshal, eval."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    roots = {name.split(".")[0] for name in imported}
    assert not roots & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in {("torch", "load"), ("torch", "save"), ("np", "load")}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec"}
        if isinstance(node, ast.keyword):
            assert node.arg != "allow_pickle"
