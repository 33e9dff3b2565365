"""Series of numbers at even distances in time: what a forecaster learns from, and goes on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqgen import modeldir
from seqgen.config import SeriesConfig
from seqgen.data.calendar import Calendar, calendar_of, date_format, parsed, read_dates
from seqgen.data.series_files import Table, value_columns
from seqgen.errors import DataError
from seqgen.wording import counted

INDEX = "series.json"
NAMED = 3
# Fewer rows that are numbered may be values that happen to go up.
LEAST_COUNTED = 10
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """One series.

    Args:
        name (str): its column, and its group where there are several.
        values (Values): `(time,)`; not-a-number where one is missing, but the first and the last are there.
        extra (Values): other inputs, `(time, inputs)`; missing ones as the last before.
        calendar (Calendar): the dates of the places 0, 1, ...; of weekdays the dates after the last.
        dates (tuple[str, ...]): as they are written, where the rows stand for themselves; else empty.
    """

    name: str
    values: Values
    extra: Values
    calendar: Calendar
    dates: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def text(self, place: int) -> str:
        """The date of a place, also of one that is yet to come."""
        if self.dates and place < len(self.dates):
            return self.dates[place]
        if self.dates:
            return self.calendar.text(self._after_the_rows + place - len(self.dates))
        return self.calendar.text(place)

    def steps_since_epoch(self) -> Values:
        """Where each place is in time, `(time,)`, in steps from a fixed date: the same whichever rows came before."""
        calendar, there = self.calendar, len(self.dates)
        if calendar.unit == "numbers":
            return np.arange(len(self), dtype=np.float64) + int(calendar.origin) / calendar.step
        own = np.array([calendar.steps_since_epoch(parsed(date, calendar.style)) for date in self.dates], np.float64)
        first = calendar.date(self._after_the_rows) if there else calendar.first
        following = calendar.steps_since_epoch(first) + np.arange(len(self) - there, dtype=np.float64)
        return np.concatenate([own, following])

    @property
    def _after_the_rows(self) -> int:
        return self.calendar.after(parsed(self.dates[-1], self.calendar.style))

    def to_json(self) -> dict[str, Any]:
        """All of it; `from_json` is the inverse."""
        return {
            "name": self.name,
            "values": [None if np.isnan(value) else value for value in self.values.tolist()],
            "extra": self.extra.tolist(),
            "calendar": vars(self.calendar) | {"weekdays": list(self.calendar.weekdays)},
            "dates": list(self.dates),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Series:
        """From what `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        values = np.array([np.nan if value is None else float(value) for value in data["values"]])
        extra = np.array(data["extra"], dtype=np.float64).reshape(len(values), -1)
        fields = {**data["calendar"], "weekdays": tuple(data["calendar"]["weekdays"])}
        series = cls(str(data["name"]), values, extra, Calendar(**fields), tuple(map(str, data["dates"])))
        series.text(len(series))  # a calendar that is none is found here
        if not len(values) or not np.isfinite(extra).all() or not np.isfinite(values[[0, -1]]).all():
            raise ValueError("no series")
        return series

    def tail(self, most: int) -> Series:
        """The last places."""
        start = max(0, len(self) - most)
        if not start:
            return self
        while np.isnan(self.values[start]):
            start += 1
        if self.dates:
            return Series(self.name, self.values[start:], self.extra[start:], self.calendar, self.dates[start:])
        origin = self.calendar.text(start) if self.calendar.unit == "numbers" else self.calendar.date(start).isoformat()
        fields = {**vars(self.calendar), "origin": origin}
        return Series(self.name, self.values[start:], self.extra[start:], Calendar(**fields))


def read_series(path: str, config: SeriesConfig, warn: Callable[[str], None]) -> list[Series]:
    """All series of a table: one for each column of values and each group.

    Args:
        path (str): the table.
        config (SeriesConfig): which columns are what, and what becomes of gaps.
        warn (Callable[[str], None]): told about rows out of order and gaps.

    Raises:
        DataError: the table cannot be read, or a date stands twice, or there is no series in it.
    """
    table = Table.read(path)
    group = table.column(config.group, "--group") if config.group else None
    extra = [table.column(name, "--with") for name in config.extra]
    taken = [*extra, *([group] if group is not None else [])]
    time, style = _time_column(table, config, taken)
    columns = value_columns(table, config.columns, [*taken, *([time] if time is not None else [])])
    labels = table.cells(group) if group is not None else [""] * len(table.rows)
    inputs = (
        np.array([table.numbers(column) for column in extra], dtype=np.float64).reshape(len(extra), len(table.rows)).T
    )
    series = []
    for label in dict.fromkeys(labels):
        rows = [i for i, own in enumerate(labels) if own == label]
        for column in columns:
            name = " ".join(filter(None, (label, table.columns[column] if len(columns) > 1 or not label else "")))
            values = np.array(table.numbers(column))[rows]
            series.append(_series(name, table, rows, values, inputs[rows], time, style, config, warn))
    return series


def _time_column(table: Table, config: SeriesConfig, taken: Sequence[int]) -> tuple[int | None, str]:
    """Which column has dates, and how they are written; None if the rows stand for themselves."""
    if config.time_column:
        column = table.column(config.time_column, "--time-column")
        cells = table.cells(column)
        if (style := date_format(cells)) is None and not all(cell.isdecimal() for cell in cells):
            worst = next(i for i, cell in enumerate(cells) if date_format([cell]) is None)
            raise DataError(f"{table.name}, line {table.lines[worst]}: {cells[worst][:40]!r} is no date")
        return column, style or ""
    named = {name.casefold() for name in config.columns}
    free = [i for i, name in enumerate(table.columns) if i not in taken and name.casefold() not in named]
    for i in free:
        if (style := date_format(table.cells(i))) is not None:
            return i, style
    others = [i for i in range(len(table.columns)) if i not in taken and table.is_numeric(i)]
    if not config.group and len(others) > 1:  # one of them may number the rows
        counting = (i for i in free if i in others and _counts(table.cells(i)))
        return next(counting, None), ""
    return None, ""


def _counts(cells: Sequence[str]) -> bool:
    """Whether cells are whole numbers that go up evenly: years, or numbers of rows."""
    if len(cells) < LEAST_COUNTED or not all(cell.isdecimal() for cell in cells):
        return False
    numbers = [int(cell) for cell in cells]
    step = numbers[1] - numbers[0]
    return step > 0 and all(b - a == step for a, b in pairwise(numbers))


def _series(
    name: str,
    table: Table,
    rows: list[int],
    values: Values,
    extra: Values,
    time: int | None,
    style: str,
    config: SeriesConfig,
    warn: Callable[[str], None],
) -> Series:
    """The rows of one series, in order, each at its place."""
    if time is None:
        return _trimmed(name, values, extra, Calendar("numbers", 1, "1"), ())
    cells = [table.rows[i][time] for i in rows]
    lines = [table.lines[i] for i in rows]
    if not style:
        return _numbered(name, table, [int(cell) for cell in cells], lines, values, extra)
    dates = read_dates(cells, style, [(table.name, line) for line in lines])
    order = sorted(range(len(dates)), key=dates.__getitem__)
    if order != list(range(len(dates))):
        warn(f"{table.name}: the rows of {name} are not in the order of their dates; they are sorted")
    dates = [dates[i] for i in order]
    for one, two, i, j in zip(dates, dates[1:], order, order[1:], strict=False):
        if one == two:
            first, second = sorted((lines[i], lines[j]))
            raise DataError(f"{table.name}: {cells[i]} stands twice, in lines {first} and {second}", hint="--group?")
    values, extra, written = values[order], extra[order], tuple(cells[i] for i in order)
    if config.gaps == "ignore":
        calendar = _steady(dates, style)
        return _trimmed(name, values, extra, calendar, written)
    calendar = calendar_of(dates, style)
    if calendar.unit == "weekdays":  # holidays are not known before: the rows stand for themselves
        return _trimmed(name, values, extra, calendar, written)
    places = [calendar.place(date) for date in dates]
    return _spread(name, table.name, values, extra, calendar, [p for p in places if p is not None], config, warn)


def _steady(dates: Sequence[datetime], style: str) -> Calendar:
    try:
        return calendar_of(dates, style)
    except DataError:
        apart = sorted(round((b - a).total_seconds()) for a, b in pairwise(dates))
        return Calendar("seconds", max(1, apart[len(apart) // 2]), dates[0].isoformat(), style=style)


def _numbered(name: str, table: Table, numbers: list[int], lines: list[int], values: Values, extra: Values) -> Series:
    """Rows that are numbered, one after the other."""
    for i, (one, two) in enumerate(pairwise(numbers)):
        if two != numbers[0] + (i + 1) * (numbers[1] - numbers[0]) or two <= one:
            raise DataError(f"{table.name}, line {lines[i + 1]}: {two} does not follow {one} as the others do")
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
    return _trimmed(name, values, extra, Calendar("numbers", step, str(numbers[0])), ())


def _spread(
    name: str,
    file: str,
    values: Values,
    extra: Values,
    calendar: Calendar,
    places: list[int],
    config: SeriesConfig,
    warn: Callable[[str], None],
) -> Series:
    """Rows at their places; those between are missing."""
    missing = sorted(set(range(places[-1] + 1)) - set(places))
    if missing:
        shown = ", ".join(calendar.text(place) for place in missing[:NAMED]) + (", ..." if len(missing) > NAMED else "")
        text = f"{file}: {name} is {calendar}, but has no row for {counted(len(missing), 'date')}: {shown}"
        if config.gaps == "error":
            raise DataError(text, hint="--gaps mask leaves them out of the training")
        warn(f"{text}; they count as missing")
    whole, inputs = np.full(places[-1] + 1, np.nan), np.full((places[-1] + 1, extra.shape[1]), np.nan)
    whole[places], inputs[places] = values, extra
    return _trimmed(name, whole, inputs, calendar, ())


def _trimmed(name: str, values: Values, extra: Values, calendar: Calendar, dates: tuple[str, ...]) -> Series:
    """A series without missing values at its ends."""
    there = np.flatnonzero(np.isfinite(values))
    if not len(there):
        raise DataError(f"{name} has no values")
    first, last = int(there[0]), int(there[-1]) + 1
    filled = filled_forward(extra)
    whole = Series(name, values[:last], np.nan_to_num(filled[:last]), calendar, dates[:last])
    return whole if not first else Series.tail(whole, last - first)


def filled_forward(values: Values) -> Values:
    """Missing values as the last one before them, by columns; those before the first stay missing."""
    table = values.reshape(len(values), -1)
    there = np.where(np.isfinite(table), np.arange(len(table))[:, None], -1)
    last = np.maximum.accumulate(there, axis=0)
    found = np.where(last >= 0, np.take_along_axis(table, np.maximum(last, 0), axis=0), np.nan)
    return found.reshape(values.shape)


# A run's data -------------------------------------------------------------------------------------------------


def build_series(config: SeriesConfig, directory: Path, warn: Callable[[str], None]) -> list[Series]:
    """Read the series of a run into `directory`, or reopen what an earlier session read.

    Raises:
        DataError: they cannot be read.
    """
    path = directory / INDEX
    if not path.is_file():
        if len(config.paths) != 1:
            raise DataError(f"one table of series, not {len(config.paths)}")
        series = read_series(config.paths[0], config, warn)
        directory.mkdir(parents=True, exist_ok=True)
        modeldir.write_file(path, modeldir.json_bytes([one.to_json() for one in series]))
    try:
        return [Series.from_json(one) for one in json.loads(path.read_bytes())]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataError(f"{path} is not the data of this run", hint=f"delete {directory} and resume again") from None
