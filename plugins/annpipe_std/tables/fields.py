"""The columns that `csv`, `parquet` and `json_lines` make, read from the files without torch."""

from __future__ import annotations

from typing import Any

from annpipe import Fields
from annpipe_std.tables.choosing import csv_table, json_table, parquet_table
from annpipe_std.tables.streaming import csv_streamed, parquet_streamed
from annpipe_std.tables.table_options import CsvOptions, TableOptions


def csv_fields(*, in_memory: bool = True, **options: Any) -> Fields:
    """The columns that `csv` would make; reads the files."""
    csv = CsvOptions(**options)
    return csv_table(csv).fields if in_memory else csv_streamed(csv).fields


def parquet_fields(*, in_memory: bool = True, **options: Any) -> Fields:
    """The columns that `parquet` would make; reads the files."""
    parquet = TableOptions(**options)
    return parquet_table(parquet).fields if in_memory else parquet_streamed(parquet).fields


def json_fields(**options: Any) -> Fields:
    """The columns that `json_lines` would make; reads the files."""
    return json_table(TableOptions(**options)).fields
