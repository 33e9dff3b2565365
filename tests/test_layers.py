"""The layers of DESIGN.md section 3, read off the imports of every file."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import seqgen

ROOT = Path(seqgen.__file__).parent
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))
HEAVY = ("torch", "numpy", "matplotlib", "rich.progress", "safetensors", "sentencepiece")

# Which parts of seqgen a layer must not know of.
FORBIDDEN = {
    "modeldir": {"config", "data", "nets", "decode", "metrics", "figures", "tasks", "gan", "export", "train", "cli"},
    "data": {"nets", "decode", "figures", "tasks", "gan", "export", "train", "cli"},
    "nets": {"data", "decode", "figures", "tasks", "gan", "export", "train", "cli"},
    "decode": {"data", "nets", "figures", "tasks", "gan", "export", "train", "cli"},
    "gan": {"data", "decode", "metrics", "figures", "tasks", "export", "train", "cli"},
    "metrics": {"data", "nets", "decode", "figures", "tasks", "gan", "export", "train", "cli"},
    "figures": {"config", "data", "nets", "metrics", "tasks", "gan", "export", "train", "cli"},
    "tasks": {"export", "cli"},
    "export": {"decode", "gan", "metrics", "figures", "train", "cli"},
    "train": {"gan", "tasks", "export", "cli"},
}
THIRD_PARTY = {
    "modeldir": {"torch", "safetensors"},
    "nets": {"torch"},
    "decode": {"torch"},
    "data": {"torch", "numpy", "sentencepiece", "PIL", "av"},
    "metrics": {"sacrebleu", "numpy", "torch"},
    "gan": {"torch"},
    "figures": {"rich", "PIL", "matplotlib"},
    "export": {"torch", "numpy", "sentencepiece", "ctranslate2"},
}


def parse(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


def imported(tree: ast.AST, *, at_import: bool = False) -> Iterator[str]:
    """Full names of all that is imported; `at_import`: only what the import of the file itself runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        elif at_import and isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from imported(ast.Module(node.orelse, []), at_import=True)
        else:
            yield from imported(node, at_import=at_import)


def parts_of_seqgen(file: str) -> set[str]:
    """The first name below seqgen of everything that a file imports from it."""
    return {name.split(".")[1] for name in imported(parse(file)) if name.startswith("seqgen.")}


def top_levels(file: str) -> set[str]:
    return {name.split(".")[0] for name in imported(parse(file))} - {"__future__"}


def names(tree: ast.AST) -> set[str]:
    """Every dotted name in the code, such as `sys.stdout`."""
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)}


def below(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


# The reader itself --------------------------------------------------------------------------------------------

EXAMPLE = """
import os.path
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from torch import Tensor
else:
    import numpy
def f():
    from seqgen.train import loop
class C:
    import safetensors
"""


def test_imports_are_found_wherever_they_stand() -> None:
    everything = {
        "os.path",
        "typing.TYPE_CHECKING",
        "torch.Tensor",
        "numpy",
        "seqgen.train.loop",
        "safetensors",
    }
    assert set(imported(ast.parse(EXAMPLE))) == everything
    assert set(imported(ast.parse(EXAMPLE), at_import=True)) == everything - {"torch.Tensor", "seqgen.train.loop"}


def test_the_files_are_found() -> None:
    assert {
        "errors.py",
        "cli/__init__.py",
        "data/text.py",
        "data/corpus.py",
        "nets/recurrent/cells.py",
        "train/loop.py",
    } <= set(FILES)


# Layers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file", [f for f in FILES if f in ("errors.py", "names.py", "seeds.py") or f.startswith("config/")]
)
def test_the_ground_floor_uses_the_standard_library_only(file: str) -> None:
    assert top_levels(file) - sys.stdlib_module_names <= {"seqgen"}
    assert parts_of_seqgen(file) <= {"errors", "names", "config"}


@pytest.mark.parametrize("file", [file for file in FILES if file.split("/")[0] in FORBIDDEN])
def test_a_layer_knows_nothing_of_those_above_it(file: str) -> None:
    assert not parts_of_seqgen(file) & FORBIDDEN[file.split("/")[0]]


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("decode/")])
def test_decoding_sees_settings_and_seeds_and_no_network(file: str) -> None:
    assert parts_of_seqgen(file) <= {"config", "errors", "seeds", "decode"}


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("figures/")])
def test_a_picture_is_drawn_of_what_a_search_returned_by_whoever_needs_it(file: str) -> None:
    known = {name.rpartition(".")[0] for name in imported(parse(file)) if name.startswith("seqgen.decode.")}
    assert known <= {"seqgen.decode.hypothesis"}
    loaded = set(imported(parse(file), at_import=True))
    assert not any(below(name, ("PIL", "seqgen.decode")) for name in loaded)
    assert file == "figures/beam_tree.py" or not any(below(name, ("rich",)) for name in loaded)


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("tasks/")])
def test_a_task_knows_of_training_only_what_it_is_asked_there(file: str) -> None:
    known = {name.rpartition(".")[0] for name in imported(parse(file)) if name.startswith("seqgen.train.")}
    assert known <= {"seqgen.train.task", "seqgen.train.recipe"}


@pytest.mark.parametrize("file", [file for file in FILES if file.split("/")[0] in THIRD_PARTY])
def test_a_layer_uses_its_own_packages_only(file: str) -> None:
    assert top_levels(file) - sys.stdlib_module_names - {"seqgen"} <= THIRD_PARTY[file.split("/")[0]]


@pytest.mark.parametrize("file", [f for f in FILES if not f.startswith("cli/") and f != "__main__.py"])
def test_nothing_but_the_entry_points_knows_the_command_line(file: str) -> None:
    assert "cli" not in parts_of_seqgen(file)


# The command line ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", [f for f in FILES if f.startswith("cli/") and f != "cli/display.py"])
def test_a_command_imports_the_heavy_parts_in_its_body(file: str) -> None:
    assert [name for name in imported(parse(file), at_import=True) if below(name, HEAVY)] == []


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("cli/")])
def test_the_display_is_imported_when_it_is_needed(file: str) -> None:
    assert not any(name.startswith("seqgen.cli.display") for name in imported(parse(file), at_import=True))


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    code = f"import sys, seqgen.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "[]\n"


# Who may do what ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", [file for file in FILES if file != "cli/streams.py"])
def test_only_one_file_writes_to_stdout(file: str) -> None:
    tree = parse(file)
    allowed = {"sys.stdout", "sys.stdout.isatty"} if file == "cli/commands/sample.py" else set()
    used = {name for name in names(tree) if name.startswith(("sys.stdout", "sys.__stdout__"))}
    assert used <= allowed
    assert "sys.stdout" not in set(imported(tree))
    assert not names(tree) & {"print", "typer.echo", "typer.secho", "rich.print"}


def test_the_one_that_may_write_is_seen_to_do_so() -> None:
    assert "sys.stdout.buffer.write" in names(parse("cli/streams.py"))


@pytest.mark.parametrize("file", [file for file in FILES if file != "train/distributed.py"])
def test_only_one_file_names_torch_distributed(file: str) -> None:
    tree = parse(file)
    used = {name for name in names(tree) | set(imported(tree)) if below(name, ("torch.distributed",))}
    assert used == set()


@pytest.mark.parametrize("file", FILES)
def test_every_file_has_a_name_that_says_what_it_is_about(file: str) -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert not vague & {part.removesuffix(".py") for part in file.split("/")}


@pytest.mark.parametrize("file", FILES)
def test_every_file_says_what_it_is_for(file: str) -> None:
    assert ast.get_docstring(parse(file)) or file == "__main__.py"
