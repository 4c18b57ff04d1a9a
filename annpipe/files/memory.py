"""The memory that this process may use, and a check that the rows which a spec asks for fit into it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from annpipe.errors import OptionError

CGROUPS = Path("/sys/fs/cgroup")
PROCESS_CGROUP = Path("/proc/self/cgroup")


def machine_memory(cgroups: Path = CGROUPS, cgroup_file: Path = PROCESS_CGROUP) -> int | None:
    """The bytes that this process may use: those of the machine, or less where its control group has a limit."""
    limits = list(_limits(cgroups, cgroup_file))
    if sys.platform != "win32" and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(limits, default=None)


def _limits(cgroups: Path, cgroup_file: Path) -> Iterator[int]:
    """The limits of the control group and those above it, of both versions of the kernel's interface."""
    try:
        lines = cgroup_file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            home, file = (cgroups / "memory", "memory.limit_in_bytes") if controllers else (cgroups, "memory.max")
            parts = Path(path.lstrip("/")).parts
            for depth in range(len(parts) + 1):
                try:
                    text = home.joinpath(*parts[:depth], file).read_text(encoding="utf-8").strip()
                except OSError:  # in a container the path is that of the machine
                    continue
                if text.isdecimal():
                    yield int(text)


def check_memory(values: int, *, option: str) -> None:
    """Raises OptionError at `option` where `values` numbers of 8 bytes do not fit into the memory.

    For rows that are made, not read: a system may grant more memory than it has, and kill the process that uses it.
    """
    has = machine_memory()
    if has is not None and 8 * values > has:
        message = f"{values:,} values take {8 * values / 2**30:,.1f} GiB, and the machine has {has / 2**30:,.1f} GiB"
        raise OptionError(option, message, help="make fewer rows")
