"""Writes and reads checkpoints: nested state as `state.safetensors` and `state.json`, whole or not there at all.

Tensors anywhere in the state go to the safetensors file and leave their key in the JSON. Both files are written to a
temporary folder, fsynced, and the folder is renamed into place, so that a kill at any moment leaves the old one or the
new one. The JSON ends with a check sum of its own and has the digest of the tensors' file: a bit that has changed in
either is seen when the checkpoint is read.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from annpipe.errors import RunError
from annpipe.files.descriptors import move
from annpipe.files.descriptors import sync_folder as sync_folder
from annpipe.files.nested_state import Packed, pack, read_state, write_state
from annpipe.files.private import PRIVATE_FOLDER
from annpipe.files.whole import Damaged
from annpipe.observer import Observer

FOLDER = "checkpoints"
MOST_HELD = 1 << 30  # bytes of checkpoints in memory
SECONDS_BETWEEN_TRIES = 10.0


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
        move(final, old)
    move(temporary, final)
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


class Keeper:
    """Writes checkpoints; one that cannot be written is a warning, and is tried again.

    What a callback asked to keep waits in memory meanwhile. The safety checkpoint is not held, since a later one will
    do, and is written only when the journal (`is_written`) and all that was kept before are on the disk: a resumed run
    finds everything that its checkpoint knows of.
    """

    def __init__(self, folder: Path, observer: Observer, is_written: Callable[[], bool]) -> None:
        self._folder, self._observer, self._is_written = folder, observer, is_written
        self._held: dict[str, Packed] = {}
        self._failing = False
        self.tried_at = time.monotonic()

    def keep(self, name: str, state: dict[str, Any]) -> bool:
        """Writes the checkpoint `name` that a callback asked for; whether it is on the disk.

        Raises RunError where more waits in memory than may.
        """
        self._held[name] = pack(state)
        if sum(packed.size for packed in self._held.values()) > MOST_HELD:
            raise RunError(f"{len(self._held)} checkpoints could not be written, and memory holds no more of them")
        return self._try(self._write_held)

    def keep_latest(self, name: str, state: dict[str, Any]) -> bool:
        """Writes the safety checkpoint; whether it is on the disk."""
        self.tried_at = time.monotonic()

        def write() -> None:
            self._write_held()
            if not self._is_written():
                raise OSError(None, "the journal has to be written before it")
            save_checkpoint(self._folder, name, state, keeps_older=True)

        return self._try(write)

    def is_due(self, kept_at: float, seconds: float) -> bool:
        """Whether a safety checkpoint should be tried now, the last one having been made at `kept_at`."""
        now = time.monotonic()
        between = min(seconds, SECONDS_BETWEEN_TRIES)
        return now - kept_at > seconds and (not self._failing or now - self.tried_at > between)

    def load(self, name: str) -> dict[str, Any]:
        """The checkpoint `name`; raises RunError when there is none on the disk or it was not written."""
        if name in self._held and not self._try(self._write_held):
            raise RunError(
                f"the checkpoint '{name}' could not be written, and so not be restored; make room and resume"
            )
        return load_checkpoint(self._folder, name)

    def _write_held(self) -> None:
        for name in list(self._held):
            save_checkpoint(self._folder, name, self._held[name])
            del self._held[name]

    def _try(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except OSError as error:
            if not self._failing:
                self._observer.event(f"warning: no checkpoint can be written ({error.strerror}); it is tried again")
            self._failing = True
            return False
        if self._failing:
            self._observer.event("checkpoints are written again")
        self._failing = False
        return True
