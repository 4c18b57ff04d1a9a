"""Transforms of dates, which come as days since 1970-01-01: parts of the calendar and the clock, and ages in days."""

from __future__ import annotations

import datetime
import math
from typing import Annotated, Literal

import torch
from pydantic import Field

from annpipe import OptionError, transform

Part = Literal["year", "quarter", "month", "week", "day", "weekday", "day_of_year", "hour", "minute", "second", "days"]
PERIODS = {
    "quarter": (1, 4),
    "month": (1, 12),
    "week": (1, 53),
    "day": (1, 31),
    "weekday": (0, 7),
    "day_of_year": (1, 366),
    "hour": (0, 24),
    "minute": (0, 60),
    "second": (0, 60),
}
"""Of each part that comes again, the least value and how many there are."""
TICKS = 86_400_000  # milliseconds of a day, to which moments are rounded
Since = Annotated[str, Field(description="The date that days are counted from; before it they are negative.")]


@transform(name="date_parts", takes="date")
class DateParts(torch.nn.Module):
    """Parts of dates as numbers: year, month, day, weekday (Monday is 0), hour and others, each a column.

    With `cyclic` a part that comes again becomes two columns, the sine and the cosine of its place in the circle, so
    that December is beside January. `days` is the whole number of days since the date `since`, which float32 holds
    exactly. Weeks are those of ISO 8601. A missing date gives missing parts.

    **Shape:** (rows, columns) -> (rows, parts of all columns).
    """

    learns_in_blocks = True

    def __init__(
        self,
        parts: Annotated[list[Part], Field(description="What becomes a column, in this order.")] = [  # noqa: B006  # read only
            "year",
            "month",
            "day",
            "weekday",
        ],
        cyclic: Annotated[bool, Field(description="Whether parts that come again become sine and cosine.")] = False,
        since: Since = "1970-01-01",
    ) -> None:
        super().__init__()
        if not parts:
            raise OptionError("parts", "names no part", help="as in `date_parts: {parts: [year, month]}`")
        self.parts, self.cyclic, self.origin = list(parts), cyclic, _origin(since)

    def fit(self, x: torch.Tensor) -> None:
        """Learns nothing."""

    def partial_fit(self, x: torch.Tensor) -> None:
        """Learns nothing."""

    def finish(self) -> None:
        """Learns nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([column for date in x.unbind(1) for column in self._columns(date)], 1)

    def _columns(self, date: torch.Tensor) -> list[torch.Tensor]:
        values = calendar(date, self.origin)
        columns = []
        for part in self.parts:
            value = torch.where(date.isnan(), torch.nan, values[part].to(date.dtype))
            if self.cyclic and part in PERIODS:
                least, length = PERIODS[part]
                angle = (value - least) * (2 * math.pi / length)
                columns += [angle.sin(), angle.cos()]
            else:
                columns.append(value)
        return [column[:, None] for column in columns]


@transform(name="days_since", takes="date", example={"date": "2020-01-01"})
class DaysSince(torch.nn.Module):
    """Days from a date to those of the column: an age, or a time that has passed; exact to a day in float32 too.

    **Shape:** (rows, columns) -> (rows, columns). A missing date stays missing.
    """

    learns_in_blocks = True

    def __init__(
        self,
        date: Since = "1970-01-01",
        whole: Annotated[bool, Field(description="Whether the time of day is left out.")] = True,
        backwards: Annotated[
            bool, Field(description="Whether to count from the column's date to this one: the age at it.")
        ] = False,
    ) -> None:
        super().__init__()
        self.origin, self.whole, self.sign = _origin(date, "date"), whole, -1 if backwards else 1

    def fit(self, x: torch.Tensor) -> None:
        """Learns nothing."""

    def partial_fit(self, x: torch.Tensor) -> None:
        """Learns nothing."""

    def finish(self) -> None:
        """Learns nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        days = x.floor() - math.floor(self.origin) if self.whole else x - self.origin
        return days * self.sign


def _origin(date: str, option: str = "since") -> float:
    try:
        moment = datetime.datetime.fromisoformat(date.strip())
    except ValueError as error:
        raise OptionError(option, f"'{date}' is no date", help=f"as in `{option}: 2020-01-31`") from error
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    return (moment - datetime.datetime(1970, 1, 1)) / datetime.timedelta(days=1)


def calendar(date: torch.Tensor, origin: float) -> dict[str, torch.Tensor]:
    """(rows,) days since 1970-01-01 -> each part of the calendar and the clock, (rows,) int64; NaN counts as 0."""
    ticks = (date.nan_to_num(nan=0.0).double() * TICKS).round().to(torch.int64)
    days, clock = ticks.div(TICKS, rounding_mode="floor"), ticks.remainder(TICKS)
    year, month, day = _civil(days)
    day_of_year = days - _days(year, torch.ones_like(year), torch.ones_like(year)) + 1
    weekday = (days + 3).remainder(7)  # 1970-01-01 was a Thursday
    return {
        "year": year,
        "month": month,
        "day": day,
        "weekday": weekday,
        "day_of_year": day_of_year,
        "quarter": (month + 2) // 3,
        "week": _iso_week(days, weekday),
        "days": days - math.floor(origin),
        "hour": clock // 3_600_000,
        "minute": clock // 60_000 % 60,
        "second": clock // 1000 % 60,
    }


def _civil(days: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Year, month and day of the Gregorian calendar; years begin with March inside, so that a leap day ends one."""
    days = days + 719_468  # from 0000-03-01
    era, of_era = days.div(146_097, rounding_mode="floor"), days.remainder(146_097)
    of_years = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * of_years + of_years // 4 - of_years // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month = torch.where(month < 10, month + 3, month - 9)
    return of_years + era * 400 + (month <= 2), month, day


def _days(year: torch.Tensor, month: torch.Tensor, day: torch.Tensor) -> torch.Tensor:
    """Days since 1970-01-01."""
    year = year - (month <= 2).long()
    era, of_era = year.div(400, rounding_mode="floor"), year.remainder(400)
    of_year = (153 * (month + torch.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _iso_week(days: torch.Tensor, weekday: torch.Tensor) -> torch.Tensor:
    """The week is that of its Thursday, counted in the Thursday's year."""
    thursday = days - weekday + 3
    year = _civil(thursday)[0]
    return (thursday - _days(year, torch.ones_like(year), torch.ones_like(year))) // 7 + 1
