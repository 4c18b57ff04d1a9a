"""A file without a spec → what it seems to hold: columns, how it is written, the section `data` that reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annpipe.datasets.cell_columns import is_text
from annpipe.datasets.guess.columns import ColumnGuess, guessed_column
from annpipe.datasets.guess.dates import guessed_dates
from annpipe.datasets.guess.dialect import SAMPLE_ROWS, SAMPLE_TEXT, Dialect, guessed_dialect
from annpipe.errors import DataError
from annpipe.files.archive import Archive, ArchiveError
from annpipe.files.encodings import guessed_encoding, in_utf8
from annpipe.files.named import NamedFault, opened
from annpipe.files.rows_files import check_there, format_of, unpacked
from annpipe.portable.cell_text import CellFormat, trimmed

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 200_000  # that are looked at
BLOCK = 2**20
MOST_LINES = 5  # that are named


@dataclass(frozen=True)
class FileGuess:
    """What a file seems to be: `component` reads it with `options`; `is_whole` tells that all rows were looked at.

    `notes` are what else a person should know, faults of the file among them.
    """

    file: str
    component: str
    rows: int
    is_whole: bool
    columns: tuple[ColumnGuess, ...]
    reading: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def options(self) -> dict[str, Any]:
        """The options of the data component but for the target: how to read, types that must be said, what to leave."""
        if self.component == "npz":
            return {"file": self.file}
        types = {column.name: column.type for column in self.columns if column.type in ("date", "text")}
        left = [column.name for column in self.columns if column.doubt or column.type == "array"]
        options: dict[str, Any] = {"files": self.file, **self.reading}
        options |= {"types": types} if types else {}
        return options | ({"ignore": left} if left else {})

    @property
    def usable(self) -> tuple[ColumnGuess, ...]:
        """The columns that a model can learn from or predict."""
        return tuple(column for column in self.columns if not column.doubt)


def guessed_file(file: str) -> FileGuess:
    """What a file seems to hold; raises NotFound where there is none, DataError where it cannot be read."""
    check_there(Path(file), file)
    component = format_of(file) or "csv"
    with _faults(file):
        if component == "npz":
            return _npz(file)
        if component == "csv":
            return _csv(file)
        table, is_whole = (_parquet if component == "parquet" else _json_lines)(file)
        form = CellFormat(dates=_formats_of_dates(table))
        columns = tuple(guessed_column(name, table.column(name), form) for name in table.column_names)
        reading = {"dates": list(form.dates)} if form.dates else {}
        return FileGuess(file, component, len(table), is_whole, columns, reading)


def _formats_of_dates(table: pa.Table) -> tuple[str, ...]:
    """The formats of the columns of text that hold dates."""
    formats: dict[str, None] = {}
    for field in table.schema:
        if is_text(field.type):
            words = table.column(field.name).drop_null().slice(0, SAMPLE_ROWS).unique().to_pylist()
            formats |= dict.fromkeys(guessed_dates([trimmed(word) for word in words]) or ())
    return tuple(formats)


@contextmanager
def _faults(file: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except NamedFault as fault:
        raise DataError(fault.message, fault.help) from fault
    except ArchiveError as fault:
        text = fault.message if fault.of_array else f"it {fault.message}"
        raise DataError(f"'{file}' cannot be read: {text}", "write it with `numpy.savez(file, x=…)`") from fault
    except (pa.ArrowException, OSError, UnicodeError, MemoryError, EOFError) as error:
        text = " ".join(str(error).split())[:200]
        raise DataError(f"'{file}' cannot be read: {text}", "check that it is the right file") from error


def _csv(file: str) -> FileGuess:
    dialect, has_mark = _dialect(file)
    wrong: list[int] = []
    counts: list[int] = []
    table, is_whole = _cells_of_csv(file, dialect, wrong, counts)
    columns = tuple(guessed_column(name, table.column(name), dialect.cells) for name in table.column_names)
    notes = [*(["begins with a byte order mark, which is no part of a name"] if has_mark else []), *dialect.notes]
    if counts:
        lines = f", such as in line {', '.join(map(str, wrong[:MOST_LINES]))}" if wrong else ""
        first, more = counts[0], len(counts) > 1
        uneven = f"{len(counts)} rows have {first} or other numbers of" if more else f"1 row has {first}"
        notes.append(f"{uneven} cells, not {len(columns)}{lines}: correct {'them' if more else 'it'}")
    return FileGuess(file, "csv", len(table), is_whole, columns, dialect.options(), tuple(notes))


def _dialect(file: str) -> tuple[Dialect, bool]:
    """How the file is written, and whether it begins with a byte order mark."""

    def blocks() -> Iterator[bytes]:
        with opened(file) as stream, unpacked(stream, file) as plain:
            while block := plain.read(BLOCK):
                yield block

    encoding = guessed_encoding(blocks)
    if encoding is None:
        raise DataError(f"'{file}' is text of no known encoding", "save it as UTF-8")
    with opened(file) as stream, unpacked(stream, file) as plain:
        start = in_utf8(plain, encoding).read(SAMPLE_TEXT)
    text = bytes(start).decode("utf-8", "ignore")
    return guessed_dialect(text, encoding), text.startswith("\ufeff") and encoding == "utf-8"


def _cells_of_csv(file: str, dialect: Dialect, wrong: list[int], counts: list[int]) -> tuple[pa.Table, bool]:
    """The cells of the first rows as text, and whether these are all; rows of another length are listed."""
    import pyarrow as pa
    from pyarrow import csv

    def passed_over(row: Any) -> str:
        counts.append(row.actual_columns)
        if row.number is not None:
            wrong.append(row.number)
        return "skip"

    names = list(dialect.columns)
    with opened(file) as stream, unpacked(stream, file) as plain:
        reader = csv.open_csv(
            in_utf8(plain, dialect.encoding),
            csv.ReadOptions(
                column_names=names,
                skip_rows=dialect.skip_rows,
                skip_rows_after_names=int(dialect.names is None),  # the names, which may hold line breaks
                use_threads=False,
                block_size=8 * BLOCK,
            ),
            csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True, invalid_row_handler=passed_over),
            csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )
        return _first_rows(reader, reader.schema)


def _first_rows(batches: Any, schema: pa.Schema) -> tuple[pa.Table, bool]:
    import pyarrow as pa

    kept, rows = [], 0
    for batch in batches:
        kept.append(batch)
        rows += len(batch)
        if rows > MOST_ROWS:
            return pa.Table.from_batches(kept, schema).slice(0, MOST_ROWS), False
    return pa.Table.from_batches(kept, schema), True


def _parquet(file: str) -> tuple[pa.Table, bool]:
    from pyarrow import parquet

    with opened(file) as stream, parquet.ParquetFile(stream) as source:
        return _first_rows(source.iter_batches(), source.schema_arrow)


def _json_lines(file: str) -> tuple[pa.Table, bool]:
    from pyarrow import json

    with opened(file) as stream, unpacked(stream, file) as plain:
        table = json.read_json(plain, json.ReadOptions(block_size=8 * BLOCK))
        return table.slice(0, MOST_ROWS), len(table) <= MOST_ROWS


def _npz(file: str) -> FileGuess:
    import pyarrow as pa

    with opened(file) as stream:
        archive = Archive(stream)
        arrays = {name: archive.read(name) for name in archive.names}
    columns, rows = [], max((len(array) for array in arrays.values() if array.ndim), default=0)
    for name, array in arrays.items():
        if array.ndim != 1 or array.dtype.kind not in "biufMU":
            columns.append(_of_array(name, array))
        else:
            column = guessed_column(name, pa.chunked_array([pa.array(array)]), CellFormat())
            columns.append(replace(column, doubt=None if column.doubt == "row number" else column.doubt))
    uneven = [f"'{column.name}' has {column.rows:,} rows" for column in columns if column.rows != rows]
    notes = [f"the arrays differ in length: {', '.join(uneven)}, the longest {rows:,}"] if uneven else []
    return FileGuess(file, "npz", rows, True, tuple(columns), {}, tuple(notes))


def _of_array(name: str, array: Any) -> ColumnGuess:
    import numpy as np

    rows = len(array) if array.ndim else 0
    guess = ColumnGuess(name, "array", rows, shape=tuple(array.shape[1:]))
    if array.dtype.kind not in "biuf" or not array.size:
        return guess
    lost = int(np.isnan(array).reshape(rows, -1).any(1).sum()) if array.dtype.kind == "f" and rows else 0
    bounds = f"{np.nanmin(array):.6g}", f"{np.nanmax(array):.6g}"
    return replace(guess, missing=lost, least=bounds[0], greatest=bounds[1], whole=array.dtype.kind in "biu")


def section_of(guess: FileGuess, target: Sequence[str] = ()) -> dict[str, Any]:
    """The section `data` that reads the file, with transforms of its types; its target, where it is known."""
    targets = {"target": target[0] if len(target) == 1 else list(target)} if target else {}
    options = guess.options
    if guess.component == "npz":
        names = [column.name for column in guess.columns]
        inputs = [name for name in names if name not in target]
        return {"npz": {**options, "inputs": inputs, **({"targets": list(target)} if target else {})}}
    first = next(iter(options.items()))
    data: dict[str, Any] = {guess.component: {first[0]: first[1], **targets, **dict(list(options.items())[1:])}}
    steps = _transforms([column for column in guess.usable if column.name not in target])
    return data | ({"transforms": steps} if steps else {})


def _transforms(columns: Sequence[ColumnGuess]) -> dict[str, Any]:
    """Steps for each type that is there, with `impute` where values are missing."""
    lost = {column.type for column in columns if column.missing}
    types = {column.type for column in columns}
    steps: dict[str, Any] = {}
    if "date" in types:
        fill = [{"impute": "median"}] if "date" in lost else []
        steps["date"] = ["date_parts", *fill, "standardize"]
    if "number" in types:
        steps["number"] = [{"impute": "median"}, "standardize"] if "number" in lost else "standardize"
    if "category" in types:
        steps["category"] = "one_hot"
    if "boolean" in lost:
        steps["boolean"] = {"impute": "most_frequent"}
    return steps
