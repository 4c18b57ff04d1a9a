"""A run in one line: status, times and loss, read from its journal alone, without MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from annpipe.record.journal import journal
from annpipe.record.journal.events import RunEnded, TrialEnded
from annpipe.record.journal.inside import neighbour
from annpipe.record.journal.journal import Status, now_ms
from annpipe.record.journal.state import is_recorded

LOSS = "train/loss"
FINAL_LOSS = f"final/{LOSS}"


@dataclass(frozen=True)
class RunSummary:
    """One run: its true status, when it began, how long it trained, its loss, and whether the record has all of it."""

    id: str
    name: str
    status: Status
    started_ms: int
    duration_seconds: float
    train_loss: float | None
    is_recorded: bool


def summarize(folder: Path) -> RunSummary:
    """The summary of the run in `folder`; a long journal is not read in full."""
    first = journal.run_begun(folder)
    status = journal.status(folder)
    started = first.time or _written_ms(folder)
    ended = now_ms() if status == "RUNNING" else _end(folder)
    return RunSummary(
        id=folder.name,
        name=folder.name if first.name is None else first.name,
        status=status,
        started_ms=started,
        duration_seconds=max(0, ended - started) / 1000,
        train_loss=_loss(folder),
        is_recorded=is_recorded(folder),
    )


def final_values(folder: Path) -> dict[str, float]:
    """What a run that finished told at its end, by metric key."""
    points = (point for event in journal.read(folder) for point in journal.points(event))
    return {key.removeprefix("final/"): value for key, _, value, _ in points if key.startswith("final/")}


def _end(folder: Path) -> int:
    """When the run ended; for one that was killed, when its journal was last written to."""
    end = journal.last_event(folder, RunEnded)
    if journal.status(folder) != "KILLED" and end is not None:
        return end[0].time
    return _written_ms(folder)


def _written_ms(folder: Path) -> int:
    """When the journal was last written to."""
    return round((folder / journal.FILE).stat().st_mtime * 1000)


def _loss(folder: Path) -> float | None:
    """The final loss, or the last one that was journaled, whichever came later."""
    texts = (f'"{FINAL_LOSS}":', f'"key":"{LOSS}"', f'"{LOSS}":')
    lines = [line for text in texts if (line := journal.last_line(folder, text)) is not None]
    for event, _ in sorted(lines, key=lambda line: line[1], reverse=True):
        values = [value for key, _, value, _ in journal.points(event) if key in {LOSS, FINAL_LOSS}]
        if values:
            return values[-1]
    return None


def is_sweep(folder: Path) -> bool:
    """Whether a run is one above trials."""
    return journal.run_begun(folder).tags.get("annpipe.sweep") == "true"


def trials_of(folder: Path) -> list[Path]:
    """The runs of a sweep's trials, in their order; raises BadRunFolder where it names what cannot be one."""
    names = [event.run for event in journal.read(folder) if isinstance(event, TrialEnded)]
    return [path for name in names if (path := neighbour(folder, name)).is_dir()]
