"""The rows of a CSV, Parquet, JSON lines or NumPy file, or of standard input, in blocks. Needs no torch."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from annpipe.errors import DataError, NotFound
from annpipe.errors.suggest import nearest
from annpipe.files.archive import Archive, ArchiveError
from annpipe.files.encodings import UTF8, in_utf8, is_utf8, undecodable
from annpipe.files.named import NamedFault, opened
from annpipe.files.rows_files import check_there, format_of, unpacked
from annpipe.portable.cell_text import CellFormat
from annpipe.saved.cells import STDIN, FileColumn, converted, shown

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Block = list[np.ndarray[Any, Any]]

ROWS_AT_ONCE = 65_536
BYTES_AT_ONCE = 8 << 20  # of a CSV file


@dataclass(frozen=True)
class TableFormat:
    """How CSV is written, where the run's own data said so; `names` for files without a row of names.

    `skip_rows` are lines at the beginning that are passed over.
    """

    delimiter: str = ","
    form: CellFormat = field(default_factory=CellFormat)
    names: tuple[str, ...] | None = None
    encoding: str = UTF8
    skip_rows: int = 0

    @classmethod
    def of(cls, reading: Mapping[str, Any]) -> TableFormat:
        """What model.json says under `reading`."""
        names = reading.get("names")
        form = CellFormat.of(reading)
        encoding = reading.get("encoding", cls.encoding)
        skip_rows = int(reading.get("skip_rows", cls.skip_rows))
        return cls(reading.get("delimiter", cls.delimiter), form, tuple(names) if names else None, encoding, skip_rows)


def read_blocks(source: str, wanted: Sequence[FileColumn], reading: TableFormat) -> Iterator[Block]:
    """The wanted columns of a file in their order, block by block: doubles with NaN, words with None, or arrays.

    Raises NotFound where there is no such file, DataError where its rows are not what is wanted.
    """
    start = 0
    for table in _tables(source, wanted, reading):
        block = [converted(column, table[column.name], source, start, reading.form) for column in wanted]
        rows = len(block[0])
        if rows:
            yield block
        start += rows
    if not start:
        raise DataError(*_no_rows(source))


def _no_rows(source: str) -> tuple[str, str]:
    return f"{shown(source)} has no rows", "it needs rows of values below the names"


def _tables(source: str, wanted: Sequence[FileColumn], reading: TableFormat) -> Iterator[Mapping[str, Any]]:
    if source == STDIN:
        yield from _csv(_text(sys.stdin.buffer, reading.encoding), source, wanted, reading)
        return
    path = Path(source)
    check_there(path, source)
    format_ = format_of(path)
    if format_ is None:
        raise NotFound(f"'{source}': rows are read from .csv, .parquet, .jsonl and .npz files, or from - as CSV")
    if format_ == "csv":
        with _faults(source, reading.encoding), _opened(source) as file, unpacked(file, source) as stream:
            text = replace(reading, delimiter="\t") if ".tsv" in path.suffixes else reading
            yield from _csv(_text(io.BufferedReader(stream, BYTES_AT_ONCE), text.encoding), source, wanted, text)
    else:
        yield from {"parquet": _parquet, "json_lines": _json_lines, "npz": _npz}[format_](source, wanted)


def _opened(source: str) -> BinaryIO:
    try:
        return opened(source)
    except NamedFault as fault:
        raise DataError(fault.message, fault.help) from fault


def _text(stream: Any, encoding: str) -> Any:
    """The stream in UTF-8."""
    import pyarrow as pa

    if is_utf8(encoding):
        return stream
    return io.BufferedReader(in_utf8(pa.PythonFile(stream, mode="r"), encoding), BYTES_AT_ONCE)


def _csv(stream: BinaryIO, source: str, wanted: Sequence[FileColumn], reading: TableFormat) -> Iterator[pa.RecordBatch]:
    """Every wanted cell as text: what it is to be is known, and need not be guessed from the first rows."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    with _faults(source, reading.encoding):
        for _ in range(reading.skip_rows):
            stream.readline()
        names = list(reading.names) if reading.names else _header(stream, source, reading.delimiter)
    _check_names(source, wanted, names)
    with _faults(source, reading.encoding):
        reader = arrow_csv.open_csv(
            pa.PythonFile(stream, mode="r"),
            arrow_csv.ReadOptions(column_names=names, block_size=BYTES_AT_ONCE, use_threads=False),
            arrow_csv.ParseOptions(delimiter=reading.delimiter, newlines_in_values=True),
            arrow_csv.ConvertOptions(
                include_columns=list(dict.fromkeys(column.name for column in wanted)),
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=False,
            ),
        )
        yield from reader


