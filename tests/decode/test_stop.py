from __future__ import annotations

import pytest

from seqgen.decode.stop import StopText


def test_without_a_stop_string_all_text_passes_at_once() -> None:
    stop = StopText("")
    assert stop.feed("anything\n") == "anything\n"
    assert stop.finish() == ""
    assert not stop.stopped


def test_the_stop_string_and_what_follows_are_left_out() -> None:
    stop = StopText("END")
    assert stop.feed("text END more") == "text "
    assert stop.stopped
    assert stop.feed("more") == ""
    assert stop.finish() == ""


def test_a_beginning_of_the_stop_string_is_held_back_until_decided() -> None:
    stop = StopText("\n\n")
    assert stop.feed("a\n") == "a"
    assert stop.feed("b") == "\nb"
    assert stop.feed("\n") == ""
    assert stop.feed("\n") == ""
    assert stop.stopped


def test_no_more_than_needed_is_held_back() -> None:
    stop = StopText("aab")
    assert stop.feed("xaa") == "x"
    # The third a decides that the first one is text: "aa" may still begin the string.
    assert stop.feed("a") == "a"
    assert stop.feed("c") == "aac"


def test_what_was_held_back_comes_out_at_the_end() -> None:
    stop = StopText("END")
    assert stop.feed("the EN") == "the "
    assert stop.finish() == "EN"
    assert stop.finish() == ""
    assert not stop.stopped


@pytest.mark.parametrize("size", [1, 2, 3, 4, 50])
def test_the_first_occurrence_counts_however_the_text_arrives(size: int) -> None:
    text = "ananas banana END ananas END"
    stop = StopText("nana")
    pieces = [stop.feed(text[i : i + size]) for i in range(0, len(text), size)]
    assert "".join(pieces) == text[: text.index("nana")]
    assert stop.stopped
