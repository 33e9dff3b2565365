from __future__ import annotations

from pathlib import Path

import pytest
from running import Call, TinyModel

from seqgen.cli import plot

PNG = b"\x89PNG"


def test_curves_of_runs_become_one_picture(tiny: TinyModel, folder: Path, call: Call) -> None:
    ended = call("plot", str(tiny.path), str(tiny.path), "--measure", "grad_norm", "--log", "--out", "g.png")
    assert (ended.code, ended.out) == (0, b"")
    assert Path("g.png").read_bytes().startswith(PNG)


def test_a_measure_that_is_not_there_is_answered_with_those_that_are(tiny: TinyModel, folder: Path, call: Call) -> None:
    ended = call("plot", str(tiny.path), "--measure", "beauty", "--out", "unmade.png")
    assert ended.code == 2
    assert "no measure 'beauty'" in ended.err
    assert "grad_norm" in ended.err
    assert not Path("unmade.png").exists()


def test_a_logarithm_needs_values_above_zero(
    tiny: TinyModel, folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plot, "_logged", lambda path, measure: ([-1.0], [1.0]))
    ended = call("plot", str(tiny.path), "--log", "--out", "unmade.png")
    assert ended.code == 2
    assert "above 0" in ended.err
