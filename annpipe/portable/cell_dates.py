"""The moment that a cell names, as days since 1970-01-01: dates with or without a time of day. Needs NumPy alone.

A copy goes beside `answering.py` into every MLflow model. Days and not seconds are the unit: a whole day is exact in
float32 too, and float64 keeps less than a microsecond. A moment that knows its zone is that of UTC, any other is taken
as it is written. ISO 8601 is always read (`2020-01-31`, `2020-01-31T08:30:00Z`, `2020/01/31 08:30`); other ways to
write dates are formats of Python's `strptime`, as in `%d.%m.%Y`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .cell_text import CellFormat, plain, trimmed

DAY = 86_400_000_000  # microseconds
EPOCH = datetime.date(1970, 1, 1).toordinal()
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
FULL_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october"),
    *("november", "december"),
)
_ZONE = r"(?:Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})"
_DIRECTIVES = {
    "d": r"[0-9]{1,2}", "m": r"[0-9]{1,2}", "Y": r"[0-9]{4}", "y": r"[0-9]{2}", "b": r"[A-Za-z]{3,4}\.?",
    "B": r"[A-Za-z]{3,9}", "H": r"[0-9]{1,2}", "I": r"[0-9]{1,2}", "M": r"[0-9]{1,2}", "S": r"[0-9]{1,2}",
    "f": r"[0-9]{1,9}", "p": r"[AaPp]\.?[Mm]\.?", "z": _ZONE, "a": r"[A-Za-z]{2,4}\.?", "A": r"[A-Za-z]{6,9}",
    "s": r"-?[0-9]{1,12}(?:\.[0-9]+)?",
}  # fmt: skip
_ISO = re.compile(
    r"(?P<Y>[0-9]{4})([-/])(?P<m>[0-9]{1,2})\2(?P<d>[0-9]{1,2})"
    r"(?:[T ]+(?P<H>[0-9]{1,2}):(?P<M>[0-9]{2})(?::(?P<S>[0-9]{2})(?:[.,](?P<f>[0-9]{1,9}))?)?"
    rf" ?(?P<z>{_ZONE})?)?"
)


def fault_of_format(text: str) -> str | None:
    """What is wrong with a format of dates; None for one that names a day.

    >>> fault_of_format("%d.%m")
    'names no year (%Y)'
    """
    try:
        pattern = _pattern(text)
    except ValueError as error:
        return str(error)
    named = set(pattern.groupindex)
    if "s" in named:
        return None
    for what, directives in (("year (%Y)", "Yy"), ("month (%m)", "mbB"), ("day (%d)", "d")):
        if not named & set(directives):
            return f"names no {what}"
    return None


def days_of_text(text: str, formats: Sequence[str] = ()) -> float | None:
    """The days since 1970-01-01 that a text without blanks around it names; None where it is no date.

    >>> days_of_text("1970-01-02 12:00"), days_of_text("31.12.1969", ["%d.%m.%Y"]), days_of_text("1970-02-30")
    (1.5, -1.0, None)
    """
    for format_ in formats:
        match = _pattern(format_).fullmatch(text)
        if match and (days := _days(match.groupdict())) is not None:
            return days
    match = _ISO.fullmatch(text)
    return _days(match.groupdict()) if match else None


@lru_cache(maxsize=64)
def _pattern(format_: str) -> re.Pattern[str]:
    """The pattern of a format; raises ValueError for a directive that is not known, or stands there twice."""
    parts, rest = [], format_
    while rest:
        if rest[0] != "%":
            parts.append(r"\s+" if rest[0].isspace() else re.escape(rest[0]))
            rest = rest[1:]
            continue
        letter, rest = rest[1:2], rest[2:]
        if letter == "%":
            parts.append("%")
        elif letter not in _DIRECTIVES:
            raise ValueError(f"has '%{letter}', and the directives are %{' %'.join(_DIRECTIVES)}")
        else:
            parts.append(f"(?P<{letter}>{_DIRECTIVES[letter]})")
    try:
        return re.compile("".join(parts))
    except re.error:
        raise ValueError("has a directive twice") from None


def _days(parts: dict[str, str | None]) -> float | None:
    """The days of what a pattern found; None where there is no such day or time."""
    if parts.get("s"):
        return float(parts["s"] or 0) / 86_400
    try:
        day = datetime.date(_year(parts), _month(parts), int(parts["d"] or 0)).toordinal() - EPOCH
        hour, minute, second = _hour(parts), int(parts.get("M") or 0), int(parts.get("S") or 0)
        datetime.time(hour, minute, second)
    except (ValueError, OverflowError):
        return None
    micro = int((parts.get("f") or "0").ljust(6, "0")[:6])
    seconds = hour * 3600 + minute * 60 + second - _offset(parts.get("z"))
    return float(days_of_count(day * DAY + seconds * 1_000_000 + micro))


def days_of_count(micro: Any) -> Any:
    """Microseconds since 1970-01-01, a whole number or an array of them, as days; the same bits for both."""
    whole = micro // DAY
    return whole + (micro - whole * DAY) / DAY


def _year(parts: dict[str, str | None]) -> int:
    if parts.get("Y"):
        return int(parts["Y"] or 0)
    year = int(parts["y"] or 0)  # as POSIX has it: 69 to 99 are of the century before
    return year + (1900 if year > 68 else 2000)


def _month(parts: dict[str, str | None]) -> int:
    if parts.get("m"):
        return int(parts["m"] or 0)
    word = (parts.get("b") or parts.get("B") or "").rstrip(".").lower()
    return (FULL_MONTHS if word in FULL_MONTHS else MONTHS).index(word if word in FULL_MONTHS else word[:3]) + 1


def _hour(parts: dict[str, str | None]) -> int:
    if not parts.get("I"):
        return int(parts.get("H") or 0)
    hour = int(parts["I"] or 0)
    if not 1 <= hour <= 12:
        raise ValueError(hour)
    return hour % 12 + 12 * (parts.get("p") or "a").lower().startswith("p")


def _offset(zone: str | None) -> int:
    """Seconds that a zone is ahead of UTC."""
    if not zone or zone[0] not in "+-":
        return 0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if zone[0] == "-" else seconds


def days_of_value(value: Any) -> float | None:
    """The days of a date, a moment or NumPy's; None for what is none of these."""
    match value:
        case np.datetime64():
            return float(days_of_count(int(value.astype("datetime64[us]").astype(np.int64))))
        case datetime.datetime():
            if value.tzinfo is not None:
                value = value.astimezone(datetime.UTC).replace(tzinfo=None)
            since: datetime.timedelta = value - datetime.datetime(1970, 1, 1)
            return float(days_of_count(since // datetime.timedelta(microseconds=1)))
        case datetime.date():
            return float(value.toordinal() - EPOCH)
    return None


def dates_of(cells: Sequence[Any], name: str, form: CellFormat) -> np.ndarray[Any, Any]:
    """(rows,) cells -> (rows,) float64 days, NaN where missing; raises ValueError at the first that is no date."""
    if isinstance(cells, np.ndarray) and cells.dtype.kind == "M":
        counts = cells.astype("datetime64[us]").astype(np.int64)
        return np.where(np.isnat(cells), np.nan, days_of_count(counts))
    days = np.empty(len(cells), dtype=np.float64)
    known: dict[str, float] = {}
    for row, cell in enumerate(cells):
        value = plain(cell)
        if isinstance(value, str):
            text = trimmed(value)
            if text not in known:
                known[text] = _date(text, name, form)
            days[row] = known[text]
        else:
            days[row] = _date(value, name, form)
    return days


def _date(value: Any, name: str, form: CellFormat) -> float:
    if value is None or (isinstance(value, str) and value in form.missing):
        return float("nan")
    days = days_of_text(value, form.dates) if isinstance(value, str) else days_of_value(value)
    if days is None and isinstance(value, int | float) and any("%s" in format_ for format_ in form.dates):
        days = float(value) / 86_400
    if days is None:
        raise ValueError(f"'{value}' in the column '{name}' is not a date")
    return days


def date_text(days: float) -> str:
    """A moment as ISO 8601 writes it, without the time at midnight.

    >>> date_text(0.0), date_text(1.5)
    ('1970-01-01', '1970-01-02 12:00:00')
    """
    micro = round(days * DAY)
    try:
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=micro)
    except OverflowError:
        return f"{days:g} days since 1970"
    return moment.date().isoformat() if micro % DAY == 0 else moment.isoformat(" ")
