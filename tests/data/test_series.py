"""Series from tables: which column is what, gaps, order, and cells that are no numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqgen.config import SeriesConfig
from seqgen.data.series import Series, build_series, filled_forward, read_series
from seqgen.errors import DataError

NAN = math.nan


def read(tmp_path: Path, content: str, warned: list[str] | None = None, **config: Any) -> list[Series]:
    (tmp_path / "t.csv").write_text(content)
    return read_series(str(tmp_path / "t.csv"), SeriesConfig(**config), (warned if warned is not None else []).append)


def test_the_columns_are_found(tmp_path: Path) -> None:
    [one] = read(tmp_path, "day,note,sold\n2024-01-01,a,3\n2024-01-02,b,4.5\n")
    assert (one.name, one.values.tolist(), one.text(2)) == ("sold", [3, 4.5], "2024-01-03")
    [one] = read(tmp_path, "3\n4\n5\n")
    assert (one.name, one.values.tolist(), one.text(3)) == ("1", [3, 4, 5], "4")
    [one] = read(tmp_path, "year,x\n1999,1\n2000,2\n", time_column="year", columns=("x",))
    assert one.text(2) == "2001"


def test_a_column_that_counts_up_numbers_the_rows(tmp_path: Path) -> None:
    years = "".join(f"{1990 + i},{i * 7 % 5}\n" for i in range(12))
    [one] = read(tmp_path, f"year,population\n{years}")
    assert (one.name, one.text(0), one.text(12)) == ("population", "1990", "2002")
    [one] = read(tmp_path, f"year,population\n{years}", columns=("year",))
    assert one.values[-1] == 2001
    with pytest.raises(DataError, match="2 columns of numbers"):
        read(tmp_path, f"year,population\n{years}2005,3\n")


def test_where_a_series_stands_in_time_is_the_same_without_its_first_rows(tmp_path: Path) -> None:
    monthly = "".join(f"{2000 + i // 12}-{i % 12 + 1:02d},{i}\n" for i in range(40))
    business = "".join(f"2024-01-{day:02d},{day}\n" for day in (1, 2, 3, 4, 5, 8, 9, 11, 12, 15, 16, 17, 18, 19, 22))
    zoned = "".join(f"2024-01-01T{hour:02d}:00:00+01:00,{hour}\n" for hour in range(12))
    for content, gaps in (
        (monthly, "mask"),
        (business, "mask"),
        (zoned, "mask"),
        (zoned, "ignore"),
        ("1\n" * 9, "mask"),
    ):
        [whole] = read(tmp_path, ("d,x\n" if "," in content else "") + content, gaps=gaps)
        times = whole.steps_since_epoch()
        np.testing.assert_array_equal(whole.tail(5).steps_since_epoch(), times[-5:])
        assert (np.diff(times) >= 1).all()
    [holidays] = read(tmp_path, "d,x\n" + business)
    assert np.diff(holidays.steps_since_epoch()).tolist() == [1] * 6 + [2] + [1] * 7  # the 10th is no row


def test_decimal_commas_and_missing_values(tmp_path: Path) -> None:
    [one] = read(tmp_path, "d;x\n2024-01;1,5\n2024-02;NA\n2024-03;\n2024-04;-2,25\n")
    np.testing.assert_array_equal(one.values, [1.5, NAN, NAN, -2.25])


def test_groups_and_several_columns(tmp_path: Path) -> None:
    rows = "".join(f"{name},2024-0{i},{i},{-i}\n" for name in ("a", "b") for i in (1, 2, 3))
    found = read(tmp_path, f"g,d,x,y\n{rows}", group="g", columns=("x", "y"))
    assert [one.name for one in found] == ["a x", "a y", "b x", "b y"]
    assert found[3].values.tolist() == [-1, -2, -3]
    found = read(tmp_path, f"g,d,x,y\n{rows}", group="g", columns=("x",), extra=("y",))
    assert [one.name for one in found] == ["a", "b"]
    assert found[0].extra.tolist() == [[-1], [-2], [-3]]


def test_gaps_are_told_and_missing(tmp_path: Path) -> None:
    content, warned = "d,x\n2024-01-01,1\n2024-01-02,2\n2024-01-05,5\n2024-01-06,6\n", list[str]()
    [one] = read(tmp_path, content, warned)
    np.testing.assert_array_equal(one.values, [1, 2, NAN, NAN, 5, 6])
    assert "no row for 2 dates: 2024-01-03, 2024-01-04" in warned[0]
    [one] = read(tmp_path, content, gaps="ignore")
    assert (one.values.tolist(), one.text(2), one.text(4)) == ([1, 2, 5, 6], "2024-01-05", "2024-01-07")
    with pytest.raises(DataError, match="no row for 2 dates"):
        read(tmp_path, content, gaps="error")


def test_holidays_are_rows_that_there_are_not(tmp_path: Path) -> None:
    days = (2, 3, 4, 5, 8, 9, 10, 11, 12, 16, 17, 18, 19)  # of January 2024, a Monday is missing
    [one] = read(tmp_path, "d,x\n" + "".join(f"2024-01-{day:02d},{day}\n" for day in days))
    assert one.values.tolist() == list(days)
    assert [one.text(len(one) + i) for i in range(2)] == ["2024-01-22", "2024-01-23"]


def test_rows_are_sorted_and_repeats_refused(tmp_path: Path) -> None:
    warned: list[str] = []
    [one] = read(tmp_path, "d,x\n2024-02,2\n2024-01,1\n2024-03,3\n", warned)
    assert (one.values.tolist(), "they are sorted" in warned[0]) == ([1, 2, 3], True)
    with pytest.raises(DataError, match="2024-01 stands twice, in lines 2 and 4"):
        read(tmp_path, "d,x\n2024-01,1\n2024-02,2\n2024-01,3\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "an empty table"),
        ("d,x\n", "a header and no rows"),
        ("d,x\n2024-01,1\n2024-02\n", "line 3: 1 cells, but the first row has 2"),
        ("d,x\n2024-01,1\n2024-02,oops\n", "no column of numbers"),
        ("d,x,y\n2024-01,1,2\n2024-02,1,2\n", "has 2 columns of numbers: 'x', 'y'"),
        ("d,x\n2024-01,\n2024-02,\n", "no column of numbers"),
        ("d,x\n2024-01,inf\n2024-02,1\n", "no column of numbers"),
    ],
)
def test_what_is_no_table_of_series_is_refused(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    assert message in caught.value.message


def test_a_faulty_cell_of_a_named_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 3, column 'x': 'oops' is no number"):
        read(tmp_path, "d,x\n2024-01,1\n2024-02,oops\n", columns=("x",))
    with pytest.raises(DataError, match=r"line 3: 'soon' is no date"):
        read(tmp_path, "d,x\n2024-01,1\nsoon,2\n", time_column="d")
    with pytest.raises(DataError, match="no column 'z'"):
        read(tmp_path, "d,x\n2024-01,1\n2024-02,2\n", columns=("z",))


def test_series_come_back_from_a_run(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("d,x\n2024-01-01,1\n2024-01-02,\n2024-01-03,3\n")
    config = SeriesConfig(paths=(str(tmp_path / "t.csv"),))
    [made] = build_series(config, tmp_path / "data", print)
    (tmp_path / "t.csv").unlink()
    [again] = build_series(config, tmp_path / "data", print)
    np.testing.assert_array_equal(made.values, again.values)
    assert (made.calendar, made.text(3)) == (again.calendar, "2024-01-04")
    (tmp_path / "data" / "series.json").write_text("[{}]")
    with pytest.raises(DataError, match="is not the data of this run"):
        build_series(config, tmp_path / "data", print)


def test_filling_takes_the_last_before() -> None:
    np.testing.assert_array_equal(filled_forward(np.array([NAN, 1, NAN, NAN, 2])), [NAN, 1, 1, 1, 2])
