"""Series from a table of numbers: which column is the date, which are values, and what a cell that is no number is."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from seqgen.data.text import read_lines, read_text, shown_name
from seqgen.errors import DataError

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", ".", "-", "?"})
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)
SHOWN = 8


@dataclass(frozen=True)
class Table:
    """A table, all of it as text.

    Args:
        name (str): the file.
        columns (tuple[str, ...]): the names in its header, or 1, 2, ... where it has none.
        rows (list[list[str]]): the cells.
        lines (list[int]): where each row begins.
    """

    name: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    @classmethod
    def read(cls, path: str) -> Table:
        """Read a table: commas, semicolons or tabs, with a header or without.

        Raises:
            DataError: it cannot be read, is empty, or a row has another number of cells.
        """
        name = shown_name(path)
        lines = [line.replace("\r\n", "\n").replace("\r", " ") for line in read_lines(read_text(path))]
        first = next((line for line in lines if line.strip()), "")
        delimiter = "\t" if "\t" in first else ";" if ";" in first else ","
        reader = csv.reader(lines, delimiter=delimiter)
        rows, places, begin = [], [], 1
        try:
            for row in reader:
                if any(cell.strip() for cell in row):
                    rows.append([cell.strip() for cell in row])
                    places.append(begin)
                begin = reader.line_num + 1
        except csv.Error:
            raise DataError(f"{name}, line {begin}: not CSV") from None
        if not rows:
            raise DataError(f"{name}: an empty table")
        for row, place in zip(rows, places, strict=True):
            if len(row) != len(rows[0]):
                raise DataError(f"{name}, line {place}: {len(row)} cells, but the first row has {len(rows[0])}")
        if any(_number(cell) is not None for cell in rows[0]):
            return cls(name, tuple(str(i + 1) for i in range(len(rows[0]))), rows, places)
        if len(rows) < 2:
            raise DataError(f"{name}: a header and no rows")
        return cls(name, tuple(rows[0]), rows[1:], places[1:])

    def column(self, wanted: str, option: str) -> int:
        """The number of a column, from 0.

        Raises:
            DataError: there is no such column.
        """
        known = [column.casefold() for column in self.columns]
        if wanted.casefold() in known:
            return known.index(wanted.casefold())
        if wanted.isdecimal() and 1 <= int(wanted) <= len(known):
            return int(wanted) - 1
        names = ", ".join(map(repr, self.columns[:SHOWN])) + (", ..." if len(known) > SHOWN else "")
        raise DataError(f"{self.name} has no column {wanted!r} ({option}); the columns are {names}")

    def cells(self, column: int) -> list[str]:
        """A column as text."""
        return [row[column] for row in self.rows]

    def is_numeric(self, column: int) -> bool:
        """Whether a column has numbers, and nothing but these and missing values."""
        found = [_number(cell) for cell in self.cells(column)]
        return None not in found and not all(math.isnan(value) for value in found if value is not None)

    def numbers(self, column: int) -> list[float]:
        """A column as numbers; not-a-number where a value is missing.

        Raises:
            DataError: a cell is neither a number nor missing; the message names line and column.
        """
        values = []
        for cell, line in zip(self.cells(column), self.lines, strict=True):
            value = _number(cell)
            if value is None:
                raise DataError(
                    f"{self.name}, line {line}, column {self.columns[column]!r}: {cell[:40]!r} is no number"
                )
            values.append(value)
        return values


def _number(cell: str) -> float | None:
    """A number, not-a-number for a missing one, None for anything else; a lone comma is a decimal one."""
    if cell.casefold() in MISSING:
        return math.nan
    try:
        value = float(cell.replace(",", ".") if DECIMAL_COMMA.fullmatch(cell) else cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


def value_columns(table: Table, wanted: Sequence[str], taken: Sequence[int]) -> list[int]:
    """The columns that are to be forecast.

    Args:
        table (Table): where they are.
        wanted (Sequence[str]): as a person named them; none for the only one.
        taken (Sequence[int]): columns that are something else.

    Raises:
        DataError: there is none, or more than one and none was named.
    """
    if wanted:
        return [table.column(name, "--column") for name in wanted]
    found = [i for i in range(len(table.columns)) if i not in taken and table.is_numeric(i)]
    if len(found) == 1:
        return found
    names = ", ".join(repr(table.columns[i]) for i in found[:SHOWN])
    if not found:
        raise DataError(
            f"{table.name} has no column of numbers", hint="--column NAME says which; a faulty cell is named"
        )
    raise DataError(f"{table.name} has {len(found)} columns of numbers: {names}", hint="say which with --column")
