"""How text is tidied before it becomes tokens: one rule in training and in use alike, named in the tokenizer's file.

Without it the same sentence could reach a network in several spellings, of which it was trained on one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Literal, get_args

from seqgen.errors import ModelError

Rule = Literal["none", "text", "sentences"]
"""What is done to a text. The two rules drop byte order marks (U+FEFF) and compose letters with their marks (NFC).

`text` is for running text: lines end with a line feed, whether they ended with CR, LF or both; all else is kept.
`sentences` makes one space of any white space, as `str.split` knows it, and leaves none at the ends.
`none` changes nothing, as models did before there were rules.
"""

_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
_LONGEST_REST = 2**20  # a run of combining marks, longer than any in real text, is cut here: memory stays bounded


def normalize(text: str, rule: Rule) -> str:
    """A text as a tokenizer with this rule reads it; doing so twice changes nothing more."""
    if rule == "none":
        return text
    if _BYTE_ORDER_MARK in text:
        text = text.replace(_BYTE_ORDER_MARK, "")
    if rule == "sentences":
        text = " ".join(text.split())
    elif "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", text)


def normalize_blocks(blocks: Iterable[str], rule: Rule) -> Iterator[str]:
    """A running text that comes in blocks; the result does not depend on where they end.

    Args:
        blocks (Iterable[str]): a text in parts of any size.
        rule (Rule): `text` or `none`.

    Yields:
        str: the normalised text in parts, none of them empty.
    """
    if rule == "none":
        yield from filter(None, blocks)
        return
    rest = ""
    for block in blocks:
        text = rest + block
        border = next((i for i in range(len(text) - 1, 0, -1) if _begins_anew(text, i)), 0)
        if len(text) - border > _LONGEST_REST:
            border = len(text)
        whole, rest = normalize(text[:border], rule), text[border:]
        if whole:
            yield whole
    if rest := normalize(rest, rule):
        yield rest


def _begins_anew(text: str, place: int) -> bool:
    """Whether what stands from here on is normalised without regard to what is before it."""
    return text[place - 1] not in ("\r", _BYTE_ORDER_MARK) and not _joins(text[place])


def _joins(character: str) -> bool:
    """Whether a character may become one with what is before it: marks, and the vowels and endings of Hangul."""
    if character < "\u0300":
        return False
    if character == _BYTE_ORDER_MARK or "\u1160" <= character <= "\u11ff" or "\U00016d63" <= character <= "\U00016d6a":
        return True
    return unicodedata.category(character).startswith("M")


def known_rule(name: object, file_name: str) -> Rule:
    """The rule that a tokenizer's file names.

    Raises:
        ModelError: there is no such rule.
    """
    rules: tuple[Rule, ...] = get_args(Rule)
    for rule in rules:
        if name == rule:
            return rule
    raise ModelError(f"{file_name} names a normalization that this version of seqgen does not know")
