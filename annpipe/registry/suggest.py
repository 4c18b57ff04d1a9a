"""The names nearest to one that was mistyped."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Up to `limit` of `known`, nearest first, case ignored; empty when nothing is near.

    >>> nearest("adm", ["Adam", "AdamW", "SGD"], 1)
    ['Adam']
    """
    by_folded: dict[str, str] = {}
    for candidate in known:
        by_folded.setdefault(candidate.casefold(), candidate)
    found = difflib.get_close_matches(name.casefold(), by_folded, n=limit, cutoff=0.6)
    return [by_folded[match] for match in found]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean 'Adam' or 'AdamW'?`, or the empty string."""
    names = nearest(name, known)
    return f"did you mean {' or '.join(map(repr, names))}?" if names else ""
