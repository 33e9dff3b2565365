"""`train-forecaster`, `forecast` and `evaluate` of series from end to end."""

from __future__ import annotations

import csv
import io
import json
import math
import random
from pathlib import Path

import pytest
from running import Call, seqgen

from seqgen import modeldir

SMALL = "--horizon 4 --order 6 --hidden-size 6 --steps 30 --eval-every 10 --threads 1 --precision fp32".split()
HEADER = ["step", "date", "forecast", "low_80", "high_80", "low_90", "high_90"]


def table(rows: int = 200) -> str:
    draw = random.Random(0)
    values = (20 + 5 * math.sin(2 * math.pi * i / 12) + draw.random() for i in range(rows))
    return "date,x\n" + "".join(f"{1990 + i // 12}-{i % 12 + 1:02d},{value:.3f}\n" for i, value in enumerate(values))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    (folder / "x.csv").write_text(table())
    done = seqgen("train-forecaster", "x.csv", "--out", "m", *SMALL, cwd=folder)
    assert (done.code, done.out) == (0, b""), done.err
    assert "a season of 12 steps" in done.err
    return folder / "m"


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_goes_on_where_the_series_ends(model: Path, call: Call) -> None:
    ended = call("forecast", "-m", str(model), "--steps", "7", "-q")
    assert ended.text.splitlines()[0].split(",") == HEADER
    found = rows(ended.text)
    assert [row["date"] for row in found] == [f"2006-{month:02d}" for month in range(9, 13)] + [
        f"2007-{month:02d}" for month in range(1, 4)
    ]
    for i, row in enumerate(found):
        truth = 20.5 + 5 * math.sin(2 * math.pi * (200 + i) / 12)
        assert abs(float(row["forecast"]) - truth) < 1.5
        ends = [float(row[name]) for name in ("low_90", "low_80", "forecast", "high_80", "high_90")]
        assert ends == sorted(ends)


def test_a_table_of_new_rows(model: Path, call: Call, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text(table(230))
    ended = call("forecast", "-m", str(model), str(tmp_path / "new.csv"), "--steps", "1", "-q")
    assert rows(ended.text)[0]["date"] == "2009-03"
    measures = json.loads(call("evaluate", "-m", str(model), str(tmp_path / "new.csv"), "--json").text)
    assert measures["origins"] == 30 - 4 + 1
    assert measures["mase"] < measures["naive_mase"]
    old = call("evaluate", "-m", str(model), str(model.parent / "x.csv"))
    assert (old.code, "--last N judges" in old.hint) == (2, True)
    shown = call("evaluate", "-m", str(model), str(model.parent / "x.csv"), "--last", "40").text
    assert "a season ago" in shown


def test_paths_are_drawn_by_seed(model: Path, call: Call) -> None:
    words = ("forecast", "-m", str(model), "--steps", "3", "--paths", "2", "--seed", "5")
    first, again, other = (call(*w).text for w in (words, words, (*words[:-1], "6")))
    assert first == again != other
    assert list(rows(first)[0])[-2:] == ["path_1", "path_2"]
    drawn = call(*words[:-2])
    assert drawn.err.startswith("seed ")


def test_json_and_pictures(model: Path, call: Call, tmp_path: Path) -> None:
    picture = tmp_path / "f.svg"
    ended = call("forecast", "-m", str(model), "--steps", "3", "--json", "--png", str(picture))
    described = json.loads(ended.text)
    assert list(described) == ["series", "dates", "forecast", "low_80", "high_80", "low_90", "high_90", "paths"]
    assert len(described["dates"]) == len(described["forecast"]) == 3
    assert picture.read_text().startswith("<?xml")
    drawn = call("forecast", "-m", str(model), "--steps", "12", "--plot").text
    assert "● forecast" in drawn
    assert drawn.count("●") == 13
    assert max(map(len, drawn.splitlines())) <= 100


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ("", "", "x.csv: an empty table"),
        ("date,x\n2024-01,1\n2024-02,oops\n", "--column x", "x.csv, line 3, column 'x': 'oops' is no number"),
        (table(30), "", "x has 30 rows, but about 94 are needed to forecast 12 steps"),
        (table(), "--season 500", "a season of 500 steps is longer than the 102 rows to fit by"),
        (table(), "--column y", "x.csv has no column 'y' (--column); the columns are 'date', 'x'"),
    ],
)
def test_bad_data_is_refused(content: str, words: str, message: str, folder: Path, call: Call) -> None:
    Path("x.csv").write_text(content)
    ended = call("train-forecaster", "x.csv", *words.split(), "--out", "m", "--steps", "1")
    assert (ended.code, ended.error) == (2, message)
    assert not Path("m").exists()


def test_the_finished_model_says_what_it_is_worth(model: Path) -> None:
    card = (model / "README.md").read_text()
    assert "| last value |" in card
    assert "The 80 % band covers" in card
    modeldir.verify(model)
