"""Dates of a series: how they are written, at which distance they follow each other, and which come next.

by seconds    2024-05-01 13:30, 13:45, ...   all times of day
by days       every day, every week, every second day
by weekdays   those days of the week that occur, such as Monday to Friday; holidays are rows that there are not
by months     the same day of each month, or the last one; quarters and years too
by numbers    1, 2, 3, ... or the rows themselves where there are no dates
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal

from seqgen.errors import DataError

Unit = Literal["seconds", "days", "weekdays", "months", "numbers"]
Place = tuple[str, int]
"""A file and a line in it."""

FORMATS = (
    "%Y-%m-%d", "%Y-%m", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z", "%Y/%m/%d", "%Y/%m", "%Y%m%d", "%d.%m.%Y", "%d.%m.%Y %H:%M",
    "%d %b %Y", "%b %d %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%b %Y", "%B %Y", "%d/%m/%Y", "%m/%d/%Y",
    "%d-%m-%Y", "%m-%d-%Y",
)  # fmt: skip
# The same letters, the day first or the month first: dates that are right both ways tell nothing.
EITHER = {"%d/%m/%Y": "%m/%d/%Y", "%d-%m-%Y": "%m-%d-%Y"}
DAY = 86_400
# Of so many places a row must stand in one at least; else the dates have no common distance.
FEWEST = 0.2
EPOCH, MONDAY = datetime(1970, 1, 1), datetime(1970, 1, 5)


@dataclass(frozen=True)
class Calendar:
    """Where dates stand, counted from the first of a series.

    Args:
        unit (Unit): what is counted.
        step (int): how many of them lie between two dates.
        origin (str): the first date, as ISO; of numbers the first number.
        day (int): of the month, 31 for the last; of months only.
        weekdays (tuple[int, ...]): Monday is 0; of weekdays only.
        style (str): how dates are written, as for `strftime`; empty for numbers.
    """

    unit: Unit
    step: int
    origin: str
    day: int = 1
    weekdays: tuple[int, ...] = ()
    style: str = ""

    @property
    def first(self) -> datetime:
        """The first date."""
        return datetime.fromisoformat(self.origin)

    def date(self, place: int) -> datetime:
        """The date of a place; of weekdays, of the n-th such day."""
        if self.unit == "months":
            months = self.first.year * 12 + self.first.month - 1 + place * self.step
            return _of_month(months // 12, months % 12 + 1, self.day)
        if self.unit == "weekdays":
            return self._weekday(place)
        return self.first + timedelta(seconds=place * self.step * (1 if self.unit == "seconds" else DAY))

    def _weekday(self, place: int) -> datetime:
        begin = self.weekdays.index(self.first.weekday())
        weeks, index = divmod(begin + place, len(self.weekdays))
        return self.first + timedelta(days=7 * weeks + self.weekdays[index] - self.first.weekday())

    def place(self, date: datetime) -> int | None:
        """Where a date stands; None if it is none of these."""
        if self.unit == "months":
            months = (date.year - self.first.year) * 12 + date.month - self.first.month
            fits = months % self.step == 0 and date == _of_month(date.year, date.month, self.day)
            return months // self.step if fits else None
        if self.unit == "weekdays":
            if date.weekday() not in self.weekdays or (date - self.first).seconds:
                return None
            days = (date - self.first).days + self.first.weekday()
            first = self.weekdays.index(self.first.weekday())
            return days // 7 * len(self.weekdays) + self.weekdays.index(date.weekday()) - first
        seconds = round((date - self.first).total_seconds())
        apart = self.step * (1 if self.unit == "seconds" else DAY)
        return seconds // apart if seconds % apart == 0 else None

    def steps_since_epoch(self, date: datetime) -> float:
        """How many steps a date lies after a fixed one, whatever the first date of the series is."""
        if self.unit == "months":
            return (date.year * 12 + date.month - 1) / self.step
        if self.unit == "weekdays":
            weeks, day = divmod((date - MONDAY).days, 7)
            return weeks * len(self.weekdays) + sum(own < day for own in self.weekdays)
        return (date - EPOCH).total_seconds() / (self.step * (1 if self.unit == "seconds" else DAY))

    def text(self, place: int) -> str:
        """The date of a place as the series writes it; of numbers the number."""
        if self.unit == "numbers":
            return str(int(self.origin) + place * self.step)
        date = self.date(place)
        return written(date, self.style)

    def after(self, date: datetime) -> int:
        """The place of the first date that is later."""
        place = self.place(date)
        if place is not None:
            return place + 1
        guess = 0
        while self.date(guess) <= date:
            guess += 1
        return guess

    def __str__(self) -> str:
        """Such as `monthly, on day 1`."""
        if self.unit == "numbers":
            return "numbered" if self.step == 1 else f"every {self.step} numbers"
        if self.unit == "weekdays":
            return "on " + ", ".join("Mon Tue Wed Thu Fri Sat Sun".split()[day] for day in self.weekdays)
        if self.unit == "months":
            often = {1: "monthly", 3: "quarterly", 12: "yearly"}.get(self.step, f"every {self.step} months")
            return often + (", on the last day" if self.day == 31 else f", on day {self.day}" if self.step < 12 else "")
        if self.unit == "days":
            return {1: "daily", 7: "weekly"}.get(self.step, f"every {self.step} days")
        named = {60: "every minute", 3600: "hourly"}
        return named.get(self.step, f"every {self.step} seconds")

    @property
    def seasons(self) -> tuple[float, ...]:
        """Numbers of steps after which things may come again: a day, a week, a year."""
        if self.unit == "months":
            return (12 / self.step,) if self.step in (1, 2, 3, 4, 6) else ()
        if self.unit == "weekdays":
            return (float(len(self.weekdays)),)
        if self.unit == "numbers":
            return ()
        seconds = self.step * (1 if self.unit == "seconds" else DAY)
        return tuple(span / seconds for span in (DAY, 7 * DAY, 365.25 * DAY) if 2 <= span / seconds <= 1000)


def written(date: datetime, style: str) -> str:
    """A date as a series writes it, one with a time zone in UTC; `%-d` and `%-m` are numbers without zeros before."""
    # strftime leaves out the zeros of early years on some systems, and does not know these two on others.
    own = {"%Y": f"{date.year:04d}", "%-d": str(date.day), "%-m": str(date.month), "%z": "+00:00"}
    for code, text in own.items():
        style = style.replace(code, text)
    return date.strftime(style)


def parsed(text: str, style: str) -> datetime:
    """A date that is written so; with a time zone, as UTC has it.

    Raises:
        ValueError: it is not.
    """
    date = datetime.strptime(text.strip(), style.replace("%-", "%"))
    return date.astimezone(UTC).replace(tzinfo=None) if date.tzinfo else date


def _of_month(year: int, month: int, day: int) -> datetime:
    following = datetime(year + month // 12, month % 12 + 1, 1)
    last = (following - timedelta(days=1)).day
    return datetime(year, month, min(day, last))


# Reading ------------------------------------------------------------------------------------------------------


def date_format(texts: Sequence[str]) -> str | None:
    """How all of some dates are written; None if they are no dates.

    Raises:
        DataError: day and month may be either way.
    """
    for style in FORMATS:
        if all(_read(text, style) for text in texts[:1]) and all(_read(text, style) for text in texts):
            other = EITHER.get(style)
            if other and all(_read(text, other) for text in texts):
                raise DataError(
                    f"dates such as {texts[0]} have the day first or the month first: both are possible",
                    hint="write them as 2024-05-01",
                )
            return _unpadded(texts, style)
    return None


def _unpadded(texts: Sequence[str], style: str) -> str:
    """The style, without zeros before days and months where the dates are written so."""
    for plain in (style, style.replace("%d", "%-d"), style.replace("%d", "%-d").replace("%m", "%-m")):
        if all(written(parsed(text, style), plain) == text.strip() for text in texts):
            return plain
    return style


def _read(text: str, style: str) -> datetime | None:
    try:
        return parsed(text, style)
    except ValueError:
        return None


def read_dates(texts: Sequence[str], style: str, places: Sequence[Place]) -> list[datetime]:
    """Dates as they are written.

    Raises:
        DataError: one is none.
    """
    dates = []
    for text, (name, line) in zip(texts, places, strict=True):
        if (date := _read(text, style)) is None:
            raise DataError(f"{name}, line {line}: {text[:40]!r} is no date as the others are")
        dates.append(date)
    return dates


def calendar_of(dates: Sequence[datetime], style: str) -> Calendar:
    """The calendar of dates in order, no two alike.

    Raises:
        DataError: they have no common distance.
    """
    first = dates[0]
    for found in (_months(dates, style), _days(dates, style)):
        if found is not None and _full(found, dates):
            return found
    apart = [round((b - a).total_seconds()) for a, b in pairwise(dates)] or [DAY]
    calendar = Calendar("seconds", math.gcd(*apart), first.isoformat(), style=style)
    if not _full(calendar, dates):
        raise DataError(
            f"the dates have no common distance: {dates[0]}, {dates[1]}, {dates[2]}, ...",
            hint="--gaps ignore takes the rows as they stand, as if they were evenly spaced",
        )
    return calendar


def _full(calendar: Calendar, dates: Sequence[datetime]) -> bool:
    last = calendar.place(dates[-1])
    return last is not None and len(dates) >= FEWEST * (last + 1)


def _months(dates: Sequence[datetime], style: str) -> Calendar | None:
    days = {date.day for date in dates}
    last = all(date == _of_month(date.year, date.month, 31) for date in dates) and len(days) > 1
    if (len(days) > 1 and not last) or any(date.time() != dates[0].time() for date in dates):
        return None
    numbers = [date.year * 12 + date.month for date in dates]
    apart = [b - a for a, b in pairwise(numbers)]
    if 0 in apart or (not apart and re.search("%-?d", style)) or dates[0].time() != EPOCH.time():
        return None
    return Calendar("months", math.gcd(*apart) or 1, dates[0].isoformat(), 31 if last else dates[0].day, style=style)


def _days(dates: Sequence[datetime], style: str) -> Calendar | None:
    if any(date.time() != EPOCH.time() for date in dates):
        return None
    apart = [(b - a).days for a, b in pairwise(dates)]
    weekdays = tuple(sorted({date.weekday() for date in dates}))
    if 1 in apart and 2 <= len(weekdays) < 7 and len(dates) > 2 * len(weekdays):
        return Calendar("weekdays", 1, dates[0].isoformat(), weekdays=weekdays, style=style)
    return Calendar("days", math.gcd(*apart) or 1, dates[0].isoformat(), style=style)
