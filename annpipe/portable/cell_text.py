"""The text of a cell: what a category is called, whether a cell is missing, and which number a text stands for.

This is the only reader of single cells. Training, `annpipe predict` and `evaluate` use it through `cell_columns`, and a
copy goes beside `answering.py` into every MLflow model: it needs NumPy and nothing else.

A cell of text is the category that it says, without the blanks around it. Every other value has one text: whole
numbers their digits, whatever type held them (`1`, `1.0`, a nullable `1`); other numbers the shortest decimal; `true`
and `false`; dates `2020-01-31`; moments `2020-01-31 08:30:00`, without the time at midnight, and with `+00:00` where
they know their zone.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Self

import numpy as np

# The words for a missing value that pandas knows too, so that both read the same of a file.
MISSING = (
    *("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"),
    *("n/a", "<NA>", "#N/A", "#N/A N/A", "#NA", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
BLANKS = "".join(
    map(chr, [*range(9, 14), 28, 29, 30, 31, 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029])
) + "\u202f\u205f\u3000"  # fmt: skip
EXACT = 2**53  # up to which a float64 tells every whole number from its neighbours
FALSE, TRUE = ("false", "no", "f", "0", "0.0"), ("true", "yes", "t", "1", "1.0")
SPACE = "[ \u00a0\u202f]"  # what may stand between a number and its unit


@dataclass(frozen=True)
class CellFormat:
    """How text is written: the decimal point, what stands between thousands, units beside numbers, missing words.

    `dates` has the formats of dates beside ISO 8601, which is always read.
    """

    decimal: str = "."
    thousands: str = ""
    units: tuple[str, ...] = ()
    missing: tuple[str, ...] = MISSING
    dates: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """The format from options of a data component, as model.json keeps them under `reading`."""
        return cls(
            decimal=options.get("decimal") or cls.decimal,
            thousands=options.get("thousands") or cls.thousands,
            units=tuple(options.get("units") or ()),
            missing=tuple(options.get("missing", cls.missing)),
            dates=tuple(options.get("dates") or ()),
        )

    @cached_property
    def missing_numbers(self) -> frozenset[float]:
        """The words for a missing value that are numbers, as -999: readers such as pandas keep no text of them."""
        return frozenset(number for word in self.missing if (number := self.number(word)) is not None)

    @cached_property
    def number_pattern(self) -> str:
        """What the whole text of a number without a unit fits, for Python's `re` and for RE2."""
        point, between = re.escape(self.decimal), self.between
        grouped = f"[0-9]{{1,3}}(?:{between}[0-9]{{2,3}})*{between}[0-9]{{3}}|" if between else ""
        digits = f"(?:(?:{grouped}[0-9]+)(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?"
        return f"[+-]?(?:{digits}|(?i:inf|infinity))"

    @property
    def between(self) -> str:
        """The pattern of what stands between thousands; a blank stands for the narrow and the fixed ones too."""
        return SPACE if self.thousands == " " else re.escape(self.thousands)

    @cached_property
    def unit_pattern(self) -> str:
        """What the whole text of a number with its unit fits, before it or after it; the groups are what to keep."""
        units = "|".join(map(re.escape, sorted(self.units, key=len, reverse=True)))
        number = self.number_pattern.removeprefix("[+-]?")
        before = f"([+-]?)(?:{units}){SPACE}*({number})|(?:{units}){SPACE}*([+-]{number})"
        return f"(?:{before}|([+-]?{number}){SPACE}*(?:{units}))"

    def number(self, text: str) -> float | None:
        """The number that a text without blanks around it stands for; None where it is none."""
        exact = self.exact_number(text)
        return None if exact is None else float(exact)

    def exact_number(self, text: str) -> str | None:
        """The same as digits with a decimal point, for whoever needs all of them."""
        if not re.fullmatch(self.number_pattern, text):
            match = re.fullmatch(self.unit_pattern, text) if self.units else None
            if not match:
                return None
            text = "".join(part or "" for part in match.groups())
        if self.thousands:
            text = re.sub(self.between, "", text)
        return text.replace(self.decimal, ".")


def trimmed(text: str) -> str:
    """The text without the blanks around it."""
    return text.strip(BLANKS)


