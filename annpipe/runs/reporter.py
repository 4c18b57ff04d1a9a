"""Who hears what a run tells: the journal gets it, the display shows it, and the figures find it again."""

from __future__ import annotations

import errno
import os
import signal
import termios
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import Any, Protocol, TypeAlias

from annpipe.errors import RunError
from annpipe.files.private import private_folder
from annpipe.files.whole import write_whole
from annpipe.record.journal.events import ArtifactKept
from annpipe.record.journal.journal import Journal, now_ms
from annpipe.record.journal.location import scrub
from annpipe.train.loop.figures import save_figure
from annpipe.observer import Display

MOST_REMEMBERED = 100_000  # points of a series, 1.6 MB


Judge: TypeAlias = Callable[[str, int, float], bool]
"""Hears each value by its key and epoch, and says whether the run should end now."""


@dataclass
class Remembered:
    """The points of a series for the figures, at most 100,000: beyond those every second one goes, again and again."""

    epochs: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    seen: int = 0
    stride: int = 1

    def add(self, epoch: int, value: float) -> None:
        """Takes the next point, or leaves it out."""
        if self.seen % self.stride == 0:
            self.epochs.append(epoch)
            self.values.append(value)
            if len(self.epochs) > MOST_REMEMBERED:
                del self.epochs[1::2], self.values[1::2]
                self.stride *= 2
        self.seen += 1


class Historian:
    """Writes what the loop reports to the journal and keeps the series for the figures."""

    def __init__(
        self,
        journal: Journal,
        display: Display,
        folder: Path,
        told: Callable[[], int | None] = lambda: None,
        judge: Judge | None = None,
    ) -> None:
        """`told` gives the signal by which another thread stopped the run, if one did; `judge` may end it early."""
        self.journal, self._display, self._folder, self._told = journal, display, folder, told
        self._judge = judge
        self.pruned_at: int | None = None
        self._noted: int | None = None
        self._last_ms = now_ms()
        self._history: dict[str, Remembered] = {}

    @property
    def signal(self) -> int | None:
        """The signal that asked the run to stop."""
        return self._noted if self._noted is not None else self._told()

    @signal.setter
    def signal(self, number: int | None) -> None:
        self._noted = number

    def losses(self, first_epoch: int, values: Sequence[float]) -> None:
        now = now_ms()
        self.journal.series("train/loss", first_epoch, values, self._last_ms, now)
        self._last_ms = now
        for epoch, value in enumerate(values, start=first_epoch):
            self.remember("train/loss", epoch, value)

    def values(self, epoch: int, values: Mapping[str, float]) -> None:
        self.journal.metrics(epoch, values, now_ms())
        for key, value in values.items():
            self.remember(key, epoch, value)

    def remember(self, key: str, epoch: int, value: float) -> None:
        self._history.setdefault(key, Remembered()).add(epoch, value)
        if self._judge is not None and self.pruned_at is None and self._judge(key, epoch, value):
            self.pruned_at = epoch

    @property
    def history(self) -> dict[str, tuple[list[int], list[float]]]:
        """By key, the epochs and values that figures see: all, or of a very long run some at equal distances."""
        return {key: (one.epochs.tolist(), one.values.tolist()) for key, one in self._history.items()}

    def progress(self, step: int, loss: float) -> None:
        self._display.progress(step, loss)

    def stopped(self) -> bool:
        return self.signal is not None or self.pruned_at is not None

    def event(self, message: str) -> None:
        self._display.event(message)

    def artifact(self, name: str, content: Any) -> None:
        """Keeps a text or a figure that a callback gives; raises RunError for a name outside `looks/`."""
        place = PurePosixPath(name)
        if not place.parts or place.is_absolute() or any(part.startswith(".") for part in place.parts):
            raise RunError(f"a callback named an artifact '{name}': use a relative path, as samples/epoch_10.csv")
        folder = self._folder / "artifacts" / "looks" / place.parent
        try:
            if isinstance(content, str):
                private_folder(folder)
                path = folder / place.name
                write_whole(path, scrub(content))
            else:
                path = save_figure(content, folder, place.name)
        except OSError as error:
            self.event(f"warning: the artifact '{name}' of a callback could not be written ({error.strerror})")
            return
        to = (PurePosixPath("looks") / place.parent).as_posix()
        self.journal.write(ArtifactKept(file=path.relative_to(self._folder).as_posix(), to=to))
