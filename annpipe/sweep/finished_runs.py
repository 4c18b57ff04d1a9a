"""Finds the finished runs of a project that have the results of a trial, so that it is not trained again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from annpipe.observer import SILENT, Observer
from annpipe.record.journal import journal
from annpipe.record.journal.events import DatasetUsed, LengthChanged, RunBegun
from annpipe.record.journal.project import run_folders
from annpipe.record.journal.seal import is_own
from annpipe.runs.provenance import facts_key
from annpipe.sweep.plan_trials import Trial


class FinishedRuns:
    """The finished runs of a project, by all that decides their results; the tags of a run are read once.

    Runs of versions that did not record all of it are never taken: what they left out may differ.
    """

    def __init__(self, project: Path, observer: Observer = SILENT) -> None:
        self._project = project
        self._observer = observer
        self._foreign: set[Path] = set()
        self._tags: dict[Path, Mapping[str, str]] = {}

    def match(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials, each with the finished run of the same results where there is one."""
        wanted = {trial.key.partition("/")[0] for trial in trials}
        runs = run_folders(self._project)
        finished = {key: folder for folder in runs if (key := self._key_of(folder, wanted)) is not None}
        return [replace(trial, run=finished.get(trial.key)) for trial in trials]

    def _key_of(self, folder: Path, wanted: set[str]) -> str | None:
        """As `_key`; None also for a run that cannot be read, or whose results are damaged."""
        try:
            key = self._key(folder, wanted)
            return None if key is None or journal.damaged_lines(folder) else key
        except OSError:
            return None

    def _key(self, folder: Path, wanted: set[str]) -> str | None:
        """The key of a finished run with one of the wanted plans."""
        if folder not in self._tags:
            first = next(journal.read(folder), None)
            if first is None:  # it is being begun
                return None
            self._tags[folder] = first.tags if isinstance(first, RunBegun) else {}
        tags = self._tags[folder]
        digest = tags.get("annpipe.plan")
        if digest not in wanted or journal.status(folder) != "FINISHED" or not self._is_own(folder):
            return None
        if journal.last_event(folder, LengthChanged) is not None:  # it began as another run
            return None
        used = (event for event in journal.read(folder) if isinstance(event, DatasetUsed))
        facts = next((event.facts for event in used if event.facts is not None), None)
        return facts_key(facts) if facts else None

    def _is_own(self, folder: Path) -> bool:
        """Whether the user made the run: the results of a run that somebody else sent are not relied on."""
        if is_own(folder):
            return True
        if folder not in self._foreign:
            self._foreign.add(folder)
            self._observer.event(
                f"{folder.name} could be one of the trials, but is not known as a run that you made with annpipe here: "
                f"the trial is trained anew; `annpipe resume {folder.name} --trust` makes the run your own"
            )
        return False
