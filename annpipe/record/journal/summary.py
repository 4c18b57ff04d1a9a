"""A run in one line: status, times and metrics, read from its journal alone, without MLflow."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from annpipe.errors import BadRunFolder, NotFound
from annpipe.record.journal import journal
from annpipe.record.journal.events import RunBegun, RunEnded, TagsSet, TrialEnded
from annpipe.record.journal.inside import check_inside, neighbour
from annpipe.record.journal.journal import Status, now_ms
from annpipe.record.journal.project import find_run, run_folders
from annpipe.record.journal.source import FROM
from annpipe.record.journal.state import is_recorded

LOSS = "train/loss"
BEST_TRIAL = "annpipe.best_trial"  # the tag of a sweep that names a run


@dataclass(frozen=True)
class RunSummary:
    """One run: its true status, when it began, how long it trained, its loss, and whether the record has all of it.

    `metric` is the key that the run is judged by, `value` its last value. `sweep` is the id of the sweep that a trial
    belongs to, `begun_from` the run or the file whose weights it began with.
    """

    id: str
    name: str
    status: Status
    started_ms: int
    duration_seconds: float
    train_loss: float | None
    is_recorded: bool
    metric: str | None = None
    value: float | None = None
    sweep: str | None = None
    begun_from: str | None = None


def summarize(folder: Path) -> RunSummary:
    """The summary of the run in `folder`; a long journal is not read in full."""
    first = journal.run_begun(folder)
    status = journal.status(folder)
    started = first.time or _written_ms(folder)
    ended = now_ms() if status == "RUNNING" else _end(folder)
    metric, value = _watched(folder, first)
    return RunSummary(
        id=folder.name,
        name=folder.name if first.name is None else first.name,
        status=status,
        started_ms=started,
        duration_seconds=max(0, ended - started) / 1000,
        train_loss=latest_value(folder, LOSS),
        is_recorded=is_recorded(folder),
        metric=metric,
        value=value,
        sweep=first.parent,
        begun_from=first.tags.get(FROM),
    )


def _watched(folder: Path, first: RunBegun) -> tuple[str | None, float | None]:
    """The metric that a run is judged by, and its value: that of its sweep, one that a callback watches, or a loss."""
    params = first.params
    if first.parent:
        with suppress(OSError, BadRunFolder):
            params = {**params, **journal.run_begun(neighbour(folder, first.parent)).params}
    monitored = [params[path] for path in params if path.startswith("callbacks.") and path.endswith(".monitor")]
    for key in (params.get("metric"), *monitored, "val/loss", LOSS):
        if isinstance(key, str) and (value := latest_value(folder, key)) is not None:
            return key, value
    return None, None


def latest_value(folder: Path, key: str) -> float | None:
    """The final value of a metric, or the last one that was journaled, whichever came later; a sweep's best one."""
    keys = (key, f"final/{key}", f"best_trial/{key}")
    texts = (f'"key":{json.dumps(key)}', *(f"{json.dumps(name)}:" for name in keys))
    lines = [line for text in texts if (line := journal.last_line(folder, text)) is not None]
    for event, _ in sorted(lines, key=lambda line: line[1], reverse=True):
        values = [value for name, _, value, _ in journal.points(event) if name in keys]
        if values:
            return values[-1]
    return None


def large_is_good(folder: Path, key: str) -> bool | None:
    """Whether the best value that a run told of a metric is its largest; None where it does not tell.

    A sweep says it of the metric that its trials are compared by.
    """
    params = journal.run_begun(folder).params
    if params.get("metric") == key and params.get("goal") in ("maximize", "minimize"):
        return bool(params["goal"] == "maximize")
    values = [value for event in journal.read(folder) for name, _, value, _ in journal.points(event) if name == key]
    best = latest_value(folder, f"best/{key}")
    finite = [value for value in values if math.isfinite(value)]
    if best is None or not finite or min(finite) == max(finite):
        return None
    return best >= max(finite)


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


def find_sweep(project: Path, text: str) -> Path:
    """The folder of the sweep that `text` names, as `find_run` does; the name of its spec names the latest one.

    Raises NotFound where it names another run; one that is a trial tells its sweep.
    """
    sweeps = [run for run in run_folders(project) if is_sweep(run)]
    of_spec = [run for run in sweeps if journal.run_begun(run).name == f"{text} sweep"]
    folder = of_spec[-1] if of_spec else find_run(project, text)
    check_inside(folder)
    if folder in sweeps:
        return folder
    parent = journal.run_begun(folder).parent
    remedy = f"it is a trial of {parent}" if parent else "`annpipe runs` lists them with their sweeps"
    raise NotFound(f"the run {folder.name} is not a sweep; {remedy}")


def is_sweep(folder: Path) -> bool:
    """Whether a run is one above trials."""
    return journal.run_begun(folder).tags.get("annpipe.sweep") == "true"


def trials_of(folder: Path) -> list[Path]:
    """The runs of a sweep's trials, in their order; raises BadRunFolder where it names what cannot be one."""
    names = [event.run for event in journal.read(folder) if isinstance(event, TrialEnded)]
    return [path for name in names if (path := neighbour(folder, name)).is_dir()]


def best_trial_of(folder: Path) -> Path | None:
    """The run of a sweep's best trial; None where none finished. Raises BadRunFolder for what cannot be one."""
    line = journal.last_line(folder, f'"{BEST_TRIAL}"')
    name = line[0].tags.get(BEST_TRIAL) if line and isinstance(line[0], TagsSet) else None
    best = neighbour(folder, name) if name else None
    return best if best is not None and best.is_dir() else None
