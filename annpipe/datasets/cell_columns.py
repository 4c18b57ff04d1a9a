"""Columns of Arrow → the texts of their cells and the numbers that texts stand for, as `cell_text` reads one cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from annpipe.portable.cell_dates import days_of_count, days_of_text
from annpipe.portable.cell_text import BLANKS, CellFormat, cell_text, written_moment

if TYPE_CHECKING:
    import pyarrow as pa

Array = np.ndarray[Any, Any]


def cell_texts(cells: pa.ChunkedArray | pa.Array, form: CellFormat) -> pa.ChunkedArray:
    """The text of each cell, null where it is missing or says one of the words for it.

    Raises TypeError for cells that are no single values.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = plain_cells(cells)
    kind = cells.type
    if is_text(kind):
        texts = pc.utf8_trim(cells, BLANKS)
        return pc.if_else(pc.is_in(texts, pa.array(form.missing, texts.type)), None, texts)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return pc.cast(cells, pa.string())
    if pa.types.is_nested(kind):
        raise TypeError(f"{kind} is no single value")
    try:
        distinct = pc.unique(cells)
        indices = pc.index_in(cells, value_set=distinct)
    except pa.ArrowNotImplementedError:  # a type that Arrow does not compare: cell by cell
        return pa.chunked_array([pa.array([cell_text(cell) for cell in values(cells)], pa.string())])
    texts = pc.take(pa.array([cell_text(cell) for cell in values(distinct)], pa.string()), indices)
    return cell_texts(texts, form) if _is_bytes(kind) else texts


def plain_cells(cells: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray:
    """The cells themselves where they stand in a dictionary or in runs; the texts of views as plain texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = cells if isinstance(cells, pa.ChunkedArray) else pa.chunked_array([cells])
    if pa.types.is_dictionary(cells.type):
        return plain_cells(cells.cast(cells.type.value_type))
    if pa.types.is_run_end_encoded(cells.type):
        return plain_cells(pc.run_end_decode(cells))
    return cells.cast(pa.large_string()) if pa.types.is_string_view(cells.type) else cells


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds texts."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether a column holds numbers."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    return any(
        (
            types.is_binary(kind),
            types.is_large_binary(kind),
            types.is_fixed_size_binary(kind),
            types.is_binary_view(kind),
        )
    )


def values(cells: pa.ChunkedArray | pa.Array) -> list[Any]:
    """The cells as Python has them; floats of 16 and 32 bits as NumPy's own, which knows how they are written."""
    import pyarrow as pa

    if cells.type == pa.time64("ns"):
        return _clocks(cells)
    narrow = pa.types.is_float16(cells.type) or pa.types.is_float32(cells.type)
    return list(_to_numpy(cells)) if narrow else list(cells.to_pylist())


def _clocks(cells: pa.ChunkedArray | pa.Array) -> list[Any]:
    """Times of day with nanoseconds; as their text where Python, which has none, would lose some."""
    import pyarrow as pa

    counts, texts = cells.cast(pa.int64()).to_pylist(), cells.cast(pa.string()).to_pylist()
    whole = cells.cast(pa.time64("us"), safe=False).to_pylist()
    rows = zip(counts, texts, whole, strict=True)
    return [written_moment(text) if count is not None and count % 1000 else time for count, text, time in rows]


def cell_numbers(cells: pa.ChunkedArray | pa.Array, form: CellFormat) -> tuple[Array, Array]:
    """The numbers of cells, (rows,) float64, NaN where there is none; and where a text is no number, (rows,) of bool.

    Booleans are 0 and 1. Raises TypeError for cells that are no single values.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = plain_cells(cells)
    if is_number(cells.type) or pa.types.is_boolean(cells.type) or pa.types.is_null(cells.type):
        cells = pc.cast(cells, pa.int8()) if pa.types.is_boolean(cells.type) else cells
        return _as_numpy(pc.cast(cells, pa.float64(), safe=False)), np.zeros(len(cells), dtype=bool)
    return _numbers_of_texts(cell_texts(cells, form), form)


def _numbers_of_texts(texts: pa.ChunkedArray, form: CellFormat) -> tuple[Array, Array]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if form.decimal == ".":
        try:
            numbers = _as_numpy(pc.cast(texts, pa.float64()))
        except pa.ArrowInvalid:
            pass
        else:
            if np.isnan(numbers).sum() == texts.null_count:  # "nan" is no number
                return numbers, np.zeros(len(texts), dtype=bool)
    fits = pc.match_substring_regex(texts, f"^(?:{form.number_pattern})$")
    if form.units:
        bare = pc.replace_substring_regex(texts, f"^{form.unit_pattern}$", r"\1\2\3\4")
        has_unit = pc.match_substring_regex(texts, f"^{form.unit_pattern}$")
        texts, fits = pc.if_else(fits, texts, bare), pc.or_(fits, has_unit)
    wrong = np.asarray(pc.fill_null(pc.invert(fits), False))
    texts = pc.if_else(fits, texts, pa.scalar(None, texts.type))
    if form.between:
        texts = pc.replace_substring_regex(texts, form.between, "")
    texts = pc.replace_substring(texts, form.decimal, ".")
    return _as_numpy(pc.cast(pc.replace_substring_regex(texts, r"^\+", ""), pa.float64())), wrong


def cell_dates(cells: pa.ChunkedArray | pa.Array, form: CellFormat) -> tuple[Array, Array]:
    """The days since 1970-01-01 of cells, (rows,) float64, NaN where there is none; and where a text is no date.

    Raises TypeError for cells that are neither dates nor texts.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = plain_cells(cells)
    kind = cells.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        moments = pc.cast(cells, pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
        lost = np.asarray(moments.is_null())
        counts = np.asarray(pc.fill_null(pc.cast(moments, pa.int64()), 0).to_numpy())
        return np.where(lost, np.nan, days_of_count(counts)), np.zeros(len(cells), dtype=bool)
    if not (is_text(kind) or _is_bytes(kind) or is_number(kind) or pa.types.is_null(kind)):
        raise TypeError(f"{kind} is no date")
    texts = cell_texts(cells, form)
    distinct = pc.unique(texts)
    words = distinct.to_pylist()
    days = np.array([np.nan if word is None else _days(word, form) for word in words], dtype=np.float64)
    places = np.asarray(pc.index_in(texts, value_set=distinct).to_numpy())
    lost = np.asarray(texts.is_null())
    return days[places], ~lost & np.isnan(days)[places]


def _days(word: str, form: CellFormat) -> float:
    days = days_of_text(word, form.dates)
    return np.nan if days is None else days


def _as_numpy(cells: pa.ChunkedArray | pa.Array) -> Array:
    return np.array(_to_numpy(cells), dtype=np.float64)


def _to_numpy(cells: pa.ChunkedArray | pa.Array) -> Array:
    import pyarrow as pa

    whole = cells if isinstance(cells, pa.ChunkedArray) else pa.chunked_array([cells])
    return np.asarray(whole.to_numpy())
