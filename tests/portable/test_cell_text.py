"""One cell: its text, whether it is missing, the number it stands for, and the category that it names."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annpipe.datasets.cell_columns import cell_numbers, cell_texts
from annpipe.portable.cell_text import BLANKS, CellFormat, cell_text
from annpipe.portable.network import as_numbers, cells_of, positions

PLAIN = CellFormat()
ONE = [1, 1.0, np.int8(1), np.uint64(1), np.float32(1), Decimal("1.00"), pa.scalar(1), np.array(1)]
TEXTS: list[tuple[Any, str]] = [
    *((one, "1") for one in ONE),
    ("01", "01"),
    (" x\u00a0", "x"),
    (b"x", "x"),
    (2**64 - 1, "18446744073709551615"),
    (10**30, "1" + "0" * 30),
    (-0.0, "0"),
    (0.1, "0.1"),
    (np.float32(0.1), "0.1"),
    (Decimal("0.10"), "0.1"),
    (1e-7, "0.0000001"),
    (2.0**53, "9007199254740992.0"),
    (True, "true"),
    (np.False_, "false"),
    (datetime.date(2020, 1, 31), "2020-01-31"),
    (datetime.datetime(2020, 1, 31), "2020-01-31"),
    (datetime.datetime(2020, 1, 31, 8, 30, 0, 500), "2020-01-31 08:30:00.0005"),
    (
        datetime.datetime(2020, 1, 31, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        "2020-01-30 23:00:00+00:00",
    ),
    (pd.Timestamp("2020-01-31 08:30:00.000000007"), "2020-01-31 08:30:00.000000007"),
    (np.datetime64("2020-01-31T08:30"), "2020-01-31 08:30:00"),
    (np.datetime64("2020"), "2020-01-01"),
    (np.datetime64("2020-02"), "2020-02-01"),
    (datetime.time(8, 30), "08:30:00"),
    (datetime.timedelta(minutes=1.5), "90 s"),
    (pd.Timedelta("1ns"), "0.000000001 s"),
]


@pytest.mark.parametrize(("value", "text"), TEXTS, ids=lambda value: f"{type(value).__name__} {value}")
def test_a_value_has_one_text(value: Any, text: str) -> None:
    assert cell_text(value) == text


MISSING: list[Any] = [
    None,
    float("nan"),
    np.nan,
    np.float32("nan"),
    np.float16("nan"),
    Decimal("NaN"),
    Decimal("sNaN"),
    pd.NA,
    pd.NaT,
    np.datetime64("NaT"),
    np.timedelta64("NaT"),
    np.ma.masked,
    pa.NA,
    pa.scalar(None, pa.int64()),
    np.array(np.nan),
]


@pytest.mark.parametrize("value", MISSING, ids=lambda value: f"{type(value).__name__} {value}")
def test_missing_is_missing_in_every_form(value: Any) -> None:
    """Beside words, among numbers, among booleans."""
    assert cell_text(value) is None
    column = np.empty(2, dtype=object)
    column[:] = ["nan", value]
    column[0], kept = "b", CellFormat()
    assert positions(column, ["a", "b", "nan"], "x", kept, is_boolean=False).tolist()[0] == 1
    assert math.isnan(positions(column, ["a", "b", "nan"], "x", kept, is_boolean=False).tolist()[1])
    column[0] = 2
    assert math.isnan(as_numbers(column, "x", kept)[1])
    column[0] = "YES"
    found = positions(column, ["no", "yes"], "x", kept, is_boolean=True)
    assert found[0] == 1
    assert math.isnan(found[1])


COLUMNS: list[Any] = [
    pd.Series(["a", np.nan], dtype=object),
    pd.Series(["a", None], dtype="string"),
    pd.Series(["a", None], dtype="category"),
    pd.Series(["a", None], dtype="string[pyarrow]"),
    np.ma.MaskedArray(["a", "b"], mask=[False, True]),
    pd.array(["a", None]),
    pa.array(["a", None]),
    ["a", None],
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: type(column).__name__)
def test_every_kind_of_column_lacks_its_second_cell(column: Any) -> None:
    found = positions(column, ["a", "b"], "x", PLAIN, is_boolean=False)
    assert found[0] == 0
    assert math.isnan(found[1])


NUMBERS: list[Any] = [
    pd.Series([3, None], dtype="Int64"),
    pd.Series([3, None], dtype="Float64"),
    pd.Series([3, None], dtype="int64[pyarrow]"),
    pd.Series([3, None], dtype="category"),
    pd.Series([3, None], dtype=object),
    pd.Series(["3", None], dtype="string"),
    pd.Series([Decimal(3), None]),
    np.ma.MaskedArray([3, 4], mask=[False, True]),
    pa.array([3, None]),
]


@pytest.mark.parametrize(
    "column", NUMBERS, ids=lambda column: f"{type(column).__name__} {getattr(column, 'dtype', '')}"
)
def test_every_kind_of_column_holds_numbers(column: Any) -> None:
    assert as_numbers(column, "x", PLAIN)[0] == 3
    assert math.isnan(as_numbers(column, "x", PLAIN)[1])


def test_long_whole_numbers_beside_missing_ones_stay_whole() -> None:
    """Where pandas would make floats of them."""
    for column in (pd.Series([2**60 + 1, None], dtype="category"), pd.Series([2**60 + 1, None], dtype="Int64")):
        assert next(iter(cells_of(column))) == 2**60 + 1


REFUSED = [
    (["1", "01"], 1, "1 in the column 'x' may be '1' or '01': give this column as text"),
    (["1.10", "1.1"], 1.1, "1.1 in the column 'x' may be '1.10' or '1.1'"),
    (["1582218195625938945"], float(1582218195625938945), "has lost digits as a floating-point number"),
    (["31.01.2020"], pd.Timestamp("2020-01-31"), "holds times, but its categories are written as '31.01.2020'"),
    (["True", "true"], True, "may be 'True' or 'true'"),
]


@pytest.mark.parametrize(("words", "cell", "says"), REFUSED, ids=lambda value: str(value))
def test_a_value_that_may_be_two_categories_is_refused(words: list[str], cell: Any, says: str) -> None:
    with pytest.raises(ValueError, match=r"as text \(pandas: dtype=\{'x': str\}\)") as caught:
        positions([cell], words, "x", PLAIN, is_boolean=False)
    assert says in str(caught.value)


SENTINEL = CellFormat(missing=("-999", ""))


@pytest.mark.parametrize("cell", ["-999", " -999", -999, -999.0, np.int64(-999), np.float32(-999), Decimal(-999)])
def test_a_number_that_stands_for_a_missing_value_is_missing_as_a_number_too(cell: Any) -> None:
    """pandas makes -999.0 of it, and keeps no text."""
    assert np.isnan(as_numbers([cell], "x", SENTINEL)).all()
    assert np.isnan(positions([cell], ["1", "2"], "x", SENTINEL, is_boolean=False)).all()
    assert positions([cell], ["-999"], "x", CellFormat(), is_boolean=False).tolist() == [0]


@pytest.mark.parametrize("dtype", ["float64", "int64", "Int64", "float32", object, "category"])
def test_a_column_of_pandas_with_such_numbers(dtype: Any) -> None:
    cells = pd.Series([1, -999, 2]).astype(dtype)
    assert as_numbers(cells, "x", SENTINEL).tolist() == pytest.approx([1, math.nan, 2], nan_ok=True)
    assert positions(cells, ["1", "2"], "x", SENTINEL, is_boolean=False).tolist() == pytest.approx(
        [0, math.nan, 1], nan_ok=True
    )


def test_a_boolean_is_no_number_for_a_missing_value() -> None:
    form = CellFormat(missing=("1", ""))
    assert as_numbers(pd.Series([True, False]), "x", form).tolist() == [1, 0]
    assert as_numbers([True, False], "x", form).tolist() == [1, 0]


HALF = float(np.float16(0.1))


@pytest.mark.parametrize(("cell", "place"), [(HALF, 0), (np.float16(0.1), 0), (2048.0, -1), (2.0**24, -1)])
def test_a_float_of_few_bits_names_its_category_and_no_whole_number_another(cell: Any, place: int) -> None:
    """0.1 in 16 bits is 0.0999755859375; 2049 and 16777217 are written as they are kept."""
    words = ["0.1", "2049", "16777217"]
    assert positions([cell], words, "x", PLAIN, is_boolean=False).tolist() == [place]


def test_nanoseconds_of_a_time_of_day_are_kept() -> None:
    """Python's own times have none: two cells would be one word."""
    cells = pa.array([1, 0, None, 10**9, 500_000_000], pa.time64("ns"))
    texts = ["00:00:00.000000001", "00:00:00", None, "00:00:01", "00:00:00.5"]
    assert cell_texts(cells, PLAIN).to_pylist() == texts


