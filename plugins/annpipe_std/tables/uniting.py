"""Joins the tables of several files: one type for each column, and the text of its cells where types differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from annpipe import CellFormat, OptionError, cell_texts

if TYPE_CHECKING:
    import pyarrow as pa


def texts_of(schema: pa.Schema) -> frozenset[str]:
    """The columns that hold text."""
    return frozenset(field.name for field in schema if str(field.type) in ("string", "large_string", "binary"))


def texts_among(schemas: Sequence[pa.Schema]) -> frozenset[str]:
    """The columns that hold text in one of the files: in the others numbers are text too, as it is written."""
    return frozenset().union(*map(texts_of, schemas))


def united(schemas: Sequence[pa.Schema], texts: frozenset[str] = frozenset()) -> pa.Schema:
    """The types of files one after the other, in the order of the first.

    Numbers of several types are float64; other columns that differ, and those of `texts`, are the texts of their cells.
    """
    import pyarrow as pa

    return pa.schema(
        [(name, _common([s.field(name).type for s in schemas], name in texts)) for name in schemas[0].names]
    )


def _common(types: Sequence[pa.DataType], is_text: bool) -> pa.DataType:
    import pyarrow as pa

    plain = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in types]
    some = [kind for kind in plain if not pa.types.is_null(kind)]
    if some and is_text and not pa.types.is_nested(some[0]):
        return pa.large_string()
    if len(set(some)) <= 1:
        return some[0] if some else pa.null()
    is_number = pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal
    return pa.float64() if all(any(test(kind) for test in is_number) for kind in some) else pa.large_string()


def aligned(table: pa.Table, schema: pa.Schema, form: CellFormat) -> pa.Table:
    """The columns of the schema in its types; text is the text of each cell, whatever it was."""
    import pyarrow as pa

    columns = []
    for field_ in schema:
        cells = table.column(field_.name)
        if cells.type != field_.type:
            try:
                cells = cell_texts(cells, form) if pa.types.is_large_string(field_.type) else cells
                cells = cells.cast(field_.type, safe=False)
            except (TypeError, ValueError) as error:
                message = f"the column '{field_.name}' has the type {cells.type}, which cannot be written as text"
                raise OptionError("files", message, help="every file needs the same types") from error
        columns.append(cells)
    return pa.table(columns, schema=schema)
