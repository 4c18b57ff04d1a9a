"""How many columns of a terminal a text takes, and a text cut to so many."""

from __future__ import annotations

import unicodedata

LEAST_WITH_END = 10


def text_width(text: str) -> int:
    """Columns on a terminal: two for a wide character, as of Korean, none for one that combines with the last.

    >>> text_width("코드 x")
    6
    """
    return len(text) if text.isascii() else sum(map(_character_width, text))


def shortened(text: str, most: int) -> str:
    """The text in at most so many columns: where it is longer, its beginning and its end with `…` between.

    Names that begin alike, as `mean_radius_of_the_left` and `mean_radius_of_the_right`, stay apart.

    >>> shortened("mean_radius_of_the_left", 14)
    'mean_rad…_left'
    """
    if text_width(text) <= most:
        return text
    end = _fitting(text[::-1], (most - 1) * 2 // 5 if most >= LEAST_WITH_END else 0)[::-1]
    return f"{_fitting(text, most - 1 - text_width(end))}…{end}"


def _fitting(text: str, most: int) -> str:
    """As many of the first characters as fit."""
    width = 0
    for number, character in enumerate(text):
        width += _character_width(character)
        if width > most:
            return text[:number]
    return text


def _character_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
