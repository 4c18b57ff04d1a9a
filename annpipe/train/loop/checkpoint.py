"""Writes and reads checkpoints: nested state as `state.safetensors` and `state.json`, whole or not there at all.

Tensors anywhere in the state go to the safetensors file and leave their key in the JSON. Both files are written to a
temporary folder, fsynced, and the folder is renamed into place, so that a kill at any moment leaves the old one or the
new one. The JSON ends with a check sum of its own and has the digest of the tensors' file: a bit that has changed in
either is seen when the checkpoint is read.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from annpipe.errors import RunError
from annpipe.files.nested_state import Packed, read_state, write_state
from annpipe.files.private import PRIVATE_FOLDER
from annpipe.files.whole import Damaged
from annpipe.files.whole import sync_folder as sync_folder
from annpipe.observer import Observer

FOLDER = "checkpoints"


def save_checkpoint(folder: Path, name: str, state: dict[str, Any] | Packed, *, keeps_older: bool = False) -> Path:
    """Writes `state` to `<folder>/checkpoints/<name>`, replacing what was there.

    With `keeps_older` that one stays beside it, for `load_latest`. Raises OSError where it cannot be written; what was
    there is then as it was.
    """
    home = folder / FOLDER
    home.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    temporary, final, old = home / f".{name}.new", home / name, home / _older(name)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(mode=PRIVATE_FOLDER)
        write_state(temporary, state)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if final.exists():  # otherwise a kill between two renames has left `old` alone: it goes when `final` is there
        shutil.rmtree(old, ignore_errors=True)
        final.rename(old)
    temporary.rename(final)
    sync_folder(home)
    if not keeps_older:
        shutil.rmtree(old, ignore_errors=True)
    return final


def load_checkpoint(folder: Path, name: str) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote; raises RunError when there is none, Damaged when it has changed."""
    path = _path(folder, name)
    if path is None:
        raise RunError(
            f"there is no checkpoint '{name}' in {folder / FOLDER}: the run stopped before its first one, or none could"
            " be written; run its spec again"
        )
    return read_state(path)


def has_checkpoint(folder: Path, name: str) -> bool:
    """Whether there is one to be loaded, damaged or not."""
    return _path(folder, name) is not None


def _path(folder: Path, name: str) -> Path | None:
    home = folder / FOLDER
    # A kill between two renames has left the one before alone.
    return next((path for path in (home / name, home / _older(name)) if path.exists()), None)


def load_latest(folder: Path, name: str, observer: Observer) -> dict[str, Any]:
    """As `load_checkpoint`; where the newest one is damaged, the one before it, with a warning to the observer."""
    try:
        return load_checkpoint(folder, name)
    except Damaged as damage:
        older = folder / FOLDER / _older(name)
        if not older.exists() or not (folder / FOLDER / name).exists():
            raise Damaged(f"{damage}; there is no other one: the spec has to be run again") from damage
        state = read_state(older)
        observer.event(f"warning: {damage}; going on from the one before it, which is whole")
        return state


def drop_older(folder: Path, name: str) -> None:
    """Removes the checkpoint before the newest one, when nobody will go on from either."""
    shutil.rmtree(folder / FOLDER / _older(name), ignore_errors=True)


def _older(name: str) -> str:
    return f".{name}.old"
