"""The data components `csv`, `parquet` and `json_lines`: columns of files, with their types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field

from annpipe import UTF8, ChunkedDataset, Dataset, data
from annpipe_std.tables.choosing import Table, csv_table, json_table, parquet_table
from annpipe_std.tables.fields import csv_fields, json_fields, parquet_fields
from annpipe_std.tables.files import MISSING
from annpipe_std.tables.streaming import Streamed, csv_streamed, parquet_streamed
from annpipe_std.tables.table_options import CsvOptions, TableOptions

if TYPE_CHECKING:
    from annpipe_std.tables.columns import Array

Files = Annotated[
    Path | list[Path],
    Field(description="A file, a glob (`data/*.csv`) or a list of them; relative to the spec."),
]
Target = Annotated[str | list[str], Field(description="What is predicted: columns by name or pattern.")]
Features = Annotated[
    str | list[str] | None,
    Field(description='What it is predicted from, by name or pattern ("age*"); all other columns if left out.'),
]
Ignore = Annotated[str | list[str] | None, Field(description="Columns to leave out, by name or pattern.")]
Types = Annotated[
    dict[str, Literal["number", "category", "boolean", "date", "text"]] | None,
    Field(description="What a column is, where it is not what it looks like: {year: category, day: date}."),
]
Text = Annotated[
    dict[str, dict[str, int | bool | str | list[int] | None]] | None,
    Field(
        description="How texts are counted, by column: {review: {analyzer: char_wb, ngram_range: [2, 4]}}, with the "
        "options of scikit-learn's HashingVectorizer."
    ),
]
DropMissing = Annotated[
    str | list[str] | None,
    Field(description='Columns by name or pattern ("*" for all) whose missing values drop the row.'),
]
Dates = Annotated[
    list[str],
    Field(description="How dates are written, as Python's strptime has it: %d.%m.%Y. ISO 8601 is read anyway."),
]
InMemory = Annotated[
    bool,
    Field(description="Whether all rows are held in memory; false streams them from files, however many there are."),
]


@data(fields=csv_fields)
def csv(
    *,
    files: Files,
    target: Target,
    features: Features = None,
    ignore: Ignore = None,
    types: Types = None,
    missing: Annotated[list[str], Field(description="Words that stand for a missing value.")] = list(MISSING),  # noqa: B006  # read only
    drop_missing: DropMissing = None,
    texts: Text = None,
    delimiter: Annotated[str, Field(description="What stands between two cells.")] = ",",
    decimal: Annotated[str, Field(description="The decimal point of its numbers.")] = ".",
    thousands: Annotated[
        str | None, Field(description="What stands between the thousands of its numbers, as the comma in 1,234.5.")
    ] = None,
    units: Annotated[
        list[str], Field(description="Units beside its numbers, which are left out: [€, kg]; 5 % is 5.")
    ] = [],  # noqa: B006  # read only
    names: Annotated[
        list[str] | None, Field(description="Names of the columns, for a file without a row of names.")
    ] = None,
    encoding: Annotated[
        str, Field(description="How the letters of the files are encoded: cp949, utf-16, latin-1, …")
    ] = UTF8,
    dates: Dates = [],  # noqa: B006  # read only
    skip_rows: Annotated[
        int, Field(ge=0, description="Lines to pass over at the beginning; 1 with `names` replaces the row of names.")
    ] = 0,
    in_memory: InMemory = True,
    aside: tuple[str, ...] = (),
) -> Dataset | ChunkedDataset:
    """Takes columns of CSV files with a row of names; finds whether they are numbers, categories or booleans.

    A column whose cells are numbers is a number, one of true and false (yes and no) a boolean; words are categories,
    in alphabetical order: each is the text of its cell without blanks around it, `01` another one than `1`. A column
    with a different word in most rows is text, and refused. A target of categories is class labels, and their names go
    with the model.

    **Shape:** every column is (rows,): float64, NaN where a feature is missing; class labels int64.
    """
    options = CsvOptions(
        files=files, target=target, features=features, ignore=ignore, types=types, drop_missing=drop_missing,
        aside=aside, missing=missing, delimiter=delimiter, decimal=decimal, thousands=thousands, units=units,
        names=names, encoding=encoding, dates=dates, skip_rows=skip_rows, texts=texts,
    )  # fmt: skip
    return dataset(csv_table(options)) if in_memory else chunked(csv_streamed(options))


@data(fields=parquet_fields)
def parquet(
    *,
    files: Files,
    target: Target,
    features: Features = None,
    ignore: Ignore = None,
    types: Types = None,
    drop_missing: DropMissing = None,
    texts: Text = None,
    dates: Dates = [],  # noqa: B006  # read only
    in_memory: InMemory = True,
    aside: tuple[str, ...] = (),
) -> Dataset | ChunkedDataset:
    """Takes columns of Parquet files; their types are those of the file, as `csv` would name them.

    A category of a column that is no text is its value in one text: `1` of 1 and 1.0, `0.5`, `true`, `2020-01-31`.

    **Shape:** every column is (rows,): float64, NaN where a feature is missing; class labels int64.
    """
    options = TableOptions(
        files=files, target=target, features=features, ignore=ignore, types=types, drop_missing=drop_missing,
        aside=aside, texts=texts, dates=dates,
    )  # fmt: skip
    return dataset(parquet_table(options)) if in_memory else chunked(parquet_streamed(options))


@data(fields=json_fields)
def json_lines(
    *,
    files: Files,
    target: Target,
    features: Features = None,
    ignore: Ignore = None,
    types: Types = None,
    drop_missing: DropMissing = None,
    texts: Text = None,
    dates: Dates = [],  # noqa: B006  # read only
    aside: tuple[str, ...] = (),
) -> Dataset:
    """Takes the values of JSON lines: files with an object on each line, whose names are the columns.

    Types are those of the values, as `csv` would name them; a name that an object lacks is a missing value.

    **Shape:** every column is (rows,): float64, NaN where a feature is missing; class labels int64.
    """
    options = TableOptions(
        files=files, target=target, features=features, ignore=ignore, types=types, drop_missing=drop_missing,
        aside=aside, texts=texts, dates=dates,
    )  # fmt: skip
    return dataset(json_table(options))


def dataset(table: Table) -> Dataset:
    """The table as tensors; categories of inputs stay float64, so that NaN can stand for a missing one."""
    columns = {**table.inputs, **table.targets, **table.aside}
    return Dataset(
        {name: torch.from_numpy(column.values) for name, column in table.inputs.items()},
        {name: _as_target(column.values, column.type) for name, column in table.targets.items()},
        categories={name: column.categories for name, column in columns.items() if column.categories},
        aside={name: torch.from_numpy(column.values) for name, column in table.aside.items()},
    )


def chunked(table: Streamed) -> ChunkedDataset:
    """The table in chunks of such tensors."""
    roles = table.roles
    categories = {name: column.categories for name, column in table.columns.items() if column.categories}

    def chunk(columns: dict[str, Array]) -> Dataset:
        return Dataset(
            {name: torch.from_numpy(columns[name]) for name in roles.inputs},
            {name: _as_target(columns[name], table.columns[name].type) for name in roles.targets},
            categories=categories,
            aside={name: torch.from_numpy(columns[name]) for name in roles.aside},
        )

    return ChunkedDataset(table.fields, table.digest, lambda: map(chunk, table.blocks()))


def _as_target(values: Array, type_: str) -> torch.Tensor:
    tensor = torch.from_numpy(values)
    return tensor.to(torch.int64) if type_ == "category" else tensor
