"""Finds fonts on the machine for letters that matplotlib's own font, DejaVu Sans, does not have."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache

OWN = "DejaVu Sans"
PREFERRED = (
    "Noto Sans CJK KR", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans KR", "NanumGothic", "Malgun Gothic",
    "Apple SD Gothic Neo", "Hiragino Sans", "Yu Gothic", "PingFang SC", "Microsoft YaHei", "WenQuanYi Zen Hei",
    "Noto Sans", "Arial Unicode MS",
)  # fmt: skip
"""Families that are looked into first; letters that none of them has are looked for in all others."""


def letters_beyond(texts: Iterable[str]) -> frozenset[str]:
    """The letters of the texts that matplotlib's own font lacks."""
    letters = {letter for text in texts if not text.isascii() for letter in text if letter.isprintable()}
    return frozenset(letter for letter in letters if not _own_has(letter))


@lru_cache(maxsize=256)
def families_for(letters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The families of the machine that have the letters, and the letters that none of them has."""
    families: list[str] = []
    missing = letters
    for family, path in _candidates() if letters else ():
        if present := frozenset(letter for letter in missing if _has(path, letter)):
            families.append(family)
            missing -= present
        if not missing:
            break
    return tuple(families), missing


@cache
def _own_has(letter: str) -> bool:
    from matplotlib.font_manager import fontManager

    return _has(fontManager.findfont(OWN), letter)


def _candidates() -> Iterator[tuple[str, str]]:
    """Upright families of regular weight, each with its file, the preferred ones first.

    A font of last resort is none: it has a box for each letter.
    """
    from matplotlib.font_manager import fontManager

    _add_new_fonts()
    upright = [font for font in fontManager.ttflist if font.style == "normal" and font.weight in (400, "normal")]
    regular = {font.name: font.fname for font in upright}
    rest = sorted(name for name in set(regular) - {*PREFERRED, OWN} if "Last" not in name or "Resort" not in name)
    yield from ((family, regular[family]) for family in (*PREFERRED, *rest) if family in regular)


@cache
def _add_new_fonts() -> None:
    """Tells matplotlib of fonts that were installed after it made its list, which it keeps for ever."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    known = {os.path.realpath(font.fname) for font in fontManager.ttflist}
    for path in findSystemFonts():
        if os.path.realpath(path) not in known:
            try:
                fontManager.addfont(path)
            except (OSError, RuntimeError, ValueError, KeyError):  # a file that is no font, or one that is damaged
                continue


def _has(path: str, letter: str) -> bool:
    from matplotlib.font_manager import get_font

    try:
        return bool(get_font(path).get_char_index(ord(letter)))
    except (OSError, RuntimeError):  # the file is gone, or damaged
        return False
