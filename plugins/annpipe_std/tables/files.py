"""Files → a table of Arrow columns: globs, several files, and errors that name the file and the remedy."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annpipe import (
    UTF8,
    CellFormat,
    OptionError,
    check_bound,
    did_you_mean,
    named_files,
    open_file,
)
from annpipe_std.tables.csv_format import CsvFormat, arrow_options
from annpipe_std.tables.opening import readable, unpacked
from annpipe_std.tables.remedies import check_even, reading_remedy
from annpipe_std.tables.uniting import aligned, texts_among, texts_of, united

if TYPE_CHECKING:
    import pyarrow as pa

Paths = str | Path | list[str] | list[Path]

MISSING = CellFormat().missing
JSON_BYTES = 16 * 2**20  # of JSON lines that Arrow reads at a time, and the longest line
_HEX = re.compile(rb"0[xX][0-9a-fA-F]")
_HEADER = "name the columns with `names: [a, b, …]`"


@dataclass(frozen=True)
class Raw:
    """A table as read: `arrow` has every column; `files` and `cumulative_rows` show which rows came from which file.

    `has_cell_options` is whether the component has options for how its cells are written.
    """

    arrow: pa.Table
    files: tuple[str, ...]
    cumulative_rows: tuple[int, ...]
    has_cell_options: bool = False

    def where(self, row: int) -> str:
        """A row as a person counts: from 1, the header left out, within its file."""
        return place_of_row(row, self.files, self.cumulative_rows)


def place_of_row(row: int, files: Sequence[str], cumulative_rows: Sequence[int]) -> str:
    """A row of several files as a person counts, where `cumulative_rows` has the rows up to the end of each file."""
    position = next(number for number, end in enumerate(cumulative_rows) if row < end)
    start = cumulative_rows[position - 1] if position else 0
    of = f" of {os.path.basename(files[position])}" if len(files) > 1 else ""
    return f"row {row - start + 1}{of}"


def found_files(files: Paths) -> list[str]:
    """The files that a path, a glob or a list of them names, each once; raises OptionError where there are none."""
    texts = [str(path) for path in (files if isinstance(files, list) else [files])]
    if not texts:
        raise OptionError("files", "names no file", help="as in `files: table.csv`")
    unique: dict[str, None] = {}
    for text in texts:
        here = named_files(text, option="files")
        if not here:
            raise OptionError("files", f"no file matches '{text}'", help="paths are relative to the spec")
        for file in here:
            _check_file(file)
            unique[file] = None
        check_bound("files", len(unique), option="files")
    return list(unique)


def _check_file(file: str) -> None:
    if os.path.isdir(file):
        raise OptionError("files", f"'{file}' is a folder", help=f"name its files: '{file}/*.csv'")
    if not os.path.lexists(file):
        beside = os.path.dirname(file) or "."
        names = os.listdir(beside) if os.path.isdir(beside) else []
        near = did_you_mean(os.path.basename(file), names)
        raise OptionError("files", f"there is no file '{file}'", help=near or "paths are relative to the spec")
    with open_file(file, option="files") as opened:
        size = os.fstat(opened.fileno()).st_size
    if not size:
        raise OptionError("files", f"'{file}' is empty", help="it needs a row of names and rows of values")


def stamp(files: Sequence[str]) -> tuple[tuple[str, int, int], ...]:
    """What changes when a file does: each file's name, size and time."""
    stats = []
    for file in files:
        with open_file(file, option="files") as opened:
            stats.append((file, os.fstat(opened.fileno())))
    return tuple((file, stat.st_size, stat.st_mtime_ns) for file, stat in stats)


def read_csv(files: Sequence[str], form: CsvFormat, texts: frozenset[str]) -> Raw:
    """Every column of the files: numbers where Arrow finds nothing else in it, otherwise the text that stands there.

    The columns of `texts` are left as text.
    """
    tables = [_table(file, lambda file: _csv_table(file, form, texts), form.encoding) for file in files]
    check_alike(files, [table.column_names for table in tables])
    mixed = texts_among([table.schema for table in tables])
    for number, table in enumerate(tables):
        if lacking := mixed - texts_of(table.schema):
            with readable(files[number], form.encoding):
                tables[number] = _as_text(files[number], table, form, lacking)
    return _joined(files, tables, frozenset(), form.cells, has_cell_options=True)


def _csv_table(file: str, form: CsvFormat, texts: frozenset[str]) -> pa.Table:
    table = _read_csv(file, form, texts)
    check_csv_names(file, table.column_names, form)
    is_hex = has_hex(file, form.encoding)
    guessed = [name for name in table.column_names if is_guess(table.column(name), is_hex=is_hex)]
    return _as_text(file, table, form, guessed) if guessed else table


def _as_text(file: str, table: pa.Table, form: CsvFormat, names: Collection[str]) -> pa.Table:
    """The table with the named columns read again, as text."""
    again = _read_csv(file, form, frozenset(names), only=sorted(names))
    for name in names:
        table = table.set_column(table.column_names.index(name), name, again.column(name))
    return table