def _header(stream: BinaryIO, source: str, delimiter: str) -> list[str]:
    line = stream.readline()
    while line.count(b'"') % 2 and (more := stream.readline()):
        line += more
    if not line:
        raise DataError(f"{shown(source)} is empty", "it needs a row of names and rows of values")
    text = line.decode("utf-8-sig")
    return next(csv.reader([text.rstrip("\r\n")], delimiter=delimiter), [])


def _check_names(source: str, wanted: Sequence[FileColumn], names: Sequence[str]) -> None:
    lost = [column.name for column in wanted if column.name not in names]
    if lost:
        near = next(
            (f"did you mean '{names_in_file[0]}'?" for name in lost if (names_in_file := nearest(name, names, 1))), None
        )
        columns = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        which = f"the column '{lost[0]}'" if len(lost) == 1 else f"the columns {', '.join(lost[:12])}"
        raise DataError(f"{shown(source)} lacks {which}", near or f"it has {columns}")
    twice = next((column.name for column in wanted if names.count(column.name) > 1), None)
    if twice is not None:
        raise DataError(f"{shown(source)} has two columns '{twice}'", "rename one of them in the file")


def _parquet(source: str, wanted: Sequence[FileColumn]) -> Iterator[pa.RecordBatch]:
    from pyarrow import parquet

    with _faults(source), _opened(source) as stream, parquet.ParquetFile(stream) as file:
        _check_names(source, wanted, file.schema_arrow.names)
        yield from file.iter_batches(ROWS_AT_ONCE, columns=list(dict.fromkeys(column.name for column in wanted)))


def _json_lines(source: str, wanted: Sequence[FileColumn]) -> Iterator[pa.RecordBatch]:
    from pyarrow import json

    with _faults(source), _opened(source) as file, unpacked(file, source) as stream:
        table = json.read_json(stream, json.ReadOptions(block_size=BYTES_AT_ONCE))
        _check_names(source, wanted, table.column_names)
        yield from table.select(list(dict.fromkeys(column.name for column in wanted))).to_batches(ROWS_AT_ONCE)


def _npz(source: str, wanted: Sequence[FileColumn]) -> Iterator[Mapping[str, Any]]:
    with _opened(source) as file:
        try:
            archive = Archive(file)
            _check_names(source, wanted, archive.names)
            arrays = {column.name: archive.read(column.name) for column in wanted}
        except ArchiveError as fault:
            text = fault.message if fault.of_array else f"it {fault.message}"
            raise DataError(f"'{source}' cannot be read: {text}", "write it with `numpy.savez(file, x=…)`") from fault
    first = wanted[0].name
    for name, array in arrays.items():
        if array.ndim == 0 or len(array) != len(arrays[first]):
            rows = f"{len(array)} rows" if array.ndim else "no rows"
            message = f"'{source}': '{name}' has {rows}; '{first}' has {len(arrays[first])}"
            raise DataError(message, "every array needs a value for each row")
    for start in range(0, len(arrays[first]), ROWS_AT_ONCE):
        yield {name: array[start : start + ROWS_AT_ONCE] for name, array in arrays.items()}


def _not_text(source: str, encoding: str) -> DataError:
    """Where the bytes are no text of the encoding that the run's own data have; a stream cannot be read again."""

    def blocks() -> Iterator[bytes]:
        with _opened(source) as file, unpacked(file, source) as stream:
            while block := stream.read(BYTES_AT_ONCE):
                yield block

    where = None if source == STDIN else undecodable(blocks, encoding)
    called = "UTF-8" if is_utf8(encoding) else encoding
    message = where[0] if where else f"is not {called} text"
    remedy = f"save the file as {called}" + ("" if is_utf8(encoding) else ", as the run's own data are")
    return DataError(f"{shown(source)} {message}", remedy)


@contextmanager
def _faults(source: str, encoding: str = UTF8) -> Iterator[None]:
    """What Arrow says of a file it cannot read, as the fault of the file."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeError, MemoryError) as error:
        if "Empty CSV file" in str(error):  # Arrow gets what stands below the names
            raise DataError(*_no_rows(source)) from None
        if isinstance(error, UnicodeError) or "invalid UTF8" in str(error):
            raise _not_text(source, encoding) from None
        text = " ".join(str(error).split()).removeprefix("CSV parse error: ").replace("Row #", "row ")[:200]
        raise DataError(f"{shown(source)} cannot be read: {text}", "correct the row or leave it out") from error
