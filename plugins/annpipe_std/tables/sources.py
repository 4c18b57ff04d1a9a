"""Files → Arrow tables of some rows at a time, in the types that the whole files have.

Parquet files are read as they are. A CSV file is slow to read, and its types are known only at its end: it is converted
to an Arrow file once, which is kept under a name made of its content and the options of reading it.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annpipe import CellFormat, OptionError, cache_folder, is_utf8, move, open_file
from annpipe_std.tables.csv_format import CsvFormat, arrow_options
from annpipe_std.tables.files import (
    SURE,
    check_alike,
    check_csv_names,
    check_once,
    has_hex,
    is_guess,
    open_parquet,
    stamp,
)
from annpipe_std.tables.opening import readable, unpacked
from annpipe_std.tables.remedies import check_even
from annpipe_std.tables.uniting import aligned, texts_among, texts_of, united

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 65_536  # of a block, and
MOST_NUMBERS = 2**21  # so many numbers: 16 MiB
COPY = 3  # which way of copying made an Arrow file
TEXT_BYTES = 16 * 2**20  # of CSV text that Arrow reads at a time: a first guess at types, and the longest cell


@dataclass(frozen=True)
class Source:
    """The rows of files: `schema` has the columns of the first in the types of all; `digest` is that of the content.

    `cells` is how text in them is written; `has_cell_options` is whether the component has options for that.
    """

    files: tuple[str, ...]
    read_from: tuple[str, ...]
    schema: pa.Schema
    digest: str
    cells: CellFormat = field(default_factory=CellFormat)
    has_cell_options: bool = False

    def blocks(self, columns: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
        """The named columns, some rows at a time, each with the number of its file."""
        import pyarrow as pa

        schema = pa.schema([self.schema.field(name) for name in columns])
        for number, file in enumerate(self.read_from):
            with readable(self.files[number]):
                for batch in _batches(file, list(columns)):
                    yield number, aligned(pa.Table.from_batches([batch]), schema, self.cells)


def _batches(file: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    rows = min(MOST_ROWS, max(1024, MOST_NUMBERS // len(columns)))
    if file.endswith(".arrow"):
        with pa.OSFile(file) as opened, pa.ipc.open_file(opened) as arrow:
            for number in range(arrow.num_record_batches):
                batch = arrow.get_batch(number)
                yield from (batch.slice(start, rows).select(columns) for start in range(0, len(batch), rows))
        return
    with open_parquet(file, buffer_size=2**20, pre_buffer=False) as opened:
        yield from opened.iter_batches(rows, columns=columns)


def parquet_source(files: Sequence[str], texts: frozenset[str]) -> Source:
    """Parquet files as a source; the columns of `texts` are the texts of their cells."""
    schemas = []
    for file in files:
        with readable(file), open_parquet(file) as opened:
            schemas.append(opened.schema_arrow.remove_metadata())
    _check(files, schemas)
    return Source(tuple(files), tuple(files), united(schemas, texts), content_digest(stamp(files)))


def csv_source(files: Sequence[str], form: CsvFormat, texts: frozenset[str]) -> Source:
    """CSV files as a source; each is read once, into an Arrow file, where the columns of `texts` are left as text."""
    copies = [_copied(file, form, texts) for file in files]
    _check(files, [schema for _, schema in copies])
    mixed = texts_among([schema for _, schema in copies])
    for number, (file, (_, schema)) in enumerate(zip(files, copies, strict=True)):
        if mixed - texts_of(schema):
            copies[number] = _copied(file, form, texts | mixed)
    alike = united([schema for _, schema in copies])
    digest = _digest(content_digest(stamp(files)), _format_key(form))
    return Source(tuple(files), tuple(copy for copy, _ in copies), alike, digest, form.cells, has_cell_options=True)


def _copied(file: str, form: CsvFormat, texts: frozenset[str]) -> tuple[str, pa.Schema]:
    """The Arrow file of a CSV file, made where it is not there, and its columns."""
    import pyarrow as pa

    key = _digest(content_digest(stamp([file])), _format_key(form), *sorted(texts), str(COPY))
    copy = cache_folder() / "tables" / f"{key}.arrow"
    if not copy.is_file():
        _copy(file, copy, form, texts)
    with pa.OSFile(str(copy)) as opened, pa.ipc.open_file(opened) as arrow:
        return str(copy), arrow.schema


def _format_key(form: CsvFormat) -> str:
    """What decides how files are read; options at their default are left out, since older digests have none."""
    cells = form.cells
    more: list[object] = [cells.thousands, list(cells.units)] if cells.thousands or cells.units else []
    more += [] if is_utf8(form.encoding) else [form.encoding]
    more += [form.skip_rows] if form.skip_rows else []
    return repr((form.delimiter, cells.decimal, list(form.names or ()), list(cells.missing), *more))


def _check(files: Sequence[str], schemas: Sequence[pa.Schema]) -> None:
    for file, schema in zip(files, schemas, strict=True):
        check_once(file, schema.names)
    check_alike(files, [schema.names for schema in schemas])


# Checking a spec, planning and running it ask for the digest of the same files within a moment.
@lru_cache(maxsize=16)
def content_digest(stamped: tuple[tuple[str, int, int], ...]) -> str:
    """A digest over the content of files, whatever they are called."""
    digests = []
    for file, _, _ in stamped:
        with readable(file), open_file(file, option="files") as opened:
            digests.append(hashlib.file_digest(opened, "sha256").hexdigest())
    return _digest(*digests)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:32]


def _copy(file: str, copy: Path, form: CsvFormat, texts: frozenset[str]) -> None:
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
        with readable(file, form.encoding):
            _write_typed(file, name, form, texts)
        move(name, copy)
    except BaseException:
        os.unlink(name)
        raise


class _IsText(Exception):
    """Columns that must be read as text, although their first rows were taken for another type."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


