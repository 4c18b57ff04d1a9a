"""Finds the names nearest to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CUTOFF = 0.62  # how alike two names must be, from 0 to 1: below it, words of one length begin to look alike


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Up to `limit` of `known`, nearest first, case ignored; empty when nothing is near.

    A name that differs in case only is the one that was meant; the same letters in another order are near.

    >>> nearest("adm", ["Adam", "AdamW", "SGD"], 1)
    ['Adam']
    >>> nearest("relu", ["RReLU", "ReLU", "ReLU6"])
    ['ReLU']
    >>> nearest("rl", ["lr", "betas"])
    ['lr']
    >>> nearest("speed", ["fused", "seed"])
    ['seed']
    """
    by_folded: dict[str, str] = {}
    for candidate in known:
        by_folded.setdefault(candidate.casefold(), candidate)
    folded = name.casefold()
    if folded in by_folded:
        return [by_folded[folded]]
    swapped = [candidate for candidate in by_folded if sorted(candidate) == sorted(folded)]
    near = difflib.get_close_matches(folded, by_folded, n=limit, cutoff=CUTOFF)
    return [by_folded[match] for match in dict.fromkeys([*swapped, *near])][:limit]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean 'Adam' or 'AdamW'?`, or the empty string."""
    names = nearest(name, known)
    return f"did you mean {' or '.join(map(repr, names))}?" if names else ""
