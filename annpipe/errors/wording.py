"""Words for choices, bounds and exceptions in messages, and how wide they are on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_LIMITS = {"gt": "greater than", "ge": "at least", "lt": "less than", "le": "at most"}


def article(name: str) -> str:
    """A name with its article.

    >>> article("int"), article("Figure")
    ('an int', 'a Figure')
    """
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def either(choices: Sequence[str]) -> str:
    """`a`, `a or b`, `a, b or c`; "true or false" has its own "or".

    >>> either(["a word", "a number", "true or false"])
    'a word, a number, true or false'
    """
    *some, last = choices
    if len(some) < 2:
        return " or ".join(choices)
    return f"{', '.join(some)}{', ' if ' or ' in last else ' or '}{last}"


def limits(bounds: Mapping[str, float]) -> str:
    """Bounds in words, a blank before them: " greater than 0 and less than 2**63", or nothing.

    >>> limits({"gt": 0, "lt": 2**63})
    ' greater than 0 and less than 2**63'
    """
    phrases = [f"{phrase} {_bound(bounds[key])}" for key, phrase in _LIMITS.items() if key in bounds]
    return " " + " and ".join(phrases) if phrases else ""


def _bound(bound: float) -> str:
    """A bound in short; a large power of two is written as one."""
    power = bound.bit_length() - 1 if isinstance(bound, int) else 0
    return f"2**{power}" if power > 20 and bound == 2**power else f"{bound:g}"


def first_line(error: Exception) -> str:
    """The first line of the message of an exception, or its class."""
    text = str(error).strip().splitlines()
    return text[0].rstrip(": ") if text else type(error).__name__
