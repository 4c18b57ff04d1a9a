"""A finding of `annpipe doctor`: what was looked at, how it is, and what to do where it is not well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. A fault keeps annpipe from working, a warning does not; both have a remedy."""

    subject: str
    text: str
    verdict: Level = "ok"
    remedy: str = ""


Check = Callable[[], Iterator[Finding]]


def findings(subject: str, check: Check) -> Iterator[Finding]:
    """The findings of a check; one that fails is a fault of its subject, and holds up no other."""
    try:
        yield from check()
    except Exception as error:  # whatever is wrong with a machine is to be told
        text = " ".join(str(error).split())[:300]
        yield Finding(subject, f"could not be checked: {type(error).__name__}: {text}", "fault", "see the message")
