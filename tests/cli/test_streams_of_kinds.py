"""Every filter keeps the same promises: line in, line out, in order, in any company, and one at a time if asked.

The models are those that are shipped.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from drawn_clips import WAYS, frames_of, save_clip
from running import Call, command, environment, shell

from seqgen import modeldir


class Filter(NamedTuple):
    """A command, some lines that it answers, and whether an empty line stays an empty line."""

    words: str
    lines: list[str]
    keeps_empty: bool = True


SENTENCES = [
    "Ein Hund rennt.",
    "Zwei Männer sitzen auf einer Bank und lesen.",
    "Eine Katze.",
    "Kinder spielen im Schnee.",
]
FILTERS = {
    "classify": Filter("classify --scores", ["Satoshi", "O'Brien", "Nguyen", "Papadopoulos", "Rossi", "Łukasz"]),
    "translate": Filter("translate --greedy", SENTENCES),
    "beam": Filter("translate --beam 3 --scores", SENTENCES),
    "caption": Filter("caption", [f"{way}.gif" for way in WAYS], keeps_empty=False),
}
every_filter = pytest.mark.parametrize("name", FILTERS)


@pytest.fixture(autouse=True)
def _here(folder: Path) -> None:
    shipped = modeldir.shipped_directory()
    if shipped is None or not (shipped / "drawn-clips").is_dir():
        pytest.skip("the filters use the shipped models")
    for way in WAYS:
        save_clip(folder / f"{way}.gif", frames_of("blue", way))


def stdin_of(name: str) -> list[str]:
    lines, keeps_empty = FILTERS[name].lines, FILTERS[name].keeps_empty
    return [lines[1], "", *lines, lines[0], *([" "] if keeps_empty else [])]


@every_filter
def test_a_line_for_each_line_in_any_company(name: str, piped: Call) -> None:
    """One line is never the twin of another in a batch of its own: text and scores are the same to the last digit."""
    words = [*FILTERS[name].words.split(), "--threads", "1", "-q"]
    lines = stdin_of(name)
    together = piped("\n".join(lines).encode(), *words)
    assert together.code == 0
    found = together.text.split("\n")
    expected = lines if FILTERS[name].keeps_empty else [line for line in lines if line]
    assert len(found) == len(expected) + 1
    assert [bool(line.strip()) for line in found[:-1]] == [bool(line.strip()) for line in expected]
    alone = {line: piped(line.encode(), *words).text for line in set(filter(str.strip, lines))}
    assert [f"{line}\n" for line in found[:-1] if line.strip()] == [alone[line] for line in expected if line.strip()]
    assert piped("\n".join(lines).encode(), *words, "--batch-size", "1").out == together.out


@pytest.mark.slow
@every_filter
def test_a_line_is_answered_before_the_next_one_is_read(name: str, folder: Path) -> None:
    words = [*FILTERS[name].words.split(), "--batch-size", "1", "--threads", "1", "-q"]
    with subprocess.Popen(
        command(*words), cwd=folder, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in FILTERS[name].lines[:2]:
            process.stdin.write(f"{line}\n".encode())
            assert process.stdout.readline().strip()
        process.stdin.close()
        assert process.wait(60) == 0


@every_filter
def test_what_comes_before_a_broken_line_is_answered(name: str, piped: Call) -> None:
    first = FILTERS[name].lines[0]
    ended = piped(f"{first}\n".encode() + b"\xff\xfe\n" + first.encode(), *FILTERS[name].words.split(), "-q")
    assert ended.code == 2
    assert ended.text.count("\n") == 1
    assert "standard input, line 2: not UTF-8" in ended.err


@pytest.mark.slow
@every_filter
def test_a_reader_that_went_away_ends_it_silently(name: str, folder: Path) -> None:
    (folder / "in").write_text("".join(f"{line}\n" for line in FILTERS[name].lines * 40))
    words = f"{FILTERS[name].words} -q --batch-size 1 --threads 1"
    ended = shell(f"set -o pipefail; seqgen {words} < in | head -n 1 > out", cwd=folder)
    assert (ended.code, ended.err) == (141, "")
    assert (folder / "out").read_text().count("\n") == 1
