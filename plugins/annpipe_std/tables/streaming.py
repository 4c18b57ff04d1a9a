"""A table that stays in its files: one scan finds the types of its columns, and its rows are read in blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from annpipe import CellFormat, Fields, TextCounts
from annpipe_std.tables.choosing import (
    Roles,
    check_column,
    check_columns,
    check_kept,
    check_target,
    declared_categories,
    input_field,
    matching,
    read_as_text,
    roles_of,
    target_field,
)
from annpipe_std.tables.columns import Found, Type, missing_rows, values
from annpipe_std.tables.csv_format import CsvFormat
from annpipe_std.tables.files import check_rows, found_files, place_of_row, stamp
from annpipe_std.tables.inspector import ColumnInspector, gathered
from annpipe_std.tables.opening import check_decoded
from annpipe_std.tables.sources import Source, csv_source, parquet_source
from annpipe_std.tables.table_options import CsvOptions, Names, TableOptions

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Streamed:
    """The chosen columns of files: `columns` has what each is, `lost` in how many rows it is missing.

    Rows in which a column of `dropped` is missing are left out; `rows` counts the others.
    """

    source: Source
    roles: Roles
    columns: Mapping[str, Found]
    lost: Mapping[str, int]
    dropped: tuple[str, ...]
    rows: int

    @property
    def fields(self) -> Fields:
        """What the table is to the engine."""
        columns = self.columns
        is_alone = len(self.roles.inputs) == 1
        inputs = {n: input_field(columns[n], self.lost[n], is_alone=is_alone) for n in self.roles.inputs}
        targets = {n: target_field(columns[n]) for n in self.roles.targets}
        return Fields(inputs, targets, self.rows, in_blocks=True)

    @property
    def _types(self) -> list[tuple[str, Found]]:
        return sorted(self.columns.items(), key=lambda item: item[0])

    @property
    def digest(self) -> str:
        """What decides the rows: the content of the files, the columns that are taken of it, and rows left out."""
        facts = (self.source.digest, self.roles, self._types, self.dropped, self.source.cells.missing)
        texts = [(name, kind.counted) for name, kind in self._types if kind.counted]
        dates = [self.source.cells.dates] if self.source.cells.dates else []
        content = repr((*facts, *texts, *dates))  # of options that were not there before nothing is added
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def blocks(self) -> Iterator[dict[str, Array]]:
        """The rows from the first to the last: each time the columns by name, (rows,) float64, NaN where missing."""
        import numpy as np

        for _, table in self.source.blocks(self.roles.wanted):
            block = {
                name: values(name, table.column(name), self.columns[name], self.source.cells) for name in self.columns
            }
            if self.dropped:
                keep = ~np.logical_or.reduce([missing_rows(block[name]) for name in self.dropped])
                block = {name: column[keep] for name, column in block.items()}
            if len(next(iter(block.values()))):
                yield block


def csv_streamed(options: CsvOptions) -> Streamed:
    """The table that `csv` streams; raises OptionError where the files or names do not fit."""
    form = options.csv_format()
    return _csv(stamp(found_files(options.files)), form, _asked(options))


def parquet_streamed(options: TableOptions) -> Streamed:
    """The table that `parquet` streams; raises OptionError where the files or names do not fit."""
    return _parquet(stamp(found_files(options.files)), options.cell_format(), _asked(options))


@dataclass(frozen=True)
class _Asked:
    """The options that choose columns, as they can be compared."""

    target: tuple[str, ...]
    features: tuple[str, ...] | None
    ignore: tuple[str, ...]
    types: tuple[tuple[str, Type], ...]
    drop_missing: tuple[str, ...]
    aside: tuple[str, ...]
    text: tuple[tuple[str, TextCounts], ...] = ()


def _asked(options: TableOptions) -> _Asked:
    def several(names: Names | None) -> tuple[str, ...]:
        return (names,) if isinstance(names, str) else tuple(names or ())

    return _Asked(
        several(options.target),
        None if options.features is None else several(options.features),
        several(options.ignore),
        tuple((options.types or {}).items()),
        several(options.drop_missing),
        tuple(options.aside),
        tuple(options.text_counts().items()),
    )


# Checking a spec, planning and running it ask for the same table within a moment.
@lru_cache(maxsize=1)
def _csv(
    stamped: tuple[tuple[str, int, int], ...],
    form: CsvFormat,
    asked: _Asked,
) -> Streamed:
    texts = read_as_text(dict(asked.types)) | {name for name, _ in asked.text}
    return _scanned(csv_source([file for file, _, _ in stamped], form, texts), asked)


@lru_cache(maxsize=1)
def _parquet(stamped: tuple[tuple[str, int, int], ...], cells: CellFormat, asked: _Asked) -> Streamed:
    texts = declared_categories(dict(asked.types))
    source = parquet_source([file for file, _, _ in stamped], texts)
    return _scanned(replace(source, cells=cells), asked)


def _scanned(source: Source, asked: _Asked) -> Streamed:
    """One scan over all rows; raises what `csv` and `parquet` raise of a table in memory."""
    features = None if asked.features is None else list(asked.features)
    types, text, all_columns = dict(asked.types), dict(asked.text), source.schema.names
    check_columns("texts", text, all_columns)
    roles = roles_of(all_columns, list(asked.target), features, list(asked.ignore), types, asked.aside)
    if source.has_cell_options:
        check_decoded(source.files, source.schema, roles.wanted)
    dropped = matching("drop_missing", list(asked.drop_missing), roles.wanted)
    scan = _Scan(
        source,
        [
            ColumnInspector(
                name, types.get(name), source.cells, has_cell_options=source.has_cell_options, counted=text.get(name)
            )
            for name in roles.wanted
        ],
    )
    scan.go(dropped)
    check_rows(source.files, scan.rows)

    def facts_of(inspector: ColumnInspector) -> Found:
        made = inspector.result(scan.rows, scan.where)
        check_column(roles, made, inspector.name)
        return made

    columns = gathered({each.name: partial(facts_of, each) for each in scan.inspectors})
    check_kept(scan.kept, scan.rows)
    for name in roles.targets:
        at = scan.where(scan.first_lost[name]) if name in scan.first_lost and not dropped else ""
        check_target(name, columns[name].type, columns[name].categories, (scan.lost[name], scan.kept), at)
    return Streamed(source, roles, columns, scan.lost, tuple(dropped), scan.kept)


class _Scan:
    """Counts of one scan over all rows: `lost` and `kept` are of the rows that are not left out."""

    def __init__(self, source: Source, inspectors: Sequence[ColumnInspector]) -> None:
        self.inspectors = inspectors
        self.rows = self.kept = 0
        self.lost = {inspector.name: 0 for inspector in inspectors}
        self.first_lost: dict[str, int] = {}
        self._source = source
        self._of_file = [0] * len(source.files)

    def where(self, row: int) -> str:
        """A row as a person counts."""
        return place_of_row(row, self._source.files, list(accumulate(self._of_file)))

    def go(self, dropped: Sequence[str]) -> None:
        """Scans all rows; leaves out those in which a column of `dropped` is missing."""
        import numpy as np

        begun = -1
        for number, table in self._source.blocks([inspector.name for inspector in self.inspectors]):
            for inspector in self.inspectors if number > begun else ():
                inspector.begin_file()
            begun = number
            lost = {
                inspector.name: inspector.add(table.column(inspector.name), self.rows) for inspector in self.inspectors
            }
            out = np.zeros(len(table), dtype=bool)
            for name in dropped:
                out |= lost[name]
            for name, missing in lost.items():
                if missing.any():
                    self.first_lost.setdefault(name, self.rows + int(missing.argmax()))
                    self.lost[name] += int((missing & ~out).sum())
            self.rows += len(table)
            self.kept += int((~out).sum())
            self._of_file[number] += len(table)
