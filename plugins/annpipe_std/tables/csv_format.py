"""`CsvFormat`: how CSV files are written, and Arrow's options for reading them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from annpipe import UTF8, CellFormat


@dataclass(frozen=True)
class CsvFormat:
    """How CSV files are written: what stands between cells, names where files have none, and how cells are written.

    `skip_rows` are lines at the beginning that are passed over.
    """

    delimiter: str = ","
    names: tuple[str, ...] | None = None
    cells: CellFormat = field(default_factory=CellFormat)
    encoding: str = UTF8
    skip_rows: int = 0


def arrow_options(form: CsvFormat) -> tuple[Any, ...]:
    """Arrow's options for reading, parsing and converting."""
    from pyarrow import csv

    converting = csv.ConvertOptions(
        null_values=list(form.cells.missing),
        strings_can_be_null=True,
        decimal_point=form.cells.decimal,
        timestamp_parsers=[],
    )
    parsing = csv.ParseOptions(delimiter=form.delimiter, newlines_in_values=True)
    names = list(form.names) if form.names else None
    return csv.ReadOptions(column_names=names, skip_rows=form.skip_rows), parsing, converting
