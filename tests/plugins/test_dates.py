"""The transforms of dates against Python's own calendar."""

from __future__ import annotations

import datetime
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from annpipe.errors import OptionError
from annpipe.portable.cell_dates import days_of_value
from annpipe_std.transforms.dates import PERIODS, DateParts, DaysSince

PARTS = ["year", "quarter", "month", "week", "day", "weekday", "day_of_year", "hour", "minute", "second", "days"]
MOMENTS = st.datetimes(datetime.datetime(1000, 1, 1), datetime.datetime(2999, 12, 31))


def column(*moments: datetime.date) -> torch.Tensor:
    return torch.tensor([[days_of_value(moment)] for moment in moments], dtype=torch.float64)


@given(MOMENTS.map(lambda moment: moment.replace(microsecond=0)))
def test_parts_are_those_of_the_calendar(moment: datetime.datetime) -> None:
    parts = DateParts(PARTS, since="2000-03-01")(column(moment))[0].tolist()  # type: ignore[arg-type]  # words
    iso = moment.isocalendar()
    assert parts == [
        moment.year, (moment.month + 2) // 3, moment.month, iso.week, moment.day, moment.weekday(),
        moment.timetuple().tm_yday, moment.hour, moment.minute, moment.second,
        (moment.date() - datetime.date(2000, 3, 1)).days,
    ]  # fmt: skip


@given(st.dates(), st.dates())
def test_ages_are_exact_to_a_day_in_32_bits(date: datetime.date, since: datetime.date) -> None:
    """From the cell on, whatever computes: days fit into 24 bits."""
    narrow = column(date).float()
    assert DaysSince(since.isoformat())(narrow).tolist() == [[(date - since).days]]
    assert DaysSince(since.isoformat(), backwards=True)(narrow).tolist() == [[(since - date).days]]


def test_the_time_of_day_counts_where_days_are_not_whole() -> None:
    noon = column(datetime.datetime(2020, 1, 2, 12))
    assert DaysSince("2020-01-01", whole=False)(noon).item() == 1.5
    assert DaysSince("2020-01-01")(noon).item() == 1


def test_cyclic_parts_lie_on_a_circle() -> None:
    """December is as far from January as January from February; parts that do not come again stay numbers."""
    months = [datetime.date(2021, month, 1) for month in (12, 1, 2)]
    out = DateParts(["year", "month"], cyclic=True)(column(*months))
    assert out.shape == (3, 3)
    assert out[:, 0].tolist() == [2021] * 3
    distances = (out[1:, 1:] - out[:-1, 1:]).norm(dim=1)
    assert distances[0] == pytest.approx(distances[1])
    assert out[0, 1].item() == pytest.approx(math.sin(2 * math.pi * 11 / 12))
    assert all(length > 1 for _, length in PERIODS.values())


def test_a_missing_date_has_missing_parts() -> None:
    lost = torch.tensor([[math.nan]], dtype=torch.float64)
    assert DateParts(cyclic=True)(lost).isnan().all()
    assert DaysSince()(lost).isnan().all()


def test_a_date_that_is_none_is_refused() -> None:
    with pytest.raises(OptionError, match="'soon' is no date"):
        DateParts(since="soon")
    with pytest.raises(OptionError, match="names no part"):
        DateParts([])
