"""Pairs from the lines of a table: tab-separated, CSV, or JSON objects. Two columns are read, the sides of a pair.

They are sentences and their translations, or texts and their labels; `Keys` says what the sides are called. The first
line that is not blank decides what a table is, not the name of its file:

    JSON    it is an object. The sides are its keys of that name, such as `source` and `target`, or those that were
            named; `a.b` is the key `b` in the object `a`.
    tabs    it has a tab. Quotes are characters like others, unless both columns of a first line, a header, stand in
            quotes: then the table is CSV with tabs.
    CSV     it is a header or two columns in quotes, with a comma between (RFC 4180), or a semicolon, as spreadsheets
            write where the comma is in numbers. Other lines with commas are prose, unless the file is called `.csv`.

A first line that names the columns is a header: it has the names that were asked for, or the usual ones, or, of
sentence pairs, is made of two languages. Without any of these a table has two columns, the first side first. A blank
line is a pair of empty sides, so that line i of a table without a header and line breaks in quotes is pair i.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from seqgen.data.sides import NO_KEYS, Keys, Sides
from seqgen.errors import DataError

Format = Literal["json", "tabs", "csv"]
NumberedPair = tuple[int, tuple[str, str]]
"""The line where a pair begins, counted from 1, and its two sides."""

QUOTED = r'"(?:[^"]|"")*"'
NAMES_SHOWN = 8


def table_format(line: str, keys: Keys = NO_KEYS) -> Format | None:
    """What a table is by its first line that is not blank; None if that does not tell.

    Args:
        line (str): without a byte order mark.
        keys (Keys): which columns or keys are the two sides.
    """
    line = _bare(line)
    if line.lstrip().startswith("{") and (_object(line) is not None or "\t" not in line):
        return "json"
    if "\t" in line.strip(" "):
        return "tabs"
    delimiter = _delimiter(line)
    named = any(keys.given) and delimiter in line
    is_csv = named or _in_quotes(line, delimiter) or _header(_split(line, delimiter), keys) is not None
    return "csv" if is_csv else None


def _bare(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


def _delimiter(line: str) -> str:
    return ";" if ";" in line and "," not in line else ","


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([_without_returns(line)], delimiter=delimiter), [])


def _without_returns(line: str) -> str:
    """A line for the CSV reader, which takes any carriage return for the end of a record."""
    return line.replace("\r\n", "\n").replace("\r", " ")


def _in_quotes(line: str, delimiter: str) -> bool:
    """Whether a line is two columns, both in quotes."""
    return re.fullmatch(rf"{QUOTED}{delimiter}{QUOTED}", line) is not None


def read_table(lines: Iterable[str], name: str, keys: Keys, otherwise: Format = "tabs") -> Iterator[NumberedPair]:
    """The pairs of a table, as its lines come.

    Args:
        lines (Iterable[str]): with their ends.
        name (str): what errors call the table.
        keys (Keys): which columns or keys are the two sides.
        otherwise (Format): what the table is where its first line does not tell.

    Raises:
        DataError: a line is no pair, or the columns cannot be told. The message names the line.
    """
    lines = iter(lines)
    blank = 0
    for first in lines:
        if first.strip():
            break
        blank += 1
        yield blank, ("", "")
    else:
        return
    lines = itertools.chain([first], lines)
    match table_format(first, keys) or otherwise:
        case "json":
            yield from _objects(lines, name, keys, blank)
        case "csv":
            yield from _rows(_records(lines, name, blank, _delimiter(first)), name, keys, "columns")
        case "tabs" if _in_quotes(_bare(first), "\t") and _header(_split(_bare(first), "\t"), keys):
            yield from _rows(_records(lines, name, blank, "\t"), name, keys, "columns")
        case "tabs":
            split = ((number, _bare(line).split("\t")) for number, line in enumerate(lines, blank + 1))
            yield from _rows(split, name, keys, "tabs")


# Rows of fields -----------------------------------------------------------------------------------------------


def _records(lines: Iterator[str], name: str, blank: int, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The records of CSV and the lines where they begin; what stands in quotes may reach over several lines."""
    reader = csv.reader(map(_without_returns, lines), delimiter=delimiter, strict=True)
    while True:
        number = blank + reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error:
            raise DataError(
                f"{name}, line {number}: not CSV: a quote that does not end, or is not doubled",
                hint='a field with quotes, line feeds or commas stands in quotes: "She said ""yes"", and went."',
            ) from None
        if record is None:
            return
        yield number, record


def _rows(
    records: Iterator[tuple[int, list[str]]], name: str, keys: Keys, unit: Literal["tabs", "columns"]
) -> Iterator[NumberedPair]:
    """The pairs of some records, of which the first may be a header."""
    begin, first = next(records)
    header = _header(first, keys)
    source, target = header or _places(first, keys, f"{name}, line {begin}", unit)
    for number, fields in records if header else itertools.chain([(begin, first)], records):
        if not any(field.strip() for field in fields):
            yield number, ("", "")
        elif len(fields) != len(first):
            raise DataError(_miscounted(f"{name}, line {number}", len(fields), len(first), unit, keys.sides))
        else:
            yield number, (_one_line(fields[source]), _one_line(fields[target]))


