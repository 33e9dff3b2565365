from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console
from searches import SMALL, Search, search

from seqgen.decode.hypothesis import Branch, Hypothesis
from seqgen.figures.beam_tree import beam_tree


def drawn(made: Search, *, width: int = 80, colour: bool = False, title: str = "source") -> str:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    console.print(beam_tree(made.branches, made.piece, best=made.best, title=title))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def tree(text: str) -> str:
    """What stands below the title and the legend."""
    return text[text.index("parent") + len("parent\n") :]


def test_a_small_search() -> None:
    expected = """\
● start ✗ ▁c -3.00
├─○ ▁a -0.50 ✗ ▁c -4.00
│ ├─■ </s> -2.50
│ ○ ▁b -2.00
● ▁b -0.70
● ▁a -0.90
★ </s> -1.00  score -0.75
"""
    assert tree(drawn(SMALL)) == expected


def test_tokens_share_a_line_until_the_path_forks() -> None:
    branches = [Branch(n - 1, 1, -1.0, -1.0 - n, "kept") for n in range(3)]
    made = Search([*branches, Branch(1, 2, -1.0, -9.0, "dropped")], Hypothesis((), (), 0.0), SMALL.words)
    assert tree(drawn(made)) == "○ start\n○ ▁a -1.00 ○ ▁a -2.00 ✗ ▁b -9.00 ○ ▁a -3.00\n"


def test_all_nodes_that_were_kept_or_ended_are_there_and_one_winner() -> None:
    made = search(15)
    text = tree(drawn(made))
    count = {fate: sum(branch.fate == fate for branch in made.branches) for fate in ("kept", "ended", "dropped")}
    assert text.count("★") == 1
    assert text.count("■") == count["ended"] - 1
    assert text.count("○") + text.count("●") == count["kept"] + 1  # and the root
    assert text.count("●") == len(made.best.token_ids) + 1
    assert text.count("✗") == count["dropped"]


@pytest.mark.parametrize("steps", [1, 15, 100])
@pytest.mark.parametrize("width", [80, 40])
def test_it_fits_the_terminal_however_long_the_sentence(steps: int, width: int) -> None:
    lines = tree(drawn(search(steps), width=width)).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert len(lines) < 16 * steps
    deepest = max(len(line) - len(line.lstrip("│├─ ")) for line in lines)
    assert deepest <= 20


def test_a_line_that_is_too_long_goes_on_beside_its_guides() -> None:
    children = [Branch(0, 1, -1.0, -2.0 - n, "dropped") for n in range(4)]
    made = Search([Branch(-1, 2, -1.0, -1.0, "kept"), *children], Hypothesis((), (), 0.0), SMALL.words)
    assert tree(drawn(made, width=26)) == "○ start\n○ ▁b -1.00 ✗ ▁a -2.00\n    ✗ ▁a -3.00 ✗ ▁a -4.00\n    ✗ ▁a -5.00\n"


def test_only_the_best_of_many_dropped_are_shown() -> None:
    children = [Branch(-1, 1, -1.0, -1.0 - n, "dropped") for n in range(20)]
    text = tree(drawn(Search(children, Hypothesis((), (), 0.0), SMALL.words), width=200))
    assert text.endswith("✗ ▁a -6.00 ✗ 14 more\n")


def test_model_text_is_no_markup_and_no_escape_sequence() -> None:
    text = drawn(search(4, odd="[bold]x[/nope]\x1b[31m"), title="[red]source[/red] \x1b[0m")
    assert text.startswith("[red]source[/red] \\x1b[0m\n")
    assert "[bold]x[/nope]" in text
    assert "\x1b" not in text


def test_a_winner_that_is_not_there_is_not_marked() -> None:
    text = tree(drawn(Search(SMALL.branches, Hypothesis((3, 3), (), 0.0), SMALL.words)))
    assert "★" not in text
    assert "●" not in text


def test_nothing_considered() -> None:
    assert tree(drawn(Search([], Hypothesis((), (), 0.0), SMALL.words))) == "nothing was considered\n"


@pytest.mark.parametrize("odd", ["👩\u200d🚀🎉", "中文", "שלום", "x" * 300, ""])
def test_any_token_fits(odd: str) -> None:
    assert max(map(cell_len, drawn(search(8, odd=odd)).splitlines())) <= 80


def test_colours_follow_fates() -> None:
    text = drawn(SMALL, colour=True)
    green, dim = "\x1b[1;32m", "\x1b[2m"
    assert f"{green}★ </s>" in text
    assert f"{dim}✗ ▁c" in text
    assert f"{green}● ▁b" in text
