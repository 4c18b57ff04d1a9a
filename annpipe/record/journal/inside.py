"""The rule that a run folder names nothing outside itself: no link leads out of it, no path in its files does.

A run folder may have come from somebody else. What is read, shipped or written by the names in it passes here first.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from annpipe.errors import BadRunFolder
from annpipe.record.journal.lines import FILE as JOURNAL
from annpipe.record.journal.lines import run_begun


def check_inside(folder: Path) -> None:
    """Whether all that lies in a run folder is its own; raises BadRunFolder.

    Refused are links that lead out of it, and whatever is neither a file nor a folder: a pipe or a device has no end.
    """
    try:
        root = folder.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # a circle of links is a RuntimeError before Python 3.13
        raise BadRunFolder(f"the run folder {folder} cannot be read: {error}") from error
    for entry in _entries(root):
        if entry.is_symlink():
            target = Path(os.path.realpath(entry.path))
            if not target.is_relative_to(root):
                raise BadRunFolder(
                    f"the run {folder.name} holds a link that leads out of its folder: "
                    f"{_within(root, entry)} → {os.readlink(entry.path)}; replace it by what it names, or delete it"
                )
        elif not (entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)):
            raise BadRunFolder(
                f"the run {folder.name} holds what is neither a file nor a folder: {_within(root, entry)}; delete it"
            )


def path_inside(folder: Path, name: object) -> Path:
    """The file or folder that a file of the run folder names; raises BadRunFolder where it is not one of its own."""
    pure = PurePosixPath(str(name))
    path = folder / pure
    if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\0" in str(name):
        raise BadRunFolder(f"the run {folder.name} names '{name}', which is not a path inside its folder")
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise BadRunFolder(f"the run {folder.name} names '{name}', where a link leads out of its folder")
    return path


def neighbour(folder: Path, name: object) -> Path:
    """The folder of another run of the same project, by its id; raises BadRunFolder for any other path."""
    text = str(name)
    if not text or text in (".", "..") or PurePosixPath(text).name != text or "\0" in text or "\\" in text:
        raise BadRunFolder(f"the run {folder.name} names the run '{text}', which is not the id of one")
    return folder.parent / text


def id_of(folder: Path) -> str:
    """The id of a run as its journal says it first, which may have been the name of its folder once."""
    return (run_begun(folder).id if is_file(folder / JOURNAL) else None) or folder.name


def check_identity(folder: Path) -> None:
    """Whether a run folder says that it is the run of another folder beside it, whose record it would write; raises
    BadRunFolder. One that was renamed is still the run that it was.
    """
    run_id = id_of(folder)
    if run_id != folder.name and PurePosixPath(run_id).name == run_id and is_file(folder.parent / run_id / JOURNAL):
        raise BadRunFolder(
            f"the run {folder.name} says that it is {run_id}, which lies beside it, and would write into the record of "
            "that one: move one of the two away"
        )


def is_file(path: Path) -> bool:
    """Whether there is a file at `path` itself: no link, no pipe, no device."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def _entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """All below a folder, without following links; what a trainer deletes meanwhile is left out."""
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    yield entry
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except FileNotFoundError:
            continue


def _within(root: Path, entry: os.DirEntry[str]) -> str:
    return os.path.relpath(entry.path, root)
