"""Resolves plain scalars by the core schema of YAML 1.2: null, booleans, numbers, and text otherwise."""

from __future__ import annotations

import re

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_HEX_OCTAL = re.compile(r"0(x[0-9a-fA-F]+|o[0-7]+)\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_INFINITY = re.compile(r"([-+]?)\.(inf|Inf|INF)\Z")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NAN = (".nan", ".NaN", ".NAN")
MAX_DIGITS = 1000


def core_value(text: str) -> bool | int | float | str | None:
    """A plain scalar by the core schema of YAML 1.2, except that a number with a leading zero (`017`) is a word.

    Raises ValueError for a number of more than `MAX_DIGITS` characters: converting it takes quadratic time.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INT.match(text):
        return int(_bounded(text))
    if _HEX_OCTAL.match(text):
        return int(_bounded(text), 0)
    if _FLOAT.match(text):
        return float(_bounded(text))
    if match := _INFINITY.match(text):
        return float(match[1] + "inf")
    return float("nan") if text in _NAN else text


def _bounded(text: str) -> str:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} characters")
    return text
