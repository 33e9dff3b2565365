"""How tokens and numbers are written in every picture."""

from __future__ import annotations

import unicodedata

# These join letters and emoji; Python does not count them as printable.
_JOINERS = "\u200c\u200d"


def visible(text: str) -> str:
    """The text on one line, with escapes for what cannot be printed: no terminal and no XML can take harm."""
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    return " " if character.isspace() else character.encode("unicode_escape").decode()


def nats(value: float) -> str:
    """Two decimals, and no minus before a zero."""
    return f"{round(value, 2) + 0.0:.2f}"


def cells(text: str) -> int:
    """How many letters of a monospaced font are as wide as this text."""
    return sum(_cell(character) for character in text)


def _cell(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, longest: int) -> str:
    """The beginning of a text that is wider than so many cells."""
    if cells(text) <= longest:
        return text
    end, width = 0, 1  # the dots need one cell
    while (width := width + _cell(text[end])) <= longest:
        end += 1
    return f"{text[:end]}…"
