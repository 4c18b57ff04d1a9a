"""The trials of a sweep are trained, one after the other, and become one record: a run above with a run a trial below.

The sweep has a run folder and a journal of its own. Its one shipper sends the run of each trial when that has ended, so
that sixty-four trials cost one process that imports MLflow, and not as many.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from annpipe.record import journal as journals
from annpipe.record.journal import Journal, now_ms
from annpipe.record.location import artifact_root, resolve_tracking_uri, scrub
from annpipe.record.project import find_project, new_run_folder
from annpipe.record.recorder import Recorder, ShipState
from annpipe.record.source import environment_text, source_tags, spec_copy
from annpipe.sweep.axes import Axis
from annpipe.sweep.figures import draw_figures
from annpipe.sweep.table import Result, Swept, as_csv, as_log_table, best_values, groups_as_log_table
from annpipe.sweep.training import Training, stacks
from annpipe.sweep.trials import Goal, Teller, Trial
from annpipe.train.device import find_device


class SweepWatcher(Teller, Protocol):
    """Who is shown a sweep: each trial as it ends, and whatever else a person should read."""

    def trial(self, result: Result, done: int, of: int) -> None: ...


@dataclass(frozen=True)
class SweepEnd:
    """A sweep that has ended: its folder, what was found, the state of its record, and the signal that stopped it."""

    folder: Path
    swept: Swept
    record: ShipState
    signal: int | None = None
    wait_seconds: float = 0.0


def run_sweep(
    trials: Sequence[Trial],
    axes: Sequence[Axis],
    goal: Goal,
    watcher: SweepWatcher,
    *,
    tracking_uri: str | None = None,
    stop_on_failure: bool = False,
) -> SweepEnd:
    """Trains the trials that have no run yet, those of one structure together, and records all of them."""
    plan = trials[0].plan
    find_device(plan.device.type, None)
    project = find_project()
    uri = resolve_tracking_uri(tracking_uri, project, plan.tracking.uri)
    recorder = Recorder.start_shipper()
    folder = new_run_folder(project, f"{plan.head.name} sweep")
    results: list[Result] = []
    stopped: int | None = None
    try:
        with _opened(folder, trials, axes, uri, project) as journal:
            recorder.attach(folder, uri)
            training = Training(folder.name, uri, project, watcher, source_tags(Path(plan.file)))
            for group in stacks(trials):
                for result, signal in training.results(group):
                    results.append(result)
                    stopped = signal if signal is not None else stopped
                    journal.write("trial", run=_folder(result).name, time=now_ms())
                    watcher.trial(result, len(results), len(trials))
                if stopped is not None or (stop_on_failure and any(one.status == "FAILED" for one in results)):
                    break
            results.sort(key=lambda result: result.number)
            swept = Swept(plan.head.name, tuple(axes), goal, tuple(results))
            _write_results(journal, folder, swept)
            status = "KILLED" if stopped is not None else "FINISHED"
            journal.write("end", status=status, time=now_ms(), error=None)
    except BaseException:
        recorder.release()
        raise
    return SweepEnd(folder, swept, recorder.finish(plan.tracking.wait_seconds), stopped, plan.tracking.wait_seconds)


def _folder(result: Result) -> Path:
    assert result.run is not None
    return result.run


@contextmanager
def _opened(folder: Path, trials: Sequence[Trial], axes: Sequence[Axis], uri: str, project: Path) -> Iterator[Journal]:
    """The sweep's journal, with all that is known before the first trial."""
    plan = trials[0].plan
    journal = Journal.create(folder)
    swept = {axis.path: json.dumps(list(axis.values), ensure_ascii=False) for axis in axes}
    tags = source_tags(Path(plan.file)) | {"annpipe.sweep": "true", "annpipe.trials": str(len(trials))}
    journal.write(
        "run",
        id=folder.name,
        name=f"{plan.head.name} sweep",
        experiment=plan.tracking.experiment or plan.head.name,
        tracking_uri=scrub(uri),
        artifact_root=artifact_root(uri, project),
        time=now_ms(),
        description=plan.head.description,
        expected_points=None,
        tags=tags,
        params={f"over.{path}": values for path, values in swept.items()} | {"trials": str(len(trials))},
    )
    for file, text in (
        ("spec.yaml", spec_copy(Path(plan.file), plan.tracking.uri)),
        ("environment.txt", environment_text()),
    ):
        _keep(journal, folder, file, text)
    try:
        yield journal
    finally:
        journal.close()


def _keep(journal: Journal, folder: Path, file: str, text: str) -> None:
    (folder / file).write_text(text, encoding="utf-8")
    journal.write("artifact", file=file, to="")


def _write_results(journal: Journal, folder: Path, swept: Swept) -> None:
    """The table, the best trial with its model, the figures."""
    _keep(journal, folder, "trials.json", as_log_table(swept))
    _keep(journal, folder, "trials.csv", as_csv(swept))
    if swept.groups:
        _keep(journal, folder, "groups.json", groups_as_log_table(swept))
    tables = [{"path": file, "type": "table"} for file in ("trials.json", *(["groups.json"] if swept.groups else []))]
    journal.write("tags", tags={"mlflow.loggedArtifacts": json.dumps(tables)})  # as log_table says that it is one
    best = swept.best
    if best is not None and best.run is not None:
        journal.metrics(0, best_values(swept), now_ms())
        journal.write("tags", tags={"annpipe.best_trial": best.run.name})
        _keep(journal, folder, "best.yaml", (best.run / "plan.yaml").read_text(encoding="utf-8"))
        if (best.run / "model").is_dir():
            journal.write("model", folder=f"../{best.run.name}/model")  # beside it, wherever the project is moved to
    for path in draw_figures(swept, folder / "artifacts" / "plots", _curves(swept)):
        journal.write("artifact", file=str(path.relative_to(folder)), to="plots")


def _curves(swept: Swept) -> dict[int, tuple[list[int], list[float]]]:
    """By trial, the epochs and values of the metric that trials are compared by."""
    curves = {}
    for result in swept.results:
        epochs: list[int] = []
        values: list[float] = []
        if result.run is not None:
            for event in journals.read(result.run):
                for key, epoch, value, _ in journals.points(event):
                    if key == swept.goal.metric:
                        epochs.append(epoch)
                        values.append(value)
        curves[result.number] = (epochs, values)
    return curves
