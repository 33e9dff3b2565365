"""Sentences with a label for each word, one word a line, as the CoNLL shared tasks have them.

    The     DET             columns are parted by tabs, or, where the first line has none, by spaces
    dog     NOUN
                            a line of white space ends a sentence
    # text = ...            a line of one column that begins so is a comment

Of CoNLL-U, which has ten columns, the second and the fourth (UPOS) are read unless others are named; ranges such as
`1-2` and empty nodes such as `1.1` are no words of their own. Lines of `-DOCSTART-` are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from seqgen.data.contents import refuse_images
from seqgen.data.labelled import Example
from seqgen.data.normalization import normalize
from seqgen.data.text import read_lines, read_text, shown_name
from seqgen.errors import DataError

CONLL_U = 10
WORD_HEADERS = frozenset({"word", "token", "form", "text"})
LABEL_HEADERS = frozenset({"tag", "label", "pos", "upos", "ner"})
HINT = "say which with --text-column and --label-column"


def squeezed(word: str) -> str:
    """A word as it stands in a sentence whose words are parted by spaces: normalised, without white space in it."""
    return normalize(word, "sentences").replace(" ", "")


def read_tagged(
    paths: Sequence[str], text_column: str = "", label_column: str = "", names: Sequence[str] = ()
) -> Iterator[Example]:
    """Every sentence with a label for each word, in order.

    Args:
        paths (Sequence[str]): files; `-` is standard input.
        text_column (str): the number of the words' column, or its name where the first line is a header.
        label_column (str): that of the labels.
        names (Sequence[str]): what errors call the paths; empty for themselves.

    Raises:
        DataError: a file cannot be read, or a line lacks a column. The message names it.
    """
    refuse_images(paths)
    for path, name in zip(paths, names or [shown_name(path) for path in paths], strict=True):
        if path != "-" and not Path(path).exists():
            raise DataError(f"{name}: no such file")
        if path != "-" and Path(path).is_dir():
            raise DataError(f"{name}: a folder, not a file of tagged words")
        yield from _Reader(name, text_column, label_column).sentences(read_lines(read_text(path, name)))


class _Reader:
    """Reads one file; its first line with columns decides what these are."""

    def __init__(self, name: str, text_column: str, label_column: str) -> None:
        self._name, self._wanted = name, (text_column, label_column)
        self._separator: str | None = None
        self._columns: tuple[int, int] | None = None
        self._conll_u = False

    def sentences(self, lines: Iterator[str]) -> Iterator[Example]:
        begin = 0
        words: list[str] = []
        labels: list[str] = []
        for number, line in enumerate(lines, 1):
            if line.strip():
                if found := self._word(line.rstrip("\r\n"), f"{self._name}, line {number}"):
                    begin = begin if words else number
                    words.append(found[0])
                    labels.append(found[1])
            elif words:
                yield Example(f"{self._name}, line {begin}", " ".join(words), tuple(labels))
                words, labels = [], []
        if words:
            yield Example(f"{self._name}, line {begin}", " ".join(words), tuple(labels))

    def _word(self, line: str, place: str) -> tuple[str, str] | None:
        """The word of a line and its label; None of a line that has none."""
        first = self._columns is None
        if first:
            self._separator = "\t" if "\t" in line else None
        fields = line.split(self._separator)
        if fields[0].startswith("#") and (len(fields) == 1 or (self._separator is None and len(fields[0]) == 1)):
            return None
        if fields[0] == "-DOCSTART-":
            return None
        if self._columns is None:
            self._columns, header = self._settle(fields, place)
            if header:
                return None
        if self._conll_u and not fields[0].isdecimal():
            return None
        word, label = self._columns
        if max(word, label) >= len(fields):
            raise DataError(f"{place}: {len(fields)} column{'s'[: len(fields) != 1]}, no column {max(word, label) + 1}")
        found = squeezed(fields[word]), fields[label].strip()
        if not all(found):
            raise DataError(f"{place}: {'a word' if found[0] else 'a tag'} without a {'tag' if found[0] else 'word'}")
        return found

    def _settle(self, fields: Sequence[str], place: str) -> tuple[tuple[int, int], bool]:
        """Which columns are read, and whether this first line is a header."""
        known = [field.strip().casefold() for field in fields]
        usual = (WORD_HEADERS, LABEL_HEADERS)
        wanted = [{name.casefold()} if name else names for name, names in zip(self._wanted, usual, strict=True)]
        word, label = (next((i for i, name in enumerate(known) if name in names), None) for names in wanted)
        if word is not None and label is not None and word != label:
            return (word, label), True
        self._conll_u = len(fields) == CONLL_U and fields[0].split("-")[0].split(".")[0].isdecimal()
        defaults = ("2", "4") if self._conll_u else ("1", "2") if len(fields) == 2 else ("1", "")
        numbers = [name or default for name, default in zip(self._wanted, defaults, strict=True)]
        if not all(number.isdecimal() and 1 <= int(number) <= len(fields) for number in numbers):
            shown = ", ".join(repr(field[:40]) for field in fields[:8])
            missing = [number for number in numbers if number and not number.isdecimal()]
            what = f"no column {missing[0]!r}" if missing else f"{len(fields)} columns, not a word and its tag"
            raise DataError(f"{place}: {what}; the columns are {shown}", hint=HINT)
        return (int(numbers[0]) - 1, int(numbers[1]) - 1), False
