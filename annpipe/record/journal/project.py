"""Finds a project's run folders, and the one that a user names."""

from __future__ import annotations

import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path

from annpipe.errors import NotFound, RunError, visible
from annpipe.files.private import PRIVATE_FOLDER, private_folder
from annpipe.files.run_ids import RUNS, name_in
from annpipe.files.run_ids import slug as slug
from annpipe.record.journal.events import RunBegun
from annpipe.record.journal.inside import check_inside, is_file
from annpipe.record.journal.journal import FILE as JOURNAL
from annpipe.record.journal.journal import is_held
from annpipe.record.journal.lines import first_event, run_begun
from annpipe.record.journal.location import DATABASE, resolve_tracking_uri
from annpipe.record.journal.seal import read_seal
from annpipe.record.journal.state import read_state

__all__ = ["find_project", "find_run", "new_run_folder", "resolve_tracking_uri", "run_folders", "runs_folder", "slug"]

_LETTERS = string.ascii_lowercase + string.digits


def find_project(start: Path | None = None) -> Path:
    """The nearest folder, from `start` (the working directory) upwards, with an mlflow.db; else `start` itself."""
    here = (start or Path.cwd()).resolve()
    return next((folder for folder in (here, *here.parents) if (folder / DATABASE).is_file()), here)


def runs_folder(project: Path) -> Path:
    """Where the project's run folders are; it may not exist yet."""
    return project / RUNS


def new_run_folder(project: Path, name: str) -> Path:
    """Makes the folder of a new run, `runs/<name>-<local time>-<4 letters>`, for its owner alone; no two runs ever
    share one.

    Raises RunError where none can be made.
    """
    try:
        return _made(runs_folder(project), name)
    except OSError as error:
        raise RunError(
            f"no run can begin in {runs_folder(project)} ({error.strerror}): make room, or run it elsewhere"
        ) from error


def _made(runs: Path, name: str) -> Path:
    private_folder(runs)
    while True:
        letters = "".join(secrets.choice(_LETTERS) for _ in range(4))
        folder = runs / f"{slug(name)}-{datetime.now():%Y%m%d-%H%M%S}-{letters}"
        try:
            folder.mkdir(mode=PRIVATE_FOLDER)
        except FileExistsError:
            continue
        return folder


@dataclass(frozen=True)
class Skipped:
    """A folder among the runs that is passed over, and why."""

    folder: Path
    reason: str

    def __str__(self) -> str:
        return f"skipped {RUNS}/{visible(_printable(self.folder.name))}: {self.reason}"


@dataclass(frozen=True)
class Walked:
    """The folders among a project's runs: those of runs, the oldest first, and those passed over."""

    runs: tuple[Path, ...]
    skipped: tuple[Skipped, ...]


def run_folders(project: Path) -> list[Path]:
    """Every run of the project that can be read, the oldest first."""
    return list(walk(project).runs)


