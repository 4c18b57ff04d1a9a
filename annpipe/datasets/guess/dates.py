"""Words that look like dates → the formats that read all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from annpipe.portable.cell_dates import days_of_text

MOST_WORDS = 500  # that are looked at
_DAYS = (
    *("%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d"),
    *("%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%a, %d %b %Y", "%Y년 %m월 %d일"),
    *("%Y年%m月%d日", "%Y. %m. %d.", "%d. %B %Y", "%m.%d.%Y"),
)
_CLOCKS = (
    "",
    " %H:%M",
    " %H:%M:%S",
    " %I:%M %p",
    " %I:%M:%S %p",
    " %H:%M:%S.%f",
    ", %H:%M",
    "T%H:%M:%S",
    " %H:%M:%S %z",
)
_MAY_BE = re.compile(r"(?=.*[0-9]{1,4}\D+)(?=.*[0-9]{2}).{6,40}")


def guessed_dates(words: Sequence[str]) -> tuple[str, ...] | None:
    """The formats, beside ISO 8601, that all of the words need to be dates; none for ISO alone, None for no dates.

    Of two orders of day and month the first counts that fits: the day stands first.

    >>> guessed_dates(["2020-01-31"]), guessed_dates(["31/12/2020", "01/12/2020 08:30"]), guessed_dates(["12"])
    ((), ('%d/%m/%Y', '%d/%m/%Y %H:%M'), None)
    """
    left = [word for word in words[:MOST_WORDS] if days_of_text(word) is None]
    if not left:
        return () if words else None
    if not all(_MAY_BE.fullmatch(word) for word in left):
        return None
    for day in _DAYS:
        formats = tuple(f"{day}{clock}" for clock in _CLOCKS)
        used = dict.fromkeys(_reading(word, formats) for word in left)
        if None not in used:
            return tuple(format_ for format_ in formats if format_ in used)
    return None


def other_order(formats: Sequence[str], words: Sequence[str]) -> tuple[str, ...] | None:
    """The formats with day and month the other way round, where these read all of the words too.

    >>> other_order(["%d/%m/%Y"], ["01/02/2020"]), other_order(["%d/%m/%Y"], ["31/12/2020"])
    (('%m/%d/%Y',), None)
    """
    swapped = tuple(text.replace("%d", "%\0").replace("%m", "%d").replace("%\0", "%m") for text in formats)
    numeric = [text for text in formats if "%m" in text and not text.startswith("%Y")]
    if not numeric or any(days_of_text(word, swapped) is None for word in words[:MOST_WORDS]):
        return None
    return swapped


def _reading(word: str, formats: Sequence[str]) -> str | None:
    return next((format_ for format_ in formats if days_of_text(word, [format_]) is not None), None)
