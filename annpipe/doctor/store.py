"""Checks MLflow and the project's store: its tables, its locks, the room for it, and whether it answers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from annpipe.doctor.finding import Finding
from annpipe.record.journal.location import MLFLOW_ENVIRONMENT, database_file, resolve_tracking_uri, scrub

LITTLE_ROOM = 2**30  # bytes


def store_findings(project: Path, tracking_uri: str | None) -> Iterator[Finding]:
    """MLflow, and the store that runs of the project go to."""
    for name, value in MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    uri = resolve_tracking_uri(tracking_uri, project, None)
    from annpipe.record.store.health import answer_fault, mlflow_version

    yield Finding("mlflow", mlflow_version())
    database = database_file(uri)
    if database is not None:
        yield from _database_findings(database)
    elif (reason := answer_fault(uri)) is not None:
        remedy = "start the server, or correct MLFLOW_TRACKING_URI; `annpipe sync` ships what was journaled meanwhile"
        yield Finding("store", f"{scrub(uri)} does not answer: {reason}", "fault", remedy)
    else:
        yield Finding("store", f"{scrub(uri)} answers")


def _database_findings(database: Path) -> Iterator[Finding]:
    from annpipe.record.store.health import database_fault, is_current, is_locked

    if not database.exists():
        yield Finding("store", f"{database} is not there yet: the first run makes it")
    elif (fault := database_fault(database)) is not None:
        remedy = f"move it away and `annpipe sync`: the journals below {database.parent / 'runs'} make the record again"
        yield Finding("store", f"{database} is damaged: {fault}", "fault", remedy)
    elif not is_current(database):
        remedy = "the next run migrates an older one, after a copy; for a newer one install the MLflow that made it"
        yield Finding("store", f"{database} is of another MLflow than the installed one", "warning", remedy)
    elif not os.access(database, os.W_OK):
        yield Finding("store", f"{database} may not be written", "fault", "check who owns it")
    elif is_locked(database):
        yield Finding("store", f"{database} is locked by another process", "warning", "end what writes to it")
    else:
        yield Finding("store", f"{database}, {database.stat().st_size / 2**20:,.1f} MiB, in order")
    yield room("room", database.parent)


def room(subject: str, folder: Path) -> Finding:
    """How much room the disk of a folder has; a folder that cannot be written is a fault."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK):
        return Finding(subject, f"{there} may not be written", "fault", "check who owns it, or use another folder")
    free = shutil.disk_usage(there).free
    text = f"{free / 2**30:,.1f} GiB free in {there}"
    if free < LITTLE_ROOM:
        return Finding(subject, text, "warning", "`annpipe clean` shows what can be removed")
    return Finding(subject, text)
