"""What the two sides of a pair are, and what they are called in a table."""

from __future__ import annotations

from typing import NamedTuple

# Two different ones of these in a first line are the names of columns; as sentences they are hardly ever a pair.
LANGUAGES = frozenset(
    "ar bg cs da de el en es et fa fi fr ga he hi hr hu id it ja ko lt lv mt nl no pl pt ro ru sk sl sr sv th tr uk vi "
    "zh deu ger eng fra fre spa ita por nld rus zho jpn arabic bulgarian chinese croatian czech danish dutch english "
    "estonian finnish french german greek hebrew hindi hungarian indonesian irish italian japanese korean latvian "
    "lithuanian maltese norwegian persian polish portuguese romanian russian serbian slovak slovene spanish swedish "
    "thai turkish ukrainian vietnamese deutsch englisch français español italiano".split()
)


class Sides(NamedTuple):
    """What the two sides of a pair are.

    Args:
        names (tuple[str, str]): what each is, and its usual key in JSON.
        usual (tuple[frozenset[str], frozenset[str]]): the names of columns that are taken for each.
        hint (str): the options that name others.
        headers (frozenset[str]): two different ones of these are a header, too.
        misplaced (str): what may have been meant where there is only one column.
        values (bool): whether numbers and truth values of JSON are taken as they are written.
    """

    names: tuple[str, str]
    usual: tuple[frozenset[str], frozenset[str]]
    hint: str
    headers: frozenset[str]
    misplaced: str
    values: bool = False


SENTENCES = Sides(
    ("source", "target"),
    (frozenset({"source", "src"}), frozenset({"target", "tgt", "trg"})),
    "say which with --source-key and --target-key",
    LANGUAGES,
    "give two aligned files, or a table of both sides; running text is for language models",
)

LABELS = Sides(
    ("text", "label"),
    (
        frozenset({"text", "sentence", "document", "review", "content", "name", "title"}),
        frozenset({"label", "class", "category", "sentiment", "target", "tag", "intent", "language"}),
    ),
    "say which with --text-column and --label-column",
    frozenset(),
    "a table has a text and its label; a folder or a file for each class serves as well",
    values=True,
)

CLIPS = Sides(
    ("file", "caption"),
    (
        frozenset({"file", "clip", "video", "image", "path", "file_name", "filename"}),
        frozenset({"caption", "captions", "sentence", "text"}),
    ),
    "say which with --file-key and --caption-key",
    frozenset(),
    "a table has the file of a clip and its caption; several rows of one file are several captions",
)


class Keys(NamedTuple):
    """What the two sides are called in a table; empty for the usual names, or the only two columns.

    In a table without a header they may be numbers of columns, counted from 1.
    """

    first: str = ""
    second: str = ""
    sides: Sides = SENTENCES

    @property
    def given(self) -> tuple[str, str]:
        """Both, as a person named them."""
        return self.first, self.second


NO_KEYS = Keys()
