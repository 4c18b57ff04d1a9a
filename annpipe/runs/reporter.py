"""Writes the loop's reports to the journal, the display and the plot history."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from annpipe.errors import RunError
from annpipe.files.private import private_folder
from annpipe.files.whole import write_whole
from annpipe.observer import Observer
from annpipe.record.journal import journal as journals
from annpipe.record.journal.events import ArtifactKept
from annpipe.record.journal.journal import Journal, now_ms
from annpipe.record.journal.location import scrub
from annpipe.runs.signals import StopSignal
from annpipe.train.loop.figures import save_figure
from annpipe.train.loop.loop import LoopObserver

MAX_POINTS = 100_000  # of a series, 1.6 MB

ShouldStop: TypeAlias = Callable[[str, int, float], bool]
"""Takes each value with its key and epoch; True ends the run."""


@dataclass
class PlotSeries:
    """The points of a series for the figures, at most 100,000: beyond those every second one is dropped, repeatedly."""

    epochs: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    n_added: int = 0
    stride: int = 1

    def add(self, epoch: int, value: float) -> None:
        """Keeps the next point, or skips it where only every `stride`-th is kept."""
        if self.n_added % self.stride == 0:
            self.epochs.append(epoch)
            self.values.append(value)
            if len(self.epochs) > MAX_POINTS:
                del self.epochs[1::2], self.values[1::2]
                self.stride *= 2
        self.n_added += 1


class RunReporter(LoopObserver):
    """Writes what the loop reports to the journal, passes it on to the observer, and keeps the series for the figures.

    The loop is stopped by `stop_signal`, or where `should_stop` is True of a value: `pruned_at` is the epoch of that.
    """

    def __init__(
        self,
        journal: Journal,
        observer: Observer,
        folder: Path,
        stop_signal: StopSignal,
        should_stop: ShouldStop | None = None,
    ) -> None:
        self._journal, self._observer, self._folder = journal, observer, folder
        self._stop_signal, self._should_stop = stop_signal, should_stop
        self.pruned_at: int | None = None
        self._last_ms = now_ms()
        self._history: dict[str, PlotSeries] = {}

    def losses(self, first_epoch: int, values: Sequence[float]) -> None:
        now = now_ms()
        self._journal.series("train/loss", first_epoch, values, self._last_ms, now)
        self._last_ms = now
        for epoch, value in enumerate(values, start=first_epoch):
            self._remember("train/loss", epoch, value)

    def values(self, epoch: int, values: Mapping[str, float]) -> None:
        self._journal.metrics(epoch, values, now_ms())
        for key, value in values.items():
            self._remember(key, epoch, value)

    def _remember(self, key: str, epoch: int, value: float) -> None:
        self._history.setdefault(key, PlotSeries()).add(epoch, value)
        if self._should_stop is not None and self.pruned_at is None and self._should_stop(key, epoch, value):
            self.pruned_at = epoch

    def recall(self, epoch: int) -> None:
        """Reads the series up to the checkpoint of a resumed run, made after `epoch`, out of its journal."""
        for event in journals.read(self._folder):
            for key, step, value, _ in journals.points(event):
                if step <= epoch + is_rate(key):  # a rate is written before the epoch that it holds for
                    self._remember(key, step, value)

    @property
    def history(self) -> dict[str, tuple[list[int], list[float]]]:
        """By key, the epochs and values for figures: all, or of a very long run some at equal distances."""
        return {key: (series.epochs.tolist(), series.values.tolist()) for key, series in self._history.items()}

    def progress(self, step: int, loss: float) -> None:
        self._observer.progress(step, loss)

    def stopped(self) -> bool:
        return self._stop_signal.number is not None or self.pruned_at is not None

    def event(self, message: str) -> None:
        self._observer.event(message)

    def artifact(self, name: str, content: Any) -> None:
        """Keeps a text or a figure that a callback gives; raises RunError for a name outside `looks/`."""
        file = PurePosixPath(name)
        if not file.parts or file.is_absolute() or any(part.startswith(".") for part in file.parts):
            raise RunError(f"a callback named an artifact '{name}': use a relative path, as samples/epoch_10.csv")
        folder = self._folder / "artifacts" / "looks" / file.parent
        try:
            if isinstance(content, str):
                private_folder(folder)
                path = folder / file.name
                write_whole(path, scrub(content))
            else:
                path = save_figure(content, folder, file.name)
        except OSError as error:
            self.event(f"warning: the artifact '{name}' of a callback could not be written ({error.strerror})")
            return
        to = (PurePosixPath("looks") / file.parent).as_posix()
        self._journal.write(ArtifactKept(file=path.relative_to(self._folder).as_posix(), to=to))


def is_rate(key: str) -> bool:
    """Whether a key is that of a learning rate: `lr`, or `lr/1` of the first group with its own."""
    return key.partition("/")[0] == "lr"
