"""Numbers, names and times as a report writes them."""

from __future__ import annotations

import math
from datetime import datetime

from annpipe.errors import one_line, shortened

MOST_LETTERS = 40


def number(value: float | int | None) -> str:
    """Four significant digits; thousands apart, a minus sign that is one, `–` for nothing.

    >>> number(-1234567.0), number(0.00012345), number(float("nan")), number(None)
    ('−1,234,567', '0.0001234', 'nan', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value}".replace("-", "−")
    size = abs(value)
    text = f"{value:,.0f}" if 1e4 <= size < 1e15 or (size < 1e15 and value == int(value)) else f"{value:.4g}"
    return text.replace("-", "−") if not text.startswith("-0") or size else "0"


def short(text: str, most: int = MOST_LETTERS) -> str:
    """A name on a line, in its first and last letters where it is long."""
    return shortened(one_line(text), most)


def duration(seconds: float) -> str:
    """
    >>> duration(4.25), duration(200), duration(7300)
    ('4.2 s', '3 min 20 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"


def moment(time_ms: int | None) -> str:
    """A time to the minute, in the zone of this machine; nothing for None."""
    if time_ms is None:
        return ""
    return f"{datetime.fromtimestamp(time_ms / 1000).astimezone():%Y-%m-%d %H:%M %Z}"
