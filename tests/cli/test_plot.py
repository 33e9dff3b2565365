from __future__ import annotations

from pathlib import Path

import pytest
from running import Call, TinyModel, unfinished

from seqgen.cli.commands import plot

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


def test_a_run_that_is_not_finished_is_drawn(tiny: TinyModel, folder: Path, call: Call) -> None:
    """After Ctrl-C, and while it goes on, when its last line may be half written."""
    unfinished(tiny, folder / "begun")
    with (folder / "begun" / "metrics.jsonl").open("a") as log:
        log.write('{"step": 31, "lo')
    ended = call("plot", "begun", str(tiny.path), "--out", "l.png")
    assert (ended.code, ended.out) == (0, b"")
    assert Path("l.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("log", ["", "[1]\n", '{"step": 1e999}'])
def test_a_run_that_has_logged_nothing_says_so(log: str, tiny: TinyModel, folder: Path, call: Call) -> None:
    unfinished(tiny, folder / "begun")
    (folder / "begun" / "metrics.jsonl").write_text(log)
    ended = call("plot", "begun", "--out", "unmade.png")
    assert (ended.code, ended.error) == (2, "begun has logged nothing yet")


def test_a_number_that_no_float_can_hold_is_left_out(tiny: TinyModel, folder: Path, call: Call) -> None:
    unfinished(tiny, folder / "begun")
    (folder / "begun" / "metrics.jsonl").write_text('{"step": 1, "loss": %s}\n{"step": 2, "loss": 1}\n' % ("9" * 400))
    assert plot._logged(folder / "begun" / "metrics.jsonl", "loss") == ([1.0], [2.0])
