"""Series of a journal: all of a short one goes into the record, a long one is thinned and has a table."""

from __future__ import annotations

import csv
from pathlib import Path

from annpipe.record.journal import journal
from annpipe.record.journal.journal import Journal
from annpipe.record.shipper.series import AllSeries
from annpipe.record.shipper.thin import BUDGET

LONG = 3 * BUDGET


def test_short_series_are_whole_and_long_ones_have_tables(tmp_path: Path) -> None:
    """What was kept, what was left and what is gone through again make the points that were announced."""
    pen = Journal.create(tmp_path)
    pen.series("train/loss", 1, [1 / step for step in range(1, LONG + 1)], 0, LONG)
    pen.series("lr", 1, [0.1, 0.2], 0, 2)
    pen.close()
    series = AllSeries(tmp_path)
    series.expected = 2
    kept = [point for event in journal.read(tmp_path) for point in series.kept(event)]
    strides = series.strides(final=True)
    end = (tmp_path / journal.FILE).stat().st_size
    added = [*series.outstanding(strides), *series.again(strides, end)]
    points = {(key, point.step, point.value) for key, point in (*kept, *added)}
    assert strides["lr"] == 0
    assert {("lr", 1, 0.1), ("lr", 2, 0.2), ("train/loss", 1, 1.0), ("train/loss", LONG, 1 / LONG)} <= points
    assert series.n_chosen == {"train/loss": len(points) - 2, "lr": 2}
    assert BUDGET / 2 < series.n_chosen["train/loss"] <= BUDGET
    (table,) = series.write_histories(end)
    assert series.tables == {"train/loss": table}
    with open(table, newline="") as file:
        rows = list(csv.reader(file))
    assert rows[:2] == [["step", "value", "time_ms"], ["1", "1.0", "1"]]
    assert len(rows) == LONG + 1


def test_what_comes_later_is_left_to_the_next_time(tmp_path: Path) -> None:
    """The points up to an offset are those of the lines before it."""
    pen = Journal.create(tmp_path)
    pen.series("a", 1, [1.0, 2.0], 0, 2)
    end = (tmp_path / journal.FILE).stat().st_size
    pen.series("a", 3, [3.0], 2, 3)
    pen.close()
    series = AllSeries(tmp_path)
    for event in journal.read(tmp_path):
        list(series.kept(event))
    assert [point.value for _, point in series.again({"a": 1}, end)] == [1.0, 2.0]
    assert list(series.again({"a": 0}, end)) == []
    assert series.write_histories(end) == []


def test_two_tables_are_two_files_where_large_letters_are_small_ones(tmp_path: Path) -> None:
    """As on macOS and Windows: `val/R` and `val/r` are two series."""
    pen = Journal.create(tmp_path)
    for key in ("val/r", "val/R"):
        pen.series(key, 1, [1.0] * LONG, 0, LONG)
    pen.close()
    series = AllSeries(tmp_path)
    for event in journal.read(tmp_path):
        list(series.kept(event))
    series.strides(final=True)
    assert [table.name for table in series.tables.values()] == ["val_r.csv", "val_R_.csv"]