def _read_csv(file: str, form: CsvFormat, texts: frozenset[str], only: Sequence[str] | None = None) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    reading, parsing, converting = arrow_options(form)
    converting.column_types = dict.fromkeys(texts, pa.string())
    converting.include_columns = list(only or ())

    def once() -> pa.Table:
        with unpacked(file, form.encoding) as stream:
            return csv.read_csv(stream, read_options=reading, parse_options=parsing, convert_options=converting)

    try:
        table = once()
    except pa.ArrowInvalid:
        check_even(file, form)
        reading.use_threads = False  # then Arrow tells the line of the fault
        table = once()
    check_bound("values", table.num_rows * table.num_columns, option="files")
    return table


SURE = ("null", "int64", "double", "string", "binary")  # what Arrow finds in a CSV file and does not write otherwise


def has_hex(file: str, encoding: str) -> bool:
    """Whether a CSV file has words such as 0x1F, which Arrow takes for whole numbers where a column has no others."""
    with readable(file, encoding), unpacked(file, encoding) as stream:
        before = b""
        while block := stream.read(2**20):
            if _HEX.search(before + block):
                return True
            before = block[-2:]
    return False


def is_guess(cells: pa.ChunkedArray | pa.Array, *, is_hex: bool) -> bool:
    """Whether Arrow took cells of text for what they need not be: dates, times, booleans, and the word nan.

    Whole numbers too, where the file `is_hex`: the text of the cells tells which of them are.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(cells.type):
        return is_hex
    if pa.types.is_float64(cells.type):
        return bool(pc.any(pc.is_nan(cells)).as_py())
    return str(cells.type) not in SURE


def check_csv_names(file: str, header: Sequence[str], form: CsvFormat) -> None:
    """Whether the first row has names, more than one, and each once; raises OptionError with the options that help."""
    if not form.names and all(_is_number(name) for name in header):
        raise OptionError("files", f"the first row of '{file}' has numbers, not names", help=_HEADER)
    if not form.names and len(header) == 1 and any(sign in header[0] for sign in ",;\t|" if sign != form.delimiter):
        message = f"'{file}' has one column, '{header[0]}'"
        raise OptionError("delimiter", message, help=reading_remedy(file, form) or "say what stands between cells")
    if len(set(header)) < len(header) and not form.names and (help_ := reading_remedy(file, form)):
        check_once(file, header, help_)
    check_once(file, header)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_parquet(files: Sequence[str], texts: frozenset[str]) -> Raw:
    """Every column of the files, in the types they were written with; those of `texts` as the text of each cell."""

    def read(file: str) -> pa.Table:
        with open_parquet(file) as opened:
            return opened.read()

    tables = [_table(file, read) for file in files]
    check_alike(files, [table.column_names for table in tables])
    return _joined(files, tables, texts, CellFormat(), has_cell_options=False)


def read_json_lines(files: Sequence[str], texts: frozenset[str]) -> Raw:
    """Every column of the files, in the types that their values have; those of `texts` as the text of each cell."""
    from pyarrow import json

    def read(file: str) -> pa.Table:
        with unpacked(file) as stream:
            table = json.read_json(stream, json.ReadOptions(block_size=JSON_BYTES))
        check_bound("values", table.num_rows * table.num_columns, option="files")
        return table

    tables = [_table(file, read, UTF8) for file in files]
    check_alike(files, [table.column_names for table in tables])
    return _joined(files, tables, texts, CellFormat(), has_cell_options=False)


@contextmanager
def open_parquet(file: str, **how: Any) -> Iterator[Any]:
    """A Parquet file, open; `how` are options of Arrow's."""
    from pyarrow import parquet

    with open_file(file, option="files") as stream, parquet.ParquetFile(stream, **how) as opened:
        metadata = opened.metadata
        check_bound("values", metadata.num_rows * metadata.num_columns, option="files")
        groups = range(metadata.num_row_groups)
        check_bound("unpacked", sum(metadata.row_group(group).total_byte_size for group in groups), option="files")
        yield opened


def _joined(
    files: Sequence[str], tables: Sequence[pa.Table], texts: frozenset[str], form: CellFormat, *, has_cell_options: bool
) -> Raw:
    import pyarrow as pa

    cumulative_rows, total = [], 0
    for table in tables:
        total += table.num_rows
        cumulative_rows.append(total)
    check_rows(files, total)
    schema = united([table.schema for table in tables], texts)
    whole = pa.concat_tables([aligned(table, schema, form) for table in tables])
    return Raw(whole, tuple(files), tuple(cumulative_rows), has_cell_options)


def check_alike(files: Sequence[str], columns: Sequence[Sequence[str]]) -> None:
    """Whether every file has the same columns, in any order."""
    for file, names in zip(files, columns, strict=True):
        if sorted(names) != sorted(columns[0]):
            other = sorted(set(columns[0]) ^ set(names))
            message = f"'{files[0]}' and '{file}' differ in the columns {', '.join(other)}"
            raise OptionError("files", message, help="every file needs the same columns")


def check_rows(files: Sequence[str], rows: int) -> None:
    """Whether the files have rows at all."""
    if not rows:
        raise OptionError("files", f"'{files[0]}' has no rows", help="it needs rows of values below the names")


def _table(file: str, read: Callable[[str], pa.Table], encoding: str | None = None) -> pa.Table:
    with readable(file, encoding):
        table = read(file)
    check_once(file, table.column_names)
    return table


def check_once(file: str, columns: Sequence[str], help_: str = "rename one of them in the file") -> None:
    """Whether no two columns have one name."""
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise OptionError("files", f"'{file}' has two columns '{twice}'", help=help_)