def _write_typed(file: str, to: str, form: CsvFormat, texts: frozenset[str]) -> None:
    """Reads the file with the types of its first rows; at a cell that does not fit its column, with the next type."""
    import pyarrow as pa

    reading, parsing, converting = arrow_options(form)
    reading.block_size = TEXT_BYTES
    types: dict[str, str] = {}
    is_hex = has_hex(file, form.encoding)
    while True:
        kinds = types | dict.fromkeys(texts, "string")
        converting.column_types = {name: pa.type_for_alias(kind) for name, kind in kinds.items()}
        types_read: dict[str, str] = {}
        try:
            _write(file, to, form, (reading, parsing, converting), types_read, is_hex=is_hex)
        except _IsText as error:
            types = {**types_read, **dict.fromkeys(error.names, "string")}
        except pa.ArrowInvalid as error:
            column = re.match(r"In CSV column #(\d+):.*conversion error", str(error))
            read = types_read or types  # the first rows are converted before there is a reader to ask for its types
            if column is None or not read:
                check_even(file, form)
                if not reading.use_threads:
                    raise
                reading.use_threads = False  # then Arrow tells the line of the fault
                continue
            name = list(read)[int(column[1])]
            types = {**read, name: _next(read[name])}
        else:
            return


def _next(kind: str) -> str:
    return SURE[SURE.index(kind) + 1] if kind in SURE[:-1] else "string"


def _write(
    file: str, to: str, form: CsvFormat, options: tuple[Any, ...], types_read: dict[str, str], *, is_hex: bool
) -> None:
    """One attempt; `types_read` gets the type that each column is read in. Raises _IsText for some columns."""
    import pyarrow as pa
    from pyarrow import csv

    reading, parsing, converting = options
    with (
        unpacked(file, form.encoding) as stream,
        csv.open_csv(stream, read_options=reading, parse_options=parsing, convert_options=converting) as reader,
    ):
        names = reader.schema.names
        check_csv_names(file, names, form)
        types_read.update({field.name: str(field.type) for field in reader.schema})
        with pa.OSFile(to, "wb") as sink, pa.ipc.new_file(sink, reader.schema) as writer:
            for batch in reader:
                if guessed := [name for name in names if is_guess(batch.column(name), is_hex=is_hex)]:
                    raise _IsText(guessed)
                writer.write_batch(batch)
