"""Every kind of model: interrupted and resumed equals uninterrupted, bit for bit; damage and hostile sizes are refused.

More is asked of the runs of language models in `test_resume.py`, and of their directories in `tests/modeldir`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_kinds import CPU, KINDS, STEPS, run_of, write_data
from tiny_runs import DAMAGES, Run, SignalAt, assert_same_run, checkpoint_paths, records

from seqgen import modeldir
from seqgen.cli.commands.gan_train import COMMANDS as GAN
from seqgen.errors import Interrupted, ModelError
from seqgen.modeldir.layout import manifest
from seqgen.tasks import kinds

# Before the first step, after it, at a save, at an evaluation, in the second epoch, at the last.
MOMENTS = [0, 1, 5, 8, 14, STEPS - 1]
RARER = [pytest.param(m, marks=pytest.mark.slow) if m != 14 else m for m in MOMENTS]
every_kind = pytest.mark.parametrize("name", KINDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data for each kind."""
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    return root


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """A finished run of each kind, made once."""
    made: dict[str, Run] = {}

    def get(name: str) -> Run:
        if name not in made:
            made[name] = run_of(name, folder, tmp_path_factory.mktemp("undisturbed") / "run")
            with pytest.MonkeyPatch.context() as patch:
                made[name].go(patch)
        return made[name]

    return get


@every_kind
@pytest.mark.parametrize("step", RARER)
def test_interrupted_and_resumed_equals_undisturbed(
    name: str,
    step: int,
    folder: Path,
    undisturbed: Callable[[str], Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference, run = undisturbed(name), run_of(name, folder, tmp_path / "run")
    with pytest.raises(Interrupted) as caught:
        run.go(monkeypatch, listener=SignalAt(step))
    assert caught.value.exit_code == 130
    assert caught.value.hint == f"go on with: seqgen {run.settings.command} --resume --out {run.directory}"
    assert checkpoint_paths(run.directory)[-1].name == f"step-{step:08d}"
    run.go(monkeypatch, resume=True)
    assert_same_run(run.directory, reference.directory)
    assert (run.directory / "config.json").read_bytes() == (reference.directory / "config.json").read_bytes()
    assert run.samples == reference.samples
    assert KINDS[name].made(run.directory) == KINDS[name].made(reference.directory)


@every_kind
def test_the_runs_compared_here_log_each_step_and_pass_an_epoch(name: str, undisturbed: Callable[[str], Run]) -> None:
    lines = records(undisturbed(name).directory)
    assert [line["step"] for line in lines if "epoch" in line] == list(range(1, STEPS + 1))
    assert max(line.get("epoch", 0.0) for line in lines) > (0.9 if name in ("finite", "infinite") else 1.0)
    if KINDS[name].command in GAN.values():
        assert [line["step"] for line in lines if "health" in line] == [0, 8, 16, STEPS]


# Directories that cannot be used --------------------------------------------------------------------------------


def load(directory: Path) -> Any:
    kind = kinds.of(modeldir.read_config(directory).task)
    assert kind is not None
    return kind.load(str(directory), CPU)


def published(directory: Path, place: Path) -> list[str]:
    """A copy of a finished model without its run, and the names of its files."""
    place.mkdir()
    names = list(json.loads((directory / modeldir.MANIFEST).read_bytes())["files"])
    for name in (*names, modeldir.MANIFEST):
        shutil.copy(directory / name, place / name)
    load(place)
    return names


@every_kind
def test_a_damaged_file_is_named(name: str, undisturbed: Callable[[str], Run], tmp_path: Path) -> None:
    names = published(undisturbed(name).directory, tmp_path / "whole")
    for file in names:
        for damage, do in DAMAGES.items():
            place = tmp_path / f"{file}-{damage}"
            shutil.copytree(tmp_path / "whole", place)
            do(place / file)
            with pytest.raises(ModelError, match=file):
                load(place)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the numbers of a JSON object are."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value[:1]):
            yield from leaves(inner, (*path, key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


def loads(directory: Path) -> bool:
    """Whether a directory is opened; else it is refused in a line."""
    try:
        load(directory)
    except ModelError as error:
        return len(error.message) > 600
    return True


HOSTILE: list[Any] = [-1, 10**9, 1e308, "7", None, [], True]


@every_kind
def test_hostile_numbers_are_refused_without_being_obeyed(
    name: str, undisturbed: Callable[[str], Run], tmp_path: Path
) -> None:
    """Each number of `config.json` in turn, vouched for by the manifest: no memory is asked for by what it says."""
    place = tmp_path / "model"
    names = published(undisturbed(name).directory, place)
    whole = json.loads((place / modeldir.CONFIG).read_bytes())
    for path in leaves(whole["network"]):
        for hostile in HOSTILE:
            changed = json.loads(json.dumps(whole))
            at = changed["network"]
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = hostile
            (place / modeldir.CONFIG).write_text(json.dumps(changed))
            (place / modeldir.MANIFEST).write_bytes(manifest({file: (place / file).read_bytes() for file in names}))
            if loads(place):  # what no weight's shape depends on may be any number in its range
                assert isinstance(hostile, int | float)
                assert not isinstance(hostile, bool)