def walk(project: Path) -> Walked:
    """Looks at every folder among the runs; one that is broken, foreign or closed to us holds up no other."""
    runs: dict[Path, int] = {}
    skipped = []
    try:
        folders = sorted(path for path in runs_folder(project).iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        folders = []
    except OSError as error:
        return Walked((), (Skipped(runs_folder(project), f"{error.strerror}: no run in it can be seen"),))
    for folder in folders:
        try:
            if folder.is_dir():
                runs[folder] = _begin_ms(folder)
        except _Unusable as error:
            if error.args:
                skipped.append(Skipped(folder, str(error)))
        except OSError as error:
            skipped.append(Skipped(folder, f"it cannot be read ({error.strerror})"))
    return Walked(tuple(sorted(runs, key=lambda folder: (runs[folder], folder.name))), tuple(skipped))


def fault_of(folder: Path) -> str | None:
    """Why a folder is no run that can be read; None where it is one."""
    try:
        _begin_ms(folder)
    except _Unusable as error:
        return str(error) or "it is beginning at this moment"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return None


class _Unusable(Exception):
    """A folder is no run that can be read; without arguments where that is no fault."""


def _begin_ms(folder: Path) -> int:
    """When a run began: local time goes back an hour in autumn, so its journal's own clock decides.

    Raises _Unusable and OSError.
    """
    journal = folder / JOURNAL
    if not is_file(journal):
        what = "is no file" if journal.exists() else "is missing"
        raise _Unusable(f"its {JOURNAL} {what}: no run, or one that was killed as it began")
    first = first_event(folder)
    if first is None:
        if is_held(folder):  # it is beginning at this moment
            raise _Unusable
        if journal.stat().st_size == 0:
            raise _Unusable(f"its {JOURNAL} is empty: the run was killed as it began")
        raise _Unusable(f"its {JOURNAL} has no whole first line: it is damaged or foreign")
    if not isinstance(first, RunBegun):
        raise _Unusable(f"its {JOURNAL} begins with no run: it is damaged or foreign")
    return first.time if first.time is not None else round(journal.stat().st_mtime * 1000)


def _printable(name: str) -> str:
    """A file's name without the bytes that are no characters."""
    return name.encode("utf-8", "replace").decode("utf-8")


def find_run(project: Path, text: str | None = None, last: bool = False) -> Path:
    """The folder of the run that `text` names: its id, its name (the latest such run), the start of its id, or
    the id of its MLflow run; with `last`, the latest run of all.

    Raises NotFound, with near names, when there is none or `text` fits several, and BadRunFolder for a folder that is
    not all its own.
    """
    folder = _matching(project, text, last=last)
    check_inside(folder)
    return folder


def _matching(project: Path, text: str | None, *, last: bool) -> Path:
    walked = walk(project)
    folders = list(walked.runs)
    meant = (text or "").strip().rstrip("/").removeprefix(f"{RUNS}/")
    for skipped in walked.skipped:
        if skipped.folder.name == meant:
            raise NotFound(f"the folder {RUNS}/{meant} is no run: {skipped.reason}")
    if not folders:
        raise NotFound(f"there are no runs in {runs_folder(project)}; `annpipe run SPEC` makes one")
    if last:
        return folders[-1]
    if not text:
        raise NotFound("say which run: its id, the start of it, its name, or --last; `annpipe runs` lists them")
    return _named(folders, meant)


def spec_file(folder: Path) -> Path:
    """The spec that a run was begun with, from whose folder the paths in its plan start.

    Where the project was moved since, and the spec with it, it is where it lies now.
    """
    file = Path(run_begun(folder).tags.get("annpipe.spec", folder / "plan.yaml"))
    sealed = read_seal(folder)
    if sealed is not None and file.is_relative_to(sealed.project):
        return folder.absolute().parent.parent / file.relative_to(sealed.project)
    return file


def _named(folders: Sequence[Path], text: str) -> Path:
    for folder in folders:
        if folder.name == text:
            return folder
    same_name = [folder for folder in folders if name_in(folder.name) == slug(text)]
    if same_name:  # the ids of a sweep's trials begin with the name of their spec, and they have names of their own
        return next((folder for folder in reversed(same_name) if _called(folder) == slug(text)), same_name[-1])
    fitting = [folder for folder in folders if folder.name.startswith(text) or _is_mlflow_run(folder, text)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        shown = ", ".join(folder.name for folder in fitting[-5:])
        raise NotFound(f"'{text}' fits {len(fitting)} runs: {shown}; write more of the id")
    names = dict.fromkeys(name for folder in reversed(folders) for name in (folder.name, name_in(folder.name)))
    near = get_close_matches(text, list(names), n=3, cutoff=0.5)
    meant = f"did you mean {' or '.join(repr(name) for name in near)}? " if near else ""
    raise NotFound(f"there is no run '{text}' in {folders[0].parent}; {meant}`annpipe runs` lists them")


def _called(folder: Path) -> str:
    """The name that the run itself says."""
    return slug(run_begun(folder).name or "")


def _is_mlflow_run(folder: Path, text: str) -> bool:
    return len(text) >= 8 and (read_state(folder).run_id or "").startswith(text)
