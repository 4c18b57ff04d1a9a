"""The bounds on checking an untrusted spec, in one table, and the folder that its files must be in.

Inside `held_to(stance)` the work is done for an untrusted spec: files must be below its folder (see `named`), and no
amount may exceed its bound. Outside of it there is neither.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from annpipe.errors import LimitError

SECONDS = 60  # of the whole command, and
MEMORY = 4 * 2**30  # bytes that it may take beside what it had


@dataclass(frozen=True)
class Bound:
    """The largest permitted amount of something, and its unit in messages."""

    most: int
    unit: str


BOUNDS = {
    "file": Bound(64 * 2**20, "bytes in a file"),
    "unpacked": Bound(256 * 2**20, "bytes in a file when it is unpacked"),
    "files": Bound(1_000, "files for one option"),
    "entries": Bound(20_000, "entries of folders that a pattern is held against"),
    "split file": Bound(16 * 2**20, "bytes in a file of rows"),
    "bases": Bound(16, "specs that extend one another"),
    "values": Bound(10_000_000, "values, rows times columns"),
    "corners": Bound(50, "combinations of a sweep's values to check"),
}


@dataclass(frozen=True)
class Stance:
    """How an untrusted spec is read: its files must be below `folder`, or among `permitted`, named on the command line.

    Both are paths with all links followed.
    """

    folder: Path
    permitted: list[Path] = field(default_factory=list)

    @classmethod
    def below(cls, folder: Path | None) -> Stance | None:
        """The stance for a spec whose folder this is, None for None."""
        return None if folder is None else cls(Path(os.path.realpath(folder)))

    def allows(self, real: Path) -> bool:
        """Whether a path without links may be read."""
        return any(real.is_relative_to(root) for root in (self.folder, *self.permitted))


_STANCE: ContextVar[Stance | None] = ContextVar("stance", default=None)


@contextmanager
def held_to(stance: Stance | None) -> Iterator[None]:
    """Inside, nothing is read that the stance does not allow, and all bounds hold; None changes nothing."""
    if stance is None:
        yield
        return
    token = _STANCE.set(stance)
    try:
        yield
    finally:
        _STANCE.reset(token)


def present_stance() -> Stance | None:
    """How the present spec is read, None where it is trusted."""
    return _STANCE.get()


def limit(name: str) -> int | None:
    """The most of BOUNDS[name] there may be now, None where there is no bound."""
    return None if _STANCE.get() is None else BOUNDS[name].most


def check_bound(name: str, amount: int, *, option: str) -> None:
    """Raises OptionError at `option` where an untrusted spec asks for more than BOUNDS[name]; a trusted one may.

    Components call it before they make or read data. Names are file, unpacked, files, entries and values.
    """
    most = limit(name)
    if most is not None and amount > most:
        message, help_ = beyond(name, f"{amount:,}")
        raise LimitError(option, message, help=help_)


def beyond(name: str, amount: str) -> tuple[str, str]:
    """Message and remedy for an amount beyond its bound."""
    bound = BOUNDS[name]
    message = f"too many {bound.unit}: {amount}, where an untrusted spec may have {bound.most:,}"
    return message, "read the spec, then go on without --untrusted"
