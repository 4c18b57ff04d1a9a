"""Differences between runs, in their plans and in their results; read from their folders, without MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annpipe.errors import AnnpipeError, NotFound
from annpipe.record.journal import journal
from annpipe.record.journal.differences import Defaults, Row, compare_plans, no_defaults
from annpipe.record.journal.events import DatasetUsed, RunBegun
from annpipe.record.journal.project import Skipped, fault_of
from annpipe.record.journal.summary import RunSummary, is_sweep, summarize
from annpipe.spec.yaml.nodes import plain
from annpipe.spec.yaml.reader import read_file

UNASKED = ("version", "name", "description", "tags", "plugins", "tracking", "plots")  # of no weight for the numbers


@dataclass(frozen=True)
class Comparison:
    """Runs side by side: `asked` are the values of their plans that differ, `results` all of their results.

    `labels` are what to call the runs: their names, with the ids of those that share one. `is_whole` tells that `asked`
    has the equal values too.
    """

    runs: tuple[RunSummary, ...]
    labels: tuple[str, ...]
    asked: tuple[Row, ...]
    results: tuple[Row, ...]
    is_whole: bool = False


@dataclass(frozen=True)
class _Read:
    """What is compared of a run."""

    run: RunSummary
    plan: dict[str, Any]
    digest: str | None
    results: dict[str, float]


def compare(
    folders: Sequence[Path],
    notify: Callable[[str], None],
    *,
    best_of: Mapping[Path, str] | None = None,
    defaults: Defaults = no_defaults,
    equal: bool = False,
) -> Comparison:
    """Compares the plans and the results of runs, in their order; one that cannot be read is told and left out.

    `best_of` has the sweeps for which their best trials stand. `equal` and `defaults` are as in `compare_plans`.
    """
    read = []
    for folder in folders:
        if fault := fault_of(folder):
            notify(str(Skipped(folder, fault)))
            continue
        if not (folder / "plan.yaml").is_file() and not is_sweep(folder):
            notify(f"warning: {folder.name} has no plan.yaml: what it was asked for is not compared")
        try:
            read.append(_Read(summarize(folder), _plan(folder), _digest(folder), _results(folder)))
        except OSError as error:
            notify(str(Skipped(folder, f"it cannot be read ({error.strerror})")))
        except AnnpipeError as error:
            notify(str(Skipped(folder, f"its plan cannot be read: {error}")))
    sweeps = {folder.name: sweep for folder, sweep in (best_of or {}).items()}
    asked = compare_plans([run.plan for run in read], defaults=defaults, equal=equal)
    return _compared(read, [*asked], sweeps, is_whole=equal)


def labels_of(runs: Sequence[RunSummary], best_of: Mapping[str, str]) -> tuple[str, ...]:
    """What to call runs: the name, with the id where two share one, and the sweep whose best trial it is."""
    names = [run.name for run in runs]
    labels = []
    for run in runs:
        label = run.name if names.count(run.name) == 1 else f"{run.name} ({run.id})"
        label = f"best of {best_of[run.id]}: {label}" if run.id in best_of else label
        labels.append(label if run.status == "FINISHED" else f"{label} ({run.status})")
    return tuple(labels)


def _compared(read: Sequence[_Read], asked: Sequence[Row], best_of: Mapping[str, str], *, is_whole: bool) -> Comparison:
    runs, values = tuple(run.run for run in read), [run.results for run in read]
    digests = Row("digest of the data", tuple(run.digest for run in read))
    shown = [digests] if read and (digests.differs or is_whole) else []
    keys = sorted({key for results in values for key in results})
    rows = [Row(key, tuple(results.get(key) for results in values)) for key in keys]
    seconds = Row("seconds", tuple(run.duration_seconds for run in runs))
    return Comparison(runs, labels_of(runs, best_of), (*asked, *shown), (*rows, seconds), is_whole)


def _plan(folder: Path) -> dict[str, Any]:
    path = folder / "plan.yaml"
    if not path.is_file():
        return {}
    plan = plain(read_file(path))
    if not isinstance(plan, dict):
        raise NotFound(f"{path.name} is no plan")
    return {key: value for key, value in plan.items() if key not in UNASKED}


def _digest(folder: Path) -> str | None:
    """The digest of the data that a run was trained on."""
    line = journal.last_line(folder, '"context":"train"')
    dataset = line[0].dataset if line and isinstance(line[0], RunBegun | DatasetUsed) else None
    return dataset.get("digest") if dataset else None


def _results(folder: Path) -> dict[str, float]:
    """Final and best values, and those of `annpipe evaluate`; of a run without an end its latest ones."""
    latest = {key: value for event in journal.read(folder) for key, _, value, _ in journal.points(event)}
    results = {key: value for key, value in latest.items() if key.partition("/")[0] in ("final", "best", "evaluated")}
    return results or {key: value for key, value in latest.items() if not key.startswith("lr")}