def plain(value: Any) -> Any:
    """A value of NumPy's or pyarrow's as Python's own; None for a missing one, in every form that these have for it.

    Numbers of 16 and 32 bits and times stay NumPy's, since Python has none that says the same. Bytes are UTF-8 text.
    """
    if type(value).__module__.partition(".")[0] == "pyarrow":
        value = value.as_py()
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if value is None or value is np.ma.masked or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, np.datetime64 | np.timedelta64):
        return None if np.isnat(value) else value
    if isinstance(value, float | np.floating):
        return None if value != value else value
    if isinstance(value, Decimal):
        return None if value.is_nan() else value
    value = value.item() if isinstance(value, np.generic) else value
    return value.decode("utf-8") if isinstance(value, bytes) else value


def cell_text(value: Any) -> str | None:
    """The one text of a value, None for a missing one; a text itself without the blanks around it.

    Raises TypeError for what is no single value, as a list.

    >>> cell_text(1), cell_text(1.0), cell_text("01"), cell_text(0.5), cell_text(True), cell_text(float("nan"))
    ('1', '1', '01', '0.5', 'true', None)
    """
    value = plain(value)
    match value:
        case None:
            return None
        case str():
            return trimmed(value)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() | np.floating():
            return _float_text(value)
        case Decimal():
            return _decimal_text(value)
        case datetime.datetime():
            return _moment_text(value)
        case datetime.date():
            return value.isoformat()
        case datetime.time():
            return _clock_text(value.isoformat())
        case np.datetime64():
            return _numpy_moment_text(value)
        case datetime.timedelta() | np.timedelta64():
            return _span_text(value)
        case complex() | list() | tuple() | dict() | set() | np.ndarray():
            raise TypeError(f"{type(value).__name__} is no single value")
    return trimmed(str(value))


def _float_text(value: float | np.floating[Any]) -> str:
    number = float(value)
    if number.is_integer() and abs(number) < EXACT:
        return str(int(number))
    shortest = repr(number) if isinstance(value, float) else str(value)
    return _decimal_text(Decimal(shortest)) if 1e-16 < abs(number) < 1 else shortest


def _decimal_text(value: Decimal) -> str:
    if not value.is_finite() or not -400 < value.adjusted() < 400:
        return str(value)
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _moment_text(value: datetime.datetime) -> str:
    """pandas' own moments tell their nanoseconds in `isoformat` too."""
    zone = ""
    if value.tzinfo is not None:
        value, zone = value.astimezone(datetime.UTC), "+00:00"
    date, _, clock = value.isoformat(sep=" ").removesuffix("+00:00").partition(" ")
    return _joined(date, clock, zone)


def _numpy_moment_text(value: np.datetime64) -> str:
    date, _, clock = str(value).partition("T")
    return _joined(f"{date}-01-01"[:10] if len(date) < 10 and date[:1].isdigit() else date, clock, "")


def _joined(date: str, clock: str, zone: str) -> str:
    clock = _clock_text(clock) if clock else "00:00:00"
    return date if clock == "00:00:00" and not zone else f"{date} {clock}{zone}"


def _clock_text(clock: str) -> str:
    """`08:30` and `08:30:00.500000` as 08:30:00 and 08:30:00.5."""
    clock = clock if clock.count(":") > 1 else f"{clock}:00" if ":" in clock else f"{clock}:00:00"
    return clock.rstrip("0").rstrip(".") if "." in clock else clock


def _span_text(value: datetime.timedelta | np.timedelta64) -> str:
    if isinstance(value, np.timedelta64):
        nanoseconds = int(value.astype("timedelta64[ns]").astype(np.int64))
    else:
        whole = value // datetime.timedelta(microseconds=1)
        nanoseconds = int(whole) * 1000 + int(getattr(value, "nanoseconds", 0))
    return f"{_decimal_text(Decimal(nanoseconds) / 10**9)} s"


_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)\s*(Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)
_CLOCK = re.compile(r"\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?", re.ASCII)


def written_moment(word: str) -> str | None:
    """The one text of a date or time that is written as ISO 8601 has it; None for another word."""
    match = _MOMENT.fullmatch(word)
    if not match:
        return _clock_text(word) if _CLOCK.fullmatch(word) else None
    date, clock, zone = match.groups()
    if zone:
        try:
            return _moment_text(datetime.datetime.fromisoformat(f"{date}T{clock}{zone}"))
        except ValueError:
            return None
    return _joined(date, clock or "", "")