def test_a_cell_that_is_no_single_value_is_refused() -> None:
    for cell in ([1, 2], {"a": 1}, 1 + 2j):
        with pytest.raises(ValueError, match="a cell of the column 'x' is no single value"):
            positions([cell], ["1"], "x", PLAIN, is_boolean=False)
        with pytest.raises(ValueError, match="in the column 'x' is not a number"):
            as_numbers([cell], "x", PLAIN)


KNOWN: list[tuple[list[str], Any, float]] = [
    (["01", "02"], 2, 1),
    (["01", "02"], 2.0, 1),
    (["01", "02"], "2", -1),
    (["1", "2"], "02", -1),
    (["1", "2"], "2.0", -1),
    (["True", "False"], np.True_, 0),
    (["2020-01-31 00:00:00"], datetime.date(2020, 1, 31), 0),
    (["2020-01-31T08:30Z"], pd.Timestamp("2020-01-31 08:30", tz="UTC"), 0),
    (["08:30"], datetime.time(8, 30), 0),
    (["1e20"], 1e20, 0),
    (["a"], 5, -1),
    (["nan", "NA"], "NA", 1),
    (["nan", "NA"], "null", math.nan),
]


@pytest.mark.parametrize(("words", "cell", "place"), KNOWN, ids=lambda value: str(value))
def test_a_cell_names_a_category_by_its_text_or_its_value(words: list[str], cell: Any, place: float) -> None:
    assert positions([cell], words, "x", PLAIN, is_boolean=False).tolist() == pytest.approx([place], nan_ok=True)


