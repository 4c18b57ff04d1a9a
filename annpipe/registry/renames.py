"""Names of the spec language that have changed: the table that warnings, errors and `annpipe migrate` come from.

A name that is changed in 0.3 gets a line here. In 0.3 the earlier name still works, with a warning at its line; from
0.4 on it is an error that says the new one. A run folder of any version is read without a word. A page of the docs has
the table, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum

from annpipe.errors import Place, Problem
from annpipe.registry.entry import installed_version

RENAMED = "renamed"


@dataclass(frozen=True)
class Rename:
    """One name that changed in the version `since`, as `0.3`.

    `kind` is that of a component, empty for sections; `of` is what has the option: a component, or a section by its
    path (`data.split`). It is empty where the component or the section itself has another name.
    """

    since: str
    kind: str
    of: str
    old: str
    new: str

    @property
    def what(self) -> str:
        """What the earlier name stood for, in words."""
        if self.of:
            return f"the option '{self.old}' of {self.of if self.kind else f'`{self.of}`'}"
        return f"the {self.kind or 'section'} '{self.old}'"

    @property
    def works_until(self) -> str:
        """The first version in which the earlier name is an error.

        >>> Rename("0.9", "", "sweep", "fail", "on_failure").works_until
        '0.10'
        """
        major, minor = version_numbers(self.since)
        return f"{major}.{minor + 1}"


RENAMES: tuple[Rename, ...] = (Rename("0.1", "", "sweep", "fail", "on_failure"),)
"""The table; the latest last."""


class Earlier(Enum):
    """What becomes of earlier names: a warning or an error by the version, always a warning, or nothing."""

    BY_VERSION = "by version"
    TOLD = "told"
    READ = "read"


_EARLIER: ContextVar[Earlier] = ContextVar("earlier", default=Earlier.BY_VERSION)


@contextmanager
def earlier_names(earlier: Earlier) -> Iterator[None]:
    """Inside, the earlier names of all versions work: `TOLD` with a warning each, `READ` without."""
    token = _EARLIER.set(earlier)
    try:
        yield
    finally:
        _EARLIER.reset(token)


def rename_of(kind: str, of: str, name: str) -> Rename | None:
    """The line of the table for an earlier name; None for any other name."""
    return next((line for line in RENAMES if (line.kind, line.of, line.old) == (kind, of, name)), None)


def renames_of(kind: str, of: str) -> Sequence[Rename]:
    """The lines of the table for the options of one component or section."""
    return [line for line in RENAMES if (line.kind, line.of) == (kind, of)]


def sections_with_renames() -> Sequence[str]:
    """The sections, by their paths, of which an option has another name."""
    return list(dict.fromkeys(line.of for line in RENAMES if not line.kind and line.of))


def notice(rename: Rename, place: Place) -> Problem | None:
    """What is said of an earlier name at its place: a warning while it works, then an error."""
    earlier = _EARLIER.get()
    if earlier is Earlier.READ:
        return None
    is_in_time = version_numbers(installed_version("annpipe")) < version_numbers(rename.works_until)
    works = is_in_time or earlier is Earlier.TOLD
    until = f"; the earlier name works until annpipe {rename.works_until}" if works else ""
    return Problem(
        RENAMED,
        f"{rename.what} was renamed to '{rename.new}' in annpipe {rename.since}",
        place,
        f"write `{rename.new}`, or let `annpipe migrate SPEC --write` do it{until}",
        severity="warning" if works else "error",
        fix=(rename.old, rename.new),
    )


def version_numbers(version: str) -> tuple[int, int]:
    """The first two numbers of a version; (0, 0) where it has none.

    >>> version_numbers("0.10.2rc1"), version_numbers("")
    ((0, 10), (0, 0))
    """
    numbers = [int(part) if part.isdecimal() else 0 for part in [*version.split("."), "0", "0"][:2]]
    return numbers[0], numbers[1]


def as_markdown() -> str:
    """The table as the docs show it."""
    lines = sorted(RENAMES, key=lambda line: (version_numbers(line.since), line.what))
    rows = [f"| {line.since} | {line.what} | `{line.new}` | {line.works_until} |" for line in lines]
    head = ["| renamed in | earlier name | name | the earlier one is an error from |", "|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"
