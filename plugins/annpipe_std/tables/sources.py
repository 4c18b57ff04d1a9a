"""Files → Arrow tables of some rows at a time, in the types that the whole files have.

Parquet files are read as they are. Of a CSV file, whose text is slow to read and tells its types only at its end, an
Arrow file is made once and kept, under a name that its content and the options of reading it decide.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annpipe import OptionError
from annpipe_std.tables.files import check_alike, check_header, check_once, csv_options, readable, stamp, united

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 65_536  # of a block, and
MOST_NUMBERS = 2**21  # so many numbers: 16 MiB
TEXT_BYTES = 16 * 2**20  # of CSV text that Arrow reads at a time: a first guess at types, and the longest cell

# What Arrow takes a column of text for, one after the other, until every cell fits.
_TYPES = (
    *("null", "int64", "bool", "date32[day]", "time32[s]", "timestamp[s]", "timestamp[ns]", "double", "string"),
    "binary",
)


@dataclass(frozen=True)
class Source:
    """The rows of files: `schema` has the columns of the first in the types of all; `digest` is that of the content."""

    files: tuple[str, ...]
    read_from: tuple[str, ...]
    schema: pa.Schema
    digest: str

    def blocks(self, columns: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
        """The named columns, some rows at a time, each with the number of its file."""
        import pyarrow as pa

        schema = pa.schema([self.schema.field(name) for name in columns])
        for number, file in enumerate(self.read_from):
            with readable(self.files[number]):
                for batch in _batches(file, list(columns)):
                    yield number, pa.Table.from_batches([batch]).select(list(columns)).cast(schema)


def _batches(file: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import parquet

    rows = min(MOST_ROWS, max(1024, MOST_NUMBERS // len(columns)))
    if file.endswith(".arrow"):
        with pa.OSFile(file) as opened, pa.ipc.open_file(opened) as arrow:
            for number in range(arrow.num_record_batches):
                batch = arrow.get_batch(number)
                yield from (batch.slice(start, rows).select(columns) for start in range(0, len(batch), rows))
        return
    with parquet.ParquetFile(file, buffer_size=2**20, pre_buffer=False) as opened:
        yield from opened.iter_batches(rows, columns=columns)


def parquet_source(files: Sequence[str]) -> Source:
    """Parquet files as a source."""
    from pyarrow import parquet

    schemas = []
    for file in files:
        with readable(file):
            schemas.append(parquet.read_schema(file).remove_metadata())
    return _source(files, files, schemas, content_digest(stamp(files)))


def csv_source(
    files: Sequence[str], *, delimiter: str, decimal: str, names: Sequence[str] | None, missing: Sequence[str]
) -> Source:
    """CSV files as a source; each is read once, into an Arrow file."""
    import pyarrow as pa

    own = repr((delimiter, decimal, list(names or ()), list(missing)))
    copies = []
    for file in files:
        copy = _home() / f"{_digest(content_digest(stamp([file])), own)}.arrow"
        if not copy.is_file():
            _copy(file, copy, csv_options(delimiter, decimal, names, missing), is_named=bool(names))
        copies.append(str(copy))
    schemas = []
    for copy in map(Path, copies):
        with pa.OSFile(str(copy)) as opened, pa.ipc.open_file(opened) as arrow:
            schemas.append(arrow.schema)
    return _source(files, copies, schemas, _digest(content_digest(stamp(files)), own))


def _source(files: Sequence[str], read_from: Sequence[str], schemas: Sequence[pa.Schema], digest: str) -> Source:
    import pyarrow as pa

    for file, schema in zip(files, schemas, strict=True):
        check_once(file, schema.names)
    check_alike(files, [schema.names for schema in schemas])
    first = schemas[0].names
    alike = united([pa.schema([schema.field(name) for name in first]) for schema in schemas])
    return Source(tuple(files), tuple(read_from), alike, digest)


def _home() -> Path:
    """Where copies of CSV files are kept: they can be made again."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "annpipe" / "tables"


# Checking a spec, planning and running it ask for the digest of the same files within a moment.
@lru_cache(maxsize=16)
def content_digest(stamped: tuple[tuple[str, int, int], ...]) -> str:
    """A digest over the content of files, whatever they are called."""
    digests = []
    for file, _, _ in stamped:
        with readable(file), open(file, "rb") as opened:
            digests.append(hashlib.file_digest(opened, "sha256").hexdigest())
    return _digest(*digests)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:32]


def _copy(file: str, copy: Path, options: tuple[Any, ...], *, is_named: bool) -> None:
    """Writes the Arrow file of a CSV file; whole under its name, or not there at all."""
    try:
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # the rows are the owner's alone
        descriptor, name = tempfile.mkstemp(dir=copy.parent, prefix=".", suffix=".arrow")
    except OSError as error:
        message = f"'{file}' cannot be kept in {copy.parent}: {error.strerror}"
        help_ = "set XDG_CACHE_HOME to a folder with room, or `in_memory: true`"
        raise OptionError("files", message, help=help_) from error
    os.close(descriptor)
    try:
        with readable(file):
            _write_typed(file, name, options, is_named=is_named)
        os.replace(name, copy)
    except BaseException:
        os.unlink(name)
        raise


def _write_typed(file: str, to: str, options: tuple[Any, ...], *, is_named: bool) -> None:
    """Reads the file with the types of its first rows; at a cell that does not fit its column, with the next type.

    These are Arrow's own types, in the order in which it tries them for a file that it reads whole.
    """
    import pyarrow as pa

    reading, parsing, converting = options
    reading.block_size = TEXT_BYTES
    found: dict[str, str] = {}
    while True:
        converting.column_types = {name: pa.type_for_alias(kind) for name, kind in found.items()}
        seen: dict[str, str] = {}
        try:
            _write(file, to, (reading, parsing, converting), seen, is_named=is_named)
        except pa.ArrowInvalid as error:
            column = re.match(r"In CSV column #(\d+):.*conversion error", str(error))
            read = seen or found  # the first rows are converted before there is a reader to ask for its types
            if column is None or not read:
                if not reading.use_threads:
                    raise
                reading.use_threads = False  # then Arrow tells the line of the fault
                continue
            name = list(read)[int(column[1])]
            found = {**read, name: _next(read[name])}
        else:
            return


def _next(kind: str) -> str:
    return _TYPES[_TYPES.index(kind) + 1] if kind in _TYPES[:-1] else "string"


def _write(file: str, to: str, options: tuple[Any, ...], seen: dict[str, str], *, is_named: bool) -> None:
    """One attempt; `seen` gets the columns with the types that they are read in."""
    import pyarrow as pa
    from pyarrow import csv

    reading, parsing, converting = options
    with csv.open_csv(file, read_options=reading, parse_options=parsing, convert_options=converting) as reader:
        names = reader.schema.names
        if not is_named:
            check_header(file, names, parsing.delimiter)
        check_once(file, names)
        seen.update({field.name: str(field.type) for field in reader.schema})
        with pa.OSFile(to, "wb") as sink, pa.ipc.new_file(sink, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