def _header(fields: Sequence[str], keys: Keys) -> tuple[int, int] | None:
    """Where the two sides are by the names in a first line; None if it names no columns."""
    names = [field.strip().casefold() for field in fields]
    wanted = [{key.casefold()} if key else usual for key, usual in zip(keys.given, keys.sides.usual, strict=True)]
    found = [next((i for i, name in enumerate(names) if name in any_of), None) for any_of in wanted]
    if found[0] is not None and found[1] is not None:
        return found[0], found[1]
    known = len(names) == 2 and names[0] != names[1] and keys.sides.headers.issuperset(names)
    return (0, 1) if known and not any(keys.given) else None


def _places(fields: Sequence[str], keys: Keys, where: str, unit: Literal["tabs", "columns"]) -> tuple[int, int]:
    """Where the two sides are in a table without a header."""
    if all(key.isdecimal() and 1 <= int(key) <= len(fields) for key in keys.given):
        return int(keys.first) - 1, int(keys.second) - 1
    if any(keys.given):
        known = {*(field.strip().casefold() for field in fields), *map(str, range(1, len(fields) + 1))}
        wanted = (key or side for key, side in zip(keys.given, keys.sides.names, strict=True))
        missing = " or ".join(repr(name) for name in wanted if name.casefold() not in known)
        raise DataError(f"{where}: no column {missing}; the columns are {_shown(fields)}", hint=keys.sides.hint)
    if len(fields) < 2:
        raise DataError(_miscounted(where, len(fields), 2, unit, keys.sides), hint=keys.sides.misplaced)
    if len(fields) > 2:
        raise DataError(
            f"{_miscounted(where, len(fields), 2, unit, keys.sides)} ({_shown(fields)})", hint=keys.sides.hint
        )
    return 0, 1


def _miscounted(where: str, found: int, wanted: int, unit: Literal["tabs", "columns"], sides: Sides) -> str:
    if unit == "tabs" and wanted == 2:
        return f"{where}: {found - 1} tabs, but {' and '.join(sides.names)} are parted by exactly one"
    return f"{where}: {found} column{'s'[: found != 1]}, not {wanted}"


def _shown(names: Sequence[str]) -> str:
    """Names as they can be shown to a person, whatever is in them."""
    some = [repr(name if len(name) <= 40 else f"{name[:40]}…") for name in names[:NAMES_SHOWN]]
    return ", ".join([*some, *(["…"] if len(names) > NAMES_SHOWN else [])])


def _one_line(text: str) -> str:
    return text.replace("\r\n", " ").replace("\n", " ")


# JSON objects -------------------------------------------------------------------------------------------------


def _objects(lines: Iterator[str], name: str, keys: Keys, blank: int) -> Iterator[NumberedPair]:
    for number, line in enumerate(lines, blank + 1):
        if not line.strip():
            yield number, ("", "")
            continue
        where, data = f"{name}, line {number}", _object(line)
        if data is None:
            sides = ", ".join(f'"{name}": "..."' for name in keys.sides.names)
            hint = f"each line looks like {{{sides}}}"
            if line.startswith("["):
                hint = "a list becomes lines of objects by: jq -c '.[]'"
            raise DataError(f"{where}: not a JSON object", hint=hint)
        wanted = (key or name for key, name in zip(keys.given, keys.sides.names, strict=True))
        first, second = (_field(data, key, where, keys.sides) for key in wanted)
        yield number, (first, second)


def _object(line: str) -> dict[str, Any] | None:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _field(data: dict[str, Any], key: str, where: str, sides: Sides) -> str:
    text: Any = data.get(key)
    if key not in data:
        text = data
        for part in key.split("."):
            if not isinstance(text, dict) or part not in text:
                raise DataError(f"{where}: {key} is missing; the keys are {_shown(_keys(data))}", hint=sides.hint)
            text = text[part]
    if sides.values and isinstance(text, int | float):
        text = json.dumps(text)
    if not isinstance(text, str):
        raise DataError(f"{where}: {key} is not a string")
    # What JSON can spell and a line of UTF-8 text cannot hold.
    if "\0" in text or re.search("[\ud800-\udfff]", text):
        raise DataError(f"{where}: {key} holds a NUL character or half a surrogate pair")
    return _one_line(text)


def _keys(data: dict[str, Any]) -> list[str]:
    """The keys of an object, and of the objects right in it."""
    return [
        name
        for key, value in data.items()
        for name in ([f"{key}.{inner}" for inner in value] if isinstance(value, dict) else [key])
    ]
