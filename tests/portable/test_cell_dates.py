"""Dates of cells against Python's own datetime: every way to write a moment gives the same days."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annpipe.datasets.cell_columns import cell_dates
from annpipe.portable.cell_dates import date_text, dates_of, days_of_text, days_of_value, fault_of_format
from annpipe.portable.cell_text import CellFormat

EPOCH = datetime.datetime(1970, 1, 1)
DAY = datetime.timedelta(days=1)
MOMENTS = st.datetimes(datetime.datetime(1000, 1, 1), datetime.datetime(2999, 12, 31)).map(lambda m: m.replace(fold=0))
FORMATS = ("%d.%m.%Y %H:%M:%S.%f", "%m/%d/%Y %I:%M:%S.%f %p", "%b %d, %Y %H:%M:%S.%f", "%d %B %Y, %H:%M:%S.%f")


@given(MOMENTS, st.sampled_from(FORMATS))
def test_every_way_to_write_a_moment_is_the_same(moment: datetime.datetime, format_: str) -> None:
    """ISO 8601, formats of strftime, Python's, NumPy's and pandas' values, and columns of Arrow."""
    days = days_of_value(moment)
    assert days == pytest.approx((moment - EPOCH) / DAY, abs=1e-10)
    form = CellFormat(dates=(format_,))
    cells = [moment.isoformat(), moment.isoformat(" "), moment.strftime(format_), moment, np.datetime64(moment)]
    assert set(dates_of(cells, "x", form)) == {days}
    assert cell_dates(pa.array([moment], pa.timestamp("us")), form)[0].tolist() == [days]
    assert cell_dates(pa.array([moment.strftime(format_)]), form)[0].tolist() == [days]
    back = days_of_text(date_text(days))
    assert back == pytest.approx(days, abs=1e-10)


@given(MOMENTS, st.integers(-12 * 60, 14 * 60))
def test_a_zone_is_led_back_to_utc(moment: datetime.datetime, minutes: int) -> None:
    there = moment.replace(tzinfo=datetime.timezone(datetime.timedelta(minutes=minutes)))
    assert days_of_text(there.isoformat()) == days_of_value(moment - datetime.timedelta(minutes=minutes))
    assert days_of_value(there) == days_of_text(there.isoformat())


def test_what_is_no_date_is_told_with_the_column() -> None:
    form = CellFormat()
    for text in ("2020-02-30", "2020-13-01", "x", "20", "2020-01-01 25:00", "31.12.2020"):
        assert days_of_text(text) is None
        with pytest.raises(ValueError, match=f"'{text}' in the column 'day' is not a date"):
            dates_of([text], "day", form)
    assert np.isnan(dates_of([None, "", "NA", pd.NaT], "day", form)).all()
    numbers, wrong = cell_dates(pa.array(["2020-01-01", "x", None]), form)
    assert wrong.tolist() == [False, True, False]
    assert np.isnan(numbers).tolist() == [False, True, True]


def test_a_whole_day_is_exact_in_32_bits() -> None:
    days = days_of_value(datetime.date(9999, 12, 31))
    assert days is not None
    assert float(np.float32(days)) == days


def test_formats_that_name_no_day_are_refused() -> None:
    assert fault_of_format("%d.%m.%Y %H:%M") is None
    assert fault_of_format("%s") is None
    assert fault_of_format("%H:%M") == "names no year (%Y)"
    assert "'%Q'" in str(fault_of_format("%Q"))
    assert fault_of_format("%d%d%m%Y") == "has a directive twice"
    assert days_of_text("86400", ["%s"]) == 1.0
