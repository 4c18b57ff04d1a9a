"""Finds what `annpipe clean` may remove, and removes it: caches, old checkpoints, folders of runs in the record.

Nothing that is still needed is among it: runs that are running, that ended too early and can be resumed, or whose
record is not complete keep all they have, and so do the latest runs.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from annpipe.errors import AnnpipeError
from annpipe.files.descriptors import move
from annpipe.files.private import cache_folder
from annpipe.files.size import size_of
from annpipe.record.journal import journal
from annpipe.record.journal.inside import check_inside
from annpipe.record.journal.lines import run_begun
from annpipe.record.journal.project import run_folders, runs_folder
from annpipe.record.journal.state import is_recorded
from annpipe.train.loop.checkpoint import FOLDER as CHECKPOINTS

CleanGroup = Literal["caches", "checkpoints", "runs"]
ASIDE = ".removed-"  # begins the name of a folder that is being removed


@dataclass(frozen=True)
class Removable:
    """A folder that can be removed, the bytes that it takes, and the run that it belongs to."""

    group: CleanGroup
    path: Path
    size: int
    run: Path | None = None


def removable(project: Path, keep: int) -> Iterator[Removable]:
    """All that can be removed; of runs the latest `keep` are left as they are, a sweep and its trials counted as one.

    The checkpoints of a run whose folder can be removed are part of that folder.
    """
    for path in (*_caches(project), *runs_folder(project).glob(f"{ASIDE}*")):
        yield Removable("caches", path, size_of(path))
    for run in _finished(project, keep):
        checkpoints = run / CHECKPOINTS
        if checkpoints.is_dir() and not checkpoints.is_symlink():
            yield Removable("checkpoints", checkpoints, size_of(checkpoints), run)
        if is_recorded(run):
            yield Removable("runs", run, size_of(run), run)


def _caches(project: Path) -> list[Path]:
    """The folders of caches; none while a run of the project is running, which may read from them."""
    if not cache_folder().is_dir() or any(map(journal.is_held, run_folders(project))):
        return []
    return [path for path in sorted(cache_folder().iterdir()) if path.is_dir() and not path.is_symlink()]


def _finished(project: Path, keep: int) -> Iterator[Path]:
    """The finished runs older than the latest `keep`; of a sweep that is not finished no trial is among them."""
    folders = run_folders(project)
    parents = {folder: run_begun(folder).parent for folder in folders}
    alone = [folder for folder in folders if parents[folder] is None]
    kept = {folder.name for folder in alone[max(0, len(alone) - keep) :]}
    open_names = {folder.name for folder in alone if not _is_over(folder)}
    for folder in folders:
        name = parents[folder] or folder.name
        if name not in kept | open_names and _is_over(folder):
            yield folder


def _is_over(folder: Path) -> bool:
    """Whether a run has finished, lacks no file, and its folder is all its own."""
    try:
        check_inside(folder)
    except (AnnpipeError, OSError):
        return False
    return journal.status(folder) == "FINISHED" and not journal.is_held(folder) and not journal.lacks_files(folder)


def remove(items: Sequence[Removable]) -> list[tuple[Removable, str]]:
    """Removes folders, each moved aside first, so that a kill leaves none half; gives those that could not be, and why.

    A run that somebody began to use meanwhile stays.
    """
    refused = []
    for item in items:
        if item.run is not None and (not item.run.is_dir() or journal.is_held(item.run)):
            continue
        aside = item.path.with_name(f"{ASIDE}{secrets.token_hex(4)}")
        try:
            move(item.path, aside)
            shutil.rmtree(aside)
        except OSError as error:
            refused.append((item, error.strerror or str(error)))
    return refused
