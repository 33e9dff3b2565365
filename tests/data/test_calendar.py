"""Dates of all kinds: how they are written, at which distance they follow, and which come next."""

from __future__ import annotations

from itertools import pairwise

import pytest

from seqgen.data.calendar import Calendar, calendar_of, date_format, read_dates
from seqgen.errors import DataError


def calendar(*texts: str) -> Calendar:
    style = date_format(texts)
    assert style is not None
    return calendar_of(read_dates(texts, style, [("T", i) for i in range(len(texts))]), style)


@pytest.mark.parametrize(
    ("texts", "said", "following"),
    [
        (("1749-01", "1749-02", "1749-03"), "monthly, on day 1", ("1749-04", "1749-05")),
        (("2024-01-31", "2024-02-29", "2024-03-31"), "monthly, on the last day", ("2024-04-30", "2024-05-31")),
        (("2024-01-15", "2024-04-15"), "quarterly, on day 15", ("2024-07-15", "2024-10-15")),
        (("1999", "2000", "2001"), None, ()),
        (("2024-02-27", "2024-02-28", "2024-02-29"), "daily", ("2024-03-01", "2024-03-02")),
        (("2024-01-01", "2024-01-08", "2024-01-15"), "weekly", ("2024-01-22", "2024-01-29")),
        (("Jan 1 2000", "Feb 1 2000", "Mar 1 2000"), "monthly, on day 1", ("Apr 1 2000", "May 1 2000")),
        (("01.12.2023", "02.12.2023", "03.12.2023"), "daily", ("04.12.2023", "05.12.2023")),
        (("13/1/2024", "14/1/2024", "15/1/2024"), "daily", ("16/1/2024", "17/1/2024")),
        (("2024-05-01 13:30", "2024-05-01 13:45", "2024-05-01 14:00"), "every 900 seconds", ("2024-05-01 14:15",)),
        (("2024-05-01T23:00:00+02:00", "2024-05-02T00:00:00+02:00"), "hourly", ()),
        (("2024-05-01", "2024-05-02", "2024-05-04"), "daily", ()),
    ],
)
def test_a_calendar_goes_on(texts: tuple[str, ...], said: str | None, following: tuple[str, ...]) -> None:
    if said is None:
        assert date_format(texts) is None  # numbers, not dates
        return
    found = calendar(*texts)
    assert str(found) == said
    last = found.place(read_dates(texts[-1:], found.style, [("T", 1)])[0])
    assert last is not None
    assert tuple(found.text(last + i) for i in range(1, len(following) + 1)) == following


def test_weekdays_skip_the_weekend() -> None:
    days = [f"2024-05-{day:02d}" for day in (1, 2, 3, 6, 7, 8, 9, 10, 13, 14, 15, 16)]
    found = calendar(*days)
    assert str(found) == "on Mon, Tue, Wed, Thu, Fri"
    assert [found.text(i) for i in range(len(days))] == days
    assert [found.place(read_dates([day], found.style, [("T", 1)])[0]) for day in days] == list(range(len(days)))
    assert found.seasons == (5.0,)


def test_seasons_are_days_weeks_and_years() -> None:
    assert calendar("2024-01", "2024-02").seasons == (12.0,)
    assert calendar("2024-01-01", "2024-01-02").seasons == (7.0, 365.25)
    assert calendar("2024-01-01 00:00", "2024-01-01 01:00").seasons == (24.0, 168.0)


def test_dates_that_may_be_either_way_are_refused() -> None:
    with pytest.raises(DataError, match="the day first or the month first"):
        calendar("03/04/2024", "04/04/2024")


def test_dates_without_a_common_distance_are_refused() -> None:
    with pytest.raises(DataError, match="no common distance"):
        calendar("2024-01-01 00:00", "2024-01-01 00:07", "2024-01-03 11:31")


def test_what_is_no_date_has_no_format() -> None:
    assert date_format(["2024-01-01", "soon"]) is None
    assert date_format(["2024-02-30"]) is None


@pytest.mark.parametrize(
    "texts",
    [
        ("2024-01-31", "2024-02-29", "2024-03-31"),
        ("2024-05-01 13:30", "2024-05-01 13:45", "2024-05-01 14:00"),
        ("01.12.2023", "08.12.2023", "15.12.2023"),
    ],
)
def test_steps_are_counted_from_a_fixed_date(texts: tuple[str, ...]) -> None:
    whole, rest = calendar(*texts), calendar(*texts[1:])
    assert [whole.steps_since_epoch(whole.date(i + 1)) for i in range(4)] == [
        rest.steps_since_epoch(rest.date(i)) for i in range(4)
    ]
    steps = [whole.steps_since_epoch(whole.date(i)) for i in range(9)]
    assert [b - a for a, b in pairwise(steps)] == pytest.approx([1] * 8)


def test_weekdays_are_counted_without_the_weekend() -> None:
    days = [f"2024-05-{day:02d}" for day in (1, 2, 3, 6, 7, 8, 9, 10, 13, 14, 15, 16)]
    found = calendar(*days)
    steps = [found.steps_since_epoch(found.date(i)) for i in range(len(days))]
    assert steps == [steps[0] + i for i in range(len(days))]


def test_a_time_zone_is_written_in_utc() -> None:
    found = calendar("2024-03-31T01:00:00+01:00", "2024-03-31T03:00:00+02:00", "2024-03-31T04:00:00+02:00")
    assert str(found) == "hourly"  # summer time began in between
    assert found.text(3) == "2024-03-31T03:00:00+00:00"
