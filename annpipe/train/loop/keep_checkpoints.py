"""Writes the checkpoints of a run, and holds them in memory while the disk refuses them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from annpipe.errors import RunError
from annpipe.files.nested_state import Packed, pack
from annpipe.observer import Observer
from annpipe.train.loop.checkpoint import load_checkpoint, save_checkpoint

MOST_HELD = 1 << 30  # bytes of checkpoints in memory
SECONDS_BETWEEN_TRIES = 10.0


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
