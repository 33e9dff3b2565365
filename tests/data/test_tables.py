"""Tables of sentence pairs: what they are, which columns count, and the line that is to blame."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgen.data.sides import NO_KEYS, Keys
from seqgen.data.tables import Format, read_table, table_format
from seqgen.errors import DataError

steady = settings(max_examples=100, deadline=None, database=None, derandomize=True)


def read(content: str, keys: Keys = NO_KEYS, otherwise: Format = "tabs") -> list[tuple[int, tuple[str, str]]]:
    return list(read_table(io.StringIO(content, newline="\n"), "T", keys, otherwise))


def fault(content: str, keys: Keys = NO_KEYS, otherwise: Format = "tabs") -> DataError:
    with pytest.raises(DataError) as caught:
        read(content, keys, otherwise)
    return caught.value


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('{"source": "a", "target": "b"}', "json"),
        ('{"source": "a", ', "json"),
        ("{a}\tb", "tabs"),
        ("a\tb", "tabs"),
        ("source,target", "csv"),
        ("English;German", "csv"),
        ('"Ja, ja.","Yes, yes."', "csv"),
        ("Hello, world.", None),
        ("Yes; no.", None),
        ('"Yes," she said, "no."', None),
        ("nothing", None),
    ],
)
def test_the_first_line_tells_what_a_table_is(line: str, wanted: Format | None) -> None:
    assert table_format(line) == wanted
    assert table_format(line + "\r\n") == wanted


# CSV ----------------------------------------------------------------------------------------------------------


def test_csv_is_read_as_rfc_4180_says() -> None:
    # Its section 2: commas, line breaks and doubled quotes inside of quotes; CRLF ends a record.
    content = 'source,target\r\n"Ein ""Hund"", ja.","A\r\ndog,\nyes."\r\n\r\nx,y'
    wanted = [(2, ('Ein "Hund", ja.', "A dog, yes.")), (5, ("", "")), (6, ("x", "y"))]
    assert read(content) == wanted
    assert read(content.replace("\r\n", "\n")) == wanted


cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1, max_size=12)


@steady
@given(st.lists(st.tuples(cell, cell), max_size=5), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_what_a_csv_writer_writes_comes_back(pairs: list[tuple[str, str]], quoting: int) -> None:
    content = io.StringIO(newline="")
    writer = csv.writer(content, quoting=quoting)  # type: ignore[arg-type]  # the stub knows literals only
    writer.writerows([("target", "id", "source"), *((target, "7", source) for source, target in pairs)])
    assert [pair for _, pair in read(content.getvalue())] == pairs


def test_a_quote_that_does_not_end_is_named_by_the_line_where_its_record_begins() -> None:
    for content in (
        'source,target\na,b\n\n"c,d\ne,f\n',
        'source,target\na,b\n\n"c"x,d\n',
        'source,target\na,b\n\nc,"d',
    ):
        assert fault(content).message.startswith("T, line 4: not CSV: a quote")


def test_a_faulty_record_after_quoted_line_breaks_is_named_by_its_line() -> None:
    assert fault('source,target\n"a\n\nb",c\nd\n').message == "T, line 5: 1 column, not 2"


def test_a_semicolon_parts_columns_where_there_is_no_comma() -> None:
    assert read("de;en\nEins, zwei;one, two\n") == [(2, ("Eins, zwei", "one, two"))]
    assert read("a;b\n", otherwise="csv") == [(1, ("a", "b"))]


# Headers and columns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["source\ttarget", "Source\tTarget", " src \t tgt ", "de\ten", "German\tEnglish"])
def test_a_header_is_no_pair(first: str) -> None:
    assert read(f"\n{first}\r\na\tb\r\n\r\n") == [(1, ("", "")), (3, ("a", "b")), (4, ("", ""))]


@pytest.mark.parametrize("first", ["Ja\tYes", "das\tthe", "source\tQuelle", "de\tde", "a\tb"])
def test_a_pair_is_no_header(first: str) -> None:
    source, target = first.split("\t")
    assert read(f"{first}\nc\td\n") == [(1, (source, target)), (2, ("c", "d"))]


def test_columns_are_found_by_name_whatever_stands_beside_them() -> None:
    assert read("target\tid\tsource\nb\t7\ta\n") == [(2, ("a", "b"))]
    assert read("id,de,en\n7,a,b\n", Keys("de", "en")) == [(2, ("a", "b"))]
    assert read("id,de,en\n7,a,b\n", Keys("EN", "de")) == [(2, ("b", "a"))]
    assert read("de\ttarget\na\tb\n", Keys("de")) == [(2, ("a", "b"))]
    assert read("7\ta\t8\tb\n9\tc\t10\td\n", Keys("2", "4")) == [(1, ("a", "b")), (2, ("c", "d"))]


def test_what_was_found_is_said_where_the_columns_cannot_be_told() -> None:
    three = fault("id,de,en\n7,a,b\n", otherwise="csv")
    assert three.message == "T, line 1: 3 columns, not 2 ('id', 'de', 'en')"
    assert "--source-key" in three.hint
    assert (
        fault("id,de,en\n", Keys("fr", "en")).message == "T, line 1: no column 'fr'; the columns are 'id', 'de', 'en'"
    )
    assert fault("a\tb\n", Keys("1", "3")).message == "T, line 1: no column '3'; the columns are 'a', 'b'"
    assert "\x1b" not in fault("\x1b[31m,b,c\n", otherwise="csv").message
    assert fault("source\tid\ttarget\na\t7\tb\nc\td\n").message == "T, line 3: 2 columns, not 3"


def test_quotes_in_tabs_are_characters_unless_a_header_stands_in_quotes() -> None:
    said = '"Ja."\t"Yes."\n"Nein", sagte er.\t"No," he said.\n'
    assert [pair for _, pair in read(said)] == [('"Ja."', '"Yes."'), ('"Nein", sagte er.', '"No," he said.')]
    assert read('"source"\t"target"\n"a ""b"""\t"c\nd"\n') == [(2, ('a "b"', "c d"))]


# JSON ---------------------------------------------------------------------------------------------------------


def test_keys_of_json_may_be_named_and_nested() -> None:
    line = json.dumps({"translation": {"de": "a", "en": "b"}, "x.y": "c"})
    assert read(line, Keys("translation.de", "translation.en")) == [(1, ("a", "b"))]
    assert read(line, Keys("x.y", "translation.de")) == [(1, ("c", "a"))]
    missing = fault(line)
    assert missing.message == "T, line 1: source is missing; the keys are 'translation.de', 'translation.en', 'x.y'"
    assert "--source-key" in missing.hint
    assert "is missing" in fault(line, Keys("x.y", "translation.de.z")).message


def test_a_list_of_objects_is_no_line_of_one() -> None:
    assert "jq" in fault("[\n{}\n]\n", otherwise="json").hint


# Streams ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [["a\tb\n", "c\td\n"], ['{"source":"a","target":"b"}\n'] * 2, ['"a","b"\r\n'] * 2])
def test_a_pair_is_there_before_the_next_line_is_read(lines: list[str]) -> None:
    taken = 0

    def coming() -> Iterator[str]:
        nonlocal taken
        for line in lines:
            taken += 1
            yield line

    pairs = read_table(coming(), "T", NO_KEYS)
    for number in (1, 2):
        assert next(pairs)[0] == number
        assert taken == number
