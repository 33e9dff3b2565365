"""Names from strangers: what is refused, what a terminal is shown, what becomes of them on a disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgen.names import MAX_LENGTH, class_name, fault, folder_names, on_one_line, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("a\r\x08b\x00", "a\\r\\x08b\\x00"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("x\udcff", "x\\udcff"),
        ("日本\u3000é 👩\u200d👧", "日本\u3000é 👩\u200d👧"),
    ],
)
def test_control_codes_are_spelled_out(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_a_name_stays_on_its_line() -> None:
    assert on_one_line("a\tb\nerror: \x1b") == "a\\tb\\nerror: \\x1b"


@pytest.mark.parametrize("name", ["cat", " space", "red, ripe", "all", "a..b", "CON", "50%", "日本\u3000", "x" * 999])
def test_ordinary_names_are_fine(name: str) -> None:
    assert fault(name) == ""


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        ("  ", "empty"),
        (".", "path"),
        ("..", "path"),
        ("../../x", "path"),
        ("/etc", "path"),
        ("a\\b", "path"),
        ("C:\\x", "path"),
        ("a\nb", "control"),
        ("\x1b]0;title\x07", "control"),
        ("\u202ex", "control"),
        ("a\x9b", "control"),
        ("x" * (MAX_LENGTH + 1), "1,001 characters"),
    ],
)
def test_what_is_no_name_is_said(name: str, why: str) -> None:
    assert why in fault(name)


def test_a_folder_of_any_name_is_a_class() -> None:
    assert class_name("\x1b[2J") == "%1B[2J"
    assert class_name("a\\b") == "a%5Cb"
    assert class_name("x\udcff") == "x%FF"  # the byte that is no UTF-8
    assert class_name(" 50%, ripe") == " 50%, ripe"
    assert class_name("e\u0301") == "é"  # as macOS stores it, and as a person types it


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (("cat", "dog"), ["cat", "dog"]),
        (("Cat", "cat", "CAT"), ["Cat", "cat-1", "CAT-2"]),
        (("Cat", "cat", "cat-1"), ["Cat", "cat-2", "cat-1"]),
        (("é", "e\u0301"), ["é", "e\u0301-1"]),
        (("CON", "nul.txt", "com1", "console"), ["_CON", "_nul.txt", "_com1", "console"]),
        (("a:b", "a_b"), ["a_b-0", "a_b"]),
        (("../../x", "/etc", "a\\b", "C:\\x"), ["_.._.._x", "_etc", "a_b", "C__x"]),
        ((".", "..", "", "x. "), ["_", "_-1", "_-2", "x"]),
        ((".hidden", "\xa0"), ["_.hidden", "_\xa0"]),
        (("red, ripe", " space"), ["red, ripe", " space"]),
    ],
)
def test_folders_are_like_their_names(names: tuple[str, ...], folders: list[str]) -> None:
    assert folder_names(names) == folders


@given(st.lists(st.text(max_size=300), max_size=8))
def test_folders_of_any_names_are_distinct_and_lead_nowhere(names: list[str]) -> None:
    folders = folder_names(names)
    assert len({folder.casefold() for folder in folders}) == len(names)
    for folder in folders:
        assert Path(folder).name == folder
        assert folder.rstrip(" .") == folder
        assert not folder.startswith(".")
        assert "\\" not in folder
        assert len(folder.encode()) <= 255
        assert shown(folder) == folder
        assert fault(folder) == ""


@given(st.text(alphabet=st.characters(), max_size=40))
def test_what_is_shown_steers_no_terminal(text: str) -> None:
    assert all(character.isprintable() or character in "\n\t" or not ord(character) < 160 for character in shown(text))
    assert shown(shown(text)) == shown(text)
