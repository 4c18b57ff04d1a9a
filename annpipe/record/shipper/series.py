"""The series of a journal: which of their points go into the record, and tables of those that are thinned."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from annpipe.files.descriptors import move
from annpipe.files.private import private_folder
from annpipe.record.journal import journal
from annpipe.record.journal.events import Event
from annpipe.record.shipper.thin import SeriesPoint, Thinner
from annpipe.record.store.keys import file_name, is_single_value, store_name

NOT_IN_FILES = re.compile(r"[^\w.,=+@ -]|^\.")  # columns, whose names are in keys, are called what they like
MOST_LETTERS = 80


class AllSeries:
    """The series of one journal, thinned event by event; a shipper that starts again decides the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._series: dict[str, Thinner] = {}
        self.single_values: dict[str, SeriesPoint] = {}  # the last of each
        self.last_step = 0
        self.expected: int | None = None  # points of a series, as the run announced them

    def announce(self, expected: int) -> None:
        """The run was given another length: so many points of a series are to come in all."""
        self.expected = expected
        for series in self._series.values():
            series.announce(expected)

    def kept(self, event: Event) -> Iterator[tuple[str, SeriesPoint]]:
        """Counts the points of an event, and gives those that go into the record at once."""
        for key, point in _points(event):
            if is_single_value(key):
                self.single_values[key] = point
            else:
                self.last_step = max(self.last_step, point.step)
            if key not in self._series:
                self._series[key] = Thinner(key, self.expected)
            if self._series[key].keep(point):
                yield key, point

    @property
    def n_chosen(self) -> dict[str, int]:
        """By series how many of its points are to be in the record."""
        return {key: series.n_chosen for key, series in self._series.items()}

    @property
    def tables(self) -> dict[str, Path]:
        """By thinned series the file for every point of it."""
        keys = [key for key, series in self._series.items() if not series.is_whole]
        return {key: self._folder / "artifacts" / "history" / name for key, name in _file_names(keys).items()}

    def strides(self, *, final: bool) -> dict[str, int]:
        """By series the stride to go through it again, now that the length is known; 0 for not at all."""
        return {key: series.fill(final=final) for key, series in self._series.items()}

    def outstanding(self, strides: dict[str, int]) -> Iterator[tuple[str, SeriesPoint]]:
        """The last and best points that were left out, of series that are not gone through whole anyway."""
        for key, series in self._series.items():
            if strides[key] != 1:
                yield from ((key, point) for point in series.outstanding())

    def again(self, strides: dict[str, int], end: int) -> Iterator[tuple[str, SeriesPoint]]:
        """The points up to the offset `end` at those strides, read once more."""
        n_passed = {key: 0 for key, stride in strides.items() if stride}
        if not n_passed:
            return
        for key, point in self._points_until(end):
            if key in n_passed:
                if n_passed[key] % strides[key] == 0:
                    yield key, point
                n_passed[key] += 1

    def write_histories(self, end: int) -> list[Path]:
        """Every point of the thinned series up to `end`, as a table each; gives their files."""
        paths = self.tables
        if not paths:
            return []
        private_folder(self._folder / "artifacts" / "history")
        with ExitStack() as files:
            new = {key: path.with_name(f".{path.name}.new") for key, path in paths.items()}
            tables = {
                key: csv.writer(files.enter_context(open(path, "w", encoding="utf-8", newline="")))
                for key, path in new.items()
            }
            for table in tables.values():
                table.writerow(["step", "value", "time_ms"])
            for key, point in self._points_until(end):
                if key in tables:
                    tables[key].writerow([point.step, repr(point.value), point.time_ms])
        for key, path in paths.items():  # one that is there is whole
            move(new[key], path)
        return list(paths.values())

    def _points_until(self, end: int) -> Iterator[tuple[str, SeriesPoint]]:
        with open(self._folder / journal.FILE, "rb") as file:
            for event, offset in journal.lines(file):
                if offset > end:
                    return
                yield from _points(event)


def _points(event: Event) -> Iterator[tuple[str, SeriesPoint]]:
    """The points of an event, by their names in the store."""
    for key, step, value, time_ms in journal.points(event):
        yield store_name(key), SeriesPoint(step, value, time_ms)


def _file_names(keys: Sequence[str]) -> dict[str, str]:
    """By key the name of its table; no two are one on a file system that takes large letters for small ones."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for key in keys:
        name = file_name(key)
        while name.casefold() in taken:
            name += "_"
        taken.add(name.casefold())
        names[key] = f"{name}.csv"
    return names
