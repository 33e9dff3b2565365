"""The tree of errors: one sentence, one hint, one exit code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import seqgen
from seqgen import errors
from seqgen.errors import (
    CollapsedError,
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
    assert {kind.__name__ for kind in kinds} == {k.__name__ for k in (*CODES, CollapsedError, Interrupted)}
    assert errors.__doc__ is not None
    assert all(kind.__name__ in errors.__doc__ for kind in kinds)


def test_the_tree_has_the_drawn_branches() -> None:
    assert ConfigError.__bases__ == (UsageError,)
    assert NonFiniteError.__bases__ == CollapsedError.__bases__ == (TrainingError,)
    for kind in (UsageError, DataError, ModelError, TrainingError, OutputError, Interrupted):
        assert kind.__bases__ == (SeqgenError,)


@pytest.mark.parametrize("code", [130, 143])
def test_an_interruption_carries_the_code_of_its_signal(code: int) -> None:
    error = Interrupted("stopped", hint="go on", exit_code=code)
    assert (error.message, error.hint, error.exit_code) == ("stopped", "go on", code)
    assert Interrupted.exit_code == 1
    assert SeqgenError.exit_code == 1


def test_a_collapse_says_whether_to_roll_back() -> None:
    error = CollapsedError("collapsed", hint="go back", roll_back=True)
    assert (error.message, error.hint, error.roll_back, error.exit_code) == ("collapsed", "go back", True, 1)


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_is_pickled_or_evaluated(path: Path) -> None:
    """Nothing that unpickles objects: no pickle, shelve, marshal, eval; torch.load and numpy.load for numbers only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported |= {node.module or "" for node in froms if [name.name for name in node.names] != ["UnpicklingError"]}
    roots = {name.split(".")[0] for name in imported}
    assert not roots & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    safe = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
    for node in ast.walk(tree):
        assert not (isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.save")
        if isinstance(node, ast.Call) and (called := ast.unparse(node.func)) in safe:
            assert safe[called] in {(word.arg, getattr(word.value, "value", None)) for word in node.keywords}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec"}
