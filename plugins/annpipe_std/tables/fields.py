"""The columns that `csv` and `parquet` make, read from the files without torch."""

from __future__ import annotations

from typing import Any

from annpipe import Fields
from annpipe_std.tables.choosing import csv_table, parquet_table
from annpipe_std.tables.streaming import csv_streamed, parquet_streamed


def csv_fields(*, in_memory: bool = True, **options: Any) -> Fields:
    """The columns that `csv` would make; reads the files."""
    return csv_table(**options).fields if in_memory else csv_streamed(**options).fields


def parquet_fields(*, in_memory: bool = True, **options: Any) -> Fields:
    """The columns that `parquet` would make; reads the files."""
    return parquet_table(**options).fields if in_memory else parquet_streamed(**options).fields