FORMATS = [
    CellFormat(),
    CellFormat(decimal=","),
    CellFormat(thousands=","),
    CellFormat(decimal=",", thousands="."),
    CellFormat(thousands=" ", units=("%", "€", "kg")),
    CellFormat(thousands="_", units=("in",)),
    CellFormat(missing=("-",)),
]
LETTERS = st.text(st.sampled_from(list("0123456789" * 2 + "+-.,_eE %€kginf\u00a0")), max_size=9)
WRITTEN = st.sampled_from(
    ["nan", "NaN", "inf", "-Infinity", "1,234.5", "1.234,5", "-€5", "€-5", "5 kg", "1 234", "", "-"]
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FORMATS), st.lists(LETTERS | WRITTEN, min_size=1, max_size=8))
def test_columns_are_read_as_single_cells_are(form: CellFormat, texts: list[str]) -> None:
    """Arrow's way and Python's: the same numbers, the same cells that are none."""
    column = pa.array(texts, pa.string())
    numbers, wrong = cell_numbers(column, form)
    for text, number, is_wrong in zip(texts, numbers.tolist(), wrong.tolist(), strict=True):
        cell = cell_text(text) or ""
        single = form.number(cell)
        is_missing = cell in form.missing
        assert is_wrong == (single is None and not is_missing), text
        assert number == pytest.approx(math.nan if is_missing or single is None else single, rel=0, nan_ok=True), text


@given(st.text(st.sampled_from([*BLANKS, "a", "\u200b", "\ufeff"]), max_size=6))
def test_the_same_blanks_are_taken_away(text: str) -> None:
    assert cell_texts(pa.array([text]), CellFormat(missing=())).to_pylist() == [cell_text(text)]
