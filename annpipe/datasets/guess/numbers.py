"""Words that look like numbers → the decimal point, the thousands and the units that read them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from annpipe.portable.cell_text import CellFormat

MOSTLY = 0.9  # a column whose cells are numbers in so large a part is one of numbers, with faults
_SIGNS = "%‰°"
_MONEY = (
    *("EUR", "USD", "GBP", "CHF", "JPY", "CNY", "INR", "SEK", "NOK", "DKK", "PLN", "CZK", "CAD", "AUD", "BRL", "KRW"),
    *("kr", "zł", "Kč", "Ft", "R$", "US$", "Fr.", "원", "円", "元"),
)
_NAMES = (
    *_MONEY,
    *("kg", "mg", "g", "t", "lb", "lbs", "oz", "km", "cm", "mm", "m", "mi", "ft", "in", "l", "ml", "ms", "s", "min"),
    *("h", "kB", "MB", "GB", "TB", "kW", "kWh", "W", "V", "A", "Hz", "MHz", "GHz", "hPa", "Pa", "bar", "px", "pt"),
    *("°C", "°F", "K", "km/h", "m/s", "mph", "m2", "m²", "m³", "bpm", "pct", "percent"),
)
_BODY = re.compile(r"[+-]?[0-9.][0-9.,_'’ \u00a0\u202f]*(?:[eE][+-]?[0-9]+)?")
_LOOSE = re.compile(r"[^0-9]{0,8}[0-9][0-9.,_'’ \u00a0\u202f]*(?:[eE][+-]?[0-9]+)?[^0-9]{0,9}2?")


def number_format(words: Mapping[str, int], form: CellFormat, fraction: float) -> CellFormat | None:
    """The format that reads most of the words, which come with how often each is there.

    None where it reads fewer than the fraction of them, or no more than the format in use.
    """
    total = sum(words.values())
    if not total or sum(count for word, count in words.items() if _LOOSE.fullmatch(word)) < fraction * total:
        return None
    best, most = joint_format([words], form)
    return best if best is not None and most >= fraction * total else None


def joint_format(
    columns: Sequence[Mapping[str, int]], form: CellFormat, points: Sequence[str] = (".", ",")
) -> tuple[CellFormat | None, int]:
    """The one format that reads most words of several columns, and how many: None where that in use reads as many.

    `points` are the decimal points that are tried, the likelier first.
    """
    words: dict[str, int] = {}
    for column in columns:
        for word, count in column.items():
            words[word] = words.get(word, 0) + count
    units = (*form.units, *sorted({unit for word in words for unit in _units(word)} - set(form.units)))
    best, most = None, _read(words, form)
    for decimal, thousands in _separators(form, points):
        for some in dict.fromkeys((form.units, units)):
            tried = replace(form, decimal=decimal, thousands=thousands, units=some)
            if (read := _read(words, tried)) > most:
                best, most = tried, read
    if best is None:
        return None, most
    used = tuple(unit for unit in best.units if unit in form.units or most > _read(words, _without(best, unit)))
    return replace(best, units=used), most


def looks_like_numbers(words: Mapping[str, int]) -> bool:
    """Whether most words are digits with signs and at most a unit beside them."""
    return sum(count for word, count in words.items() if _LOOSE.fullmatch(word)) >= MOSTLY * sum(words.values())


def _read(words: Mapping[str, int], form: CellFormat) -> int:
    return sum(count for word, count in words.items() if form.number(word) is not None)


def _without(form: CellFormat, unit: str) -> CellFormat:
    return replace(form, units=tuple(other for other in form.units if other != unit))


def _separators(form: CellFormat, points: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Decimal points with what may stand between thousands; those in use come first."""
    for decimal in dict.fromkeys(points if points[0] == "," else (form.decimal, *points)):
        for thousands in dict.fromkeys((form.thousands, "", ",", ".", "_", "'", "’", " ")):
            if thousands != decimal:
                yield decimal, thousands


def _units(word: str) -> Iterator[str]:
    """What stands beside the number of a word, where it is a currency's sign, a percentage or a known unit."""
    body = _BODY.search(word)
    if body is None:
        return
    for beside, names in ((word[: body.start()], _MONEY), (word[body.end() :], _NAMES)):
        unit = beside.strip(" \u00a0\u202f+-")
        if unit in names or (unit and all(unicodedata.category(sign) == "Sc" or sign in _SIGNS for sign in unit)):
            yield unit
