"""Where are the runs of this project, and which one is meant?"""

from __future__ import annotations

import json
import re
import secrets
import string
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path

from annpipe.errors import NotFound
from annpipe.files.private import PRIVATE_FOLDER, private_folder
from annpipe.record.inside import check_inside, is_file
from annpipe.record.journal import FILE as JOURNAL
from annpipe.record.journal import read
from annpipe.record.location import DATABASE, resolve_tracking_uri
from annpipe.record.seal import read_seal
from annpipe.record.state import read_state

__all__ = ["find_project", "find_run", "new_run_folder", "resolve_tracking_uri", "run_folders", "runs_folder", "slug"]

RUNS = "runs"
_RUN_ID = re.compile(r"(?P<name>.+)-(?P<stamp>\d{8}-\d{6})-[a-z0-9]{4}")
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
    share one."""
    runs = runs_folder(project)
    private_folder(runs)
    while True:
        letters = "".join(secrets.choice(_LETTERS) for _ in range(4))
        folder = runs / f"{slug(name)}-{datetime.now():%Y%m%d-%H%M%S}-{letters}"
        try:
            folder.mkdir(mode=PRIVATE_FOLDER)
        except FileExistsError:
            continue
        return folder


def slug(name: str) -> str:
    """The part of a run id that comes from the run's name: lower-case letters, digits and single hyphens.

    >>> slug("Ünïcode / spaces")
    'unicode-spaces'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].rstrip("-") or "run"


def run_folders(project: Path) -> list[Path]:
    """Every run of the project that has a journal of its own, the oldest first."""
    found = [path for path in runs_folder(project).glob("*") if is_file(path / JOURNAL)]
    return sorted(found, key=_age)


def find_run(project: Path, text: str | None = None, last: bool = False) -> Path:
    """The folder of the run that `text` names: its id, its name (the latest such run), the start of its id, or
    the id of its MLflow run; with `last`, the latest run of all.

    Raises NotFound, with near names, when there is none or `text` fits several, and BadRunFolder for a folder that is
    not all its own.
    """
    found = _found(project, text, last=last)
    check_inside(found)
    return found


def _found(project: Path, text: str | None, *, last: bool) -> Path:
    folders = run_folders(project)
    if not folders:
        raise NotFound(f"there are no runs in {runs_folder(project)}; `annpipe run SPEC` makes one")
    if last:
        return folders[-1]
    if not text:
        raise NotFound("say which run: its id, the start of it, its name, or --last; `annpipe runs` lists them")
    return _named(folders, text.strip().rstrip("/").removeprefix(f"{RUNS}/"))


def spec_file(folder: Path) -> Path:
    """The spec that a run was begun with, from whose folder the paths in its plan start.

    Where the project was moved since, and the spec with it, it is where it lies now.
    """
    first = next(read(folder), {})
    file = Path(str((first.get("tags") or {}).get("annpipe.spec", folder / "plan.yaml")))
    sealed = read_seal(folder)
    if sealed is not None and file.is_relative_to(sealed.project):
        return folder.absolute().parent.parent / file.relative_to(sealed.project)
    return file


def _named(folders: Sequence[Path], text: str) -> Path:
    for folder in folders:
        if folder.name == text:
            return folder
    same_name = [folder for folder in folders if _name(folder) == slug(text)]
    if same_name:
        return same_name[-1]
    fitting = [folder for folder in folders if folder.name.startswith(text) or _is_mlflow_run(folder, text)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        shown = ", ".join(folder.name for folder in fitting[-5:])
        raise NotFound(f"'{text}' fits {len(fitting)} runs: {shown}; write more of the id")
    names = dict.fromkeys(name for folder in reversed(folders) for name in (folder.name, _name(folder)))
    near = get_close_matches(text, list(names), n=3, cutoff=0.5)
    meant = f"did you mean {' or '.join(repr(name) for name in near)}? " if near else ""
    raise NotFound(f"there is no run '{text}' in {folders[0].parent}; {meant}`annpipe runs` lists them")


def _name(folder: Path) -> str:
    match = _RUN_ID.fullmatch(folder.name)
    return match["name"] if match else folder.name


def _is_mlflow_run(folder: Path, text: str) -> bool:
    return len(text) >= 8 and (read_state(folder).run_id or "").startswith(text)


def _age(folder: Path) -> tuple[int, str]:
    # Local time goes back an hour in autumn: the journal's own clock decides, the id only where that cannot be read.
    with open(folder / JOURNAL, "rb") as file:
        first = file.readline()
    try:
        began = int(json.loads(first)["time"])
    except (ValueError, KeyError, TypeError):
        began = round((folder / JOURNAL).stat().st_mtime * 1000)
    return began, folder.name
