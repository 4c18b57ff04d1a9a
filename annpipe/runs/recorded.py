"""A run as its folder records it: the values that it told, epoch by epoch, its gear, and the environment around it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annpipe.errors import NotFound, RunError
from annpipe.record.journal import journal as journals
from annpipe.record.journal.events import DatasetUsed, RunBegun, TagsSet
from annpipe.record.journal.inside import is_file, neighbour
from annpipe.record.journal.summary import is_sweep

LOSS = "train/loss"
NOT_OF_EPOCHS = ("final", "best", "evaluated", "best_trial", "system")
ENVIRONMENT = "environment.txt"
MOST_BYTES = 1 << 22  # of environment.txt
MOST_THREADS = 4096
_SHIFT = re.compile(r"step (\d{1,18}): \S+ → (\S+) in ")
_PIN = re.compile(r"([\w.\-]{1,200})==(\S{1,200})")


@dataclass
class RecordedRun:
    """What a journal tells of a run that can be held against a replay; `facts` is None in runs of early versions.

    `values` are by key and epoch, `first_tags` those before training began, `tags` the last of each.
    """

    folder: Path
    values: dict[str, dict[int, float]] = field(default_factory=dict)
    first_tags: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] | None = None
    parent: str | None = None

    @property
    def last_epoch(self) -> int:
        """The last epoch with a loss."""
        return max(self.values[LOSS])

    @property
    def gear(self) -> str:
        """The gear that took the last steps: eager, compiled, graphed or stacked."""
        return self.tags.get("annpipe.gear", "eager")

    @property
    def shifted_at(self) -> int | None:
        """After how many steps a run by itself shifted to another gear; None where it did not."""
        shift = _SHIFT.search(self.tags.get("annpipe.shifts", ""))
        return int(shift[1]) if shift and self.gear == shift[2] else None

    @property
    def first_threads(self) -> int | None:
        """The number of threads that the run began with."""
        return _threads(self.first_tags.get("annpipe.threads"))

    @property
    def threads(self) -> int | None:
        """The number of threads that it ended with."""
        return _threads(self.tags.get("annpipe.threads"))

    @property
    def environment(self) -> dict[str, str]:
        """Python, platform and the versions of distributions, from environment.txt; of a trial from its sweep's."""
        folder = neighbour(self.folder, self.parent) if self.parent else self.folder
        file = folder / ENVIRONMENT
        if not is_file(file) or file.stat().st_size > MOST_BYTES:
            return {}
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        heads = (re.fullmatch(r"# (python|platform) (.{1,300})", line) for line in lines[:2])
        versions = {match[1]: match[2] for match in heads if match}
        return versions | {match[1].lower(): match[2] for line in lines if (match := _PIN.fullmatch(line))}


def recorded_run(folder: Path) -> RecordedRun:
    """Reads the journal of a run that nobody holds; raises NotFound for a sweep, RunError where it tells no loss."""
    if is_sweep(folder):
        remedy = f"verify one of its trials: `annpipe runs --sweep {folder.name}` lists them"
        raise NotFound(f"the run {folder.name} is a sweep, which trains nothing itself; {remedy}")
    if journals.is_held(folder):
        raise RunError(f"the run {folder.name} is still running: verify it when it has ended")
    run = RecordedRun(folder)
    for event in journals.read(folder):
        if isinstance(event, RunBegun | TagsSet):
            run.tags |= event.tags
            for name, text in event.tags.items():
                run.first_tags.setdefault(name, text)
        if isinstance(event, RunBegun):
            run.parent = event.parent
        if isinstance(event, DatasetUsed) and event.facts and run.facts is None:
            run.facts = event.facts
        for key, epoch, value, _ in journals.points(event):
            if key.partition("/")[0] not in NOT_OF_EPOCHS:
                run.values.setdefault(key, {}).setdefault(epoch, value)
    if not run.values.get(LOSS):
        raise RunError(f"the journal of {folder.name} tells no loss of an epoch: there is nothing to compare")
    return run


def _threads(text: str | None) -> int | None:
    is_number = text is not None and text.isascii() and text.isdecimal() and len(text) < 6
    return int(text) if text is not None and is_number and 0 < int(text) <= MOST_THREADS else None
