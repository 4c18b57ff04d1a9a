"""Runs a sweep: trains its trials and records them together, as a parent run with one child run for each trial.

The sweep has a run folder and a journal of its own. Its one shipper sends the run of each trial, so that sixty-four
trials cost one process that imports MLflow, and not as many.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from annpipe.backend.device import find_device
from annpipe.backend.torch_globals import torch_defaults
from annpipe.files.whole import write_whole
from annpipe.observer import Observer
from annpipe.record.journal import journal as journals
from annpipe.record.journal.events import ArtifactKept, ModelSaved, RunBegun, TagsSet, TrialBegun, TrialEnded
from annpipe.record.journal.journal import Journal, Status, now_ms
from annpipe.record.journal.location import artifact_root, resolve_tracking_uri, scrub
from annpipe.record.journal.project import find_project, new_run_folder
from annpipe.record.journal.seal import seal
from annpipe.record.journal.source import NOTE, environment_text, source_tags, spec_copy
from annpipe.record.shipper.recorder import Recorder, ShipState
from annpipe.runs.launch import shipping
from annpipe.runs.note import sweep_note
from annpipe.runs.notebook import default_observer
from annpipe.runs.report import report_of_sweep
from annpipe.runs.spec_source import SpecSource
from annpipe.spec.sections.axes import Axis, over_of
from annpipe.sweep.chooser import Chooser, GridChooser
from annpipe.sweep.design import Design, design_sweep
from annpipe.sweep.figures import draw_figures
from annpipe.sweep.plan_trials import Planner
from annpipe.sweep.results.table import (
    Result,
    SweepResult,
    as_csv,
    as_log_table,
    best_values,
    groups_as_log_table,
    values_in_words,
)
from annpipe.sweep.train_trials import TrialRunner
from annpipe.sweep.workers import Worker, WorkerPool, WorkerTask, threads_of


@dataclass(frozen=True)
class SweepEnd:
    """A sweep that has ended: its folder, its results, the state of its record, and the signal that stopped it."""

    folder: Path
    swept: SweepResult
    record: ShipState
    signal: int | None = None
    wait_seconds: float = 0.0


def run_sweep(
    spec: str | Path,
    *,
    over: Mapping[str, Any] | None = None,
    overrides: Iterable[str] = (),
    unset: Iterable[str] = (),
    device: str | None = None,
    workers: int = 1,
    storage: str | None = None,
    tracking_uri: str | None = None,
    observer: Observer | None = None,
) -> SweepEnd:
    """Trains and records all trials of a spec's sweep; raises SpecError where the spec or a trial of it is wrong.

    `over` are more values to try, by path, as in `sweep.over`; `overrides` may set the other options of `sweep`, as in
    `sweep.trials=64`. `workers` processes train here; a `storage`, the SQLAlchemy URL of a database, is shared with
    whoever runs the same sweep elsewhere, and raises StoreError where it cannot be opened.
    """
    pairs = [over_of(path, values) for path, values in (over or {}).items()]
    source = SpecSource(Path(spec), tuple(overrides), tuple(unset), device, over=tuple(pairs))
    observer = observer or default_observer()
    design = design_sweep(source, observer)
    with shipping() as recorder:
        return train_sweep(design, observer, recorder, workers=workers, storage=storage, tracking_uri=tracking_uri)


@torch_defaults()
def train_sweep(
    design: Design,
    observer: Observer,
    recorder: Recorder,
    *,
    workers: int = 1,
    storage: str | None = None,
    tracking_uri: str | None = None,
) -> SweepEnd:
    """Trains the trials that have no run yet, those of one structure together, and records all of them."""
    plan = design.base
    find_device(plan.device.type, None)
    planner = Planner(design.source, design.axes, observer)
    planner.check(design.every_kind)
    project = find_project()
    uri = resolve_tracking_uri(tracking_uri, project, plan.tracking.uri)
    folder = new_run_folder(project, f"{plan.head.name} sweep")
    with _opened(folder, design, uri, project, observer) as journal:
        recorder.attach(folder, uri, system=plan.tracking.system)

        def on_begin(run: Path) -> None:
            journal.write(TrialBegun(run=run.name, time=now_ms()))

        source, threads = source_tags(Path(plan.file)), threads_of(workers)
        runner = TrialRunner(folder.name, uri, project, observer, source, threads, on_begin)
        coordinator = _Coordinator(design, planner, observer, journal, folder, runner)
        stopped = coordinator.run(workers, storage, uri, project)
        results = tuple(coordinator.results[number] for number in sorted(coordinator.results))
        swept = SweepResult(plan.head.name, _with_tried_values(design.axes, results), design.goal, results)
        _write_results(journal, folder, swept, design)
        status: Status = "KILLED" if stopped is not None else "FINISHED"
        if plan.tracking.report:
            report_of_sweep(folder, journal, observer, status)
        journal.end(status)
    return SweepEnd(folder, swept, recorder.finish(plan.tracking.wait_seconds), stopped, plan.tracking.wait_seconds)


def _with_tried_values(axes: Sequence[Axis], results: Sequence[Result]) -> tuple[Axis, ...]:
    """The axes, ranges with the values that were tried."""
    values = {axis.path: tuple(sorted({result.values[axis.path] for result in results})) for axis in axes if axis.span}
    return tuple(replace(axis, values=values.get(axis.path, axis.values)) for axis in axes)


class _Coordinator:
    """Trains the trials of a sweep, here and with other workers, and collects their results."""

    def __init__(
        self,
        design: Design,
        planner: Planner,
        observer: Observer,
        journal: Journal,
        folder: Path,
        runner: TrialRunner,
    ) -> None:
        self._planner = planner
        self._design, self._observer, self._journal, self._runner = design, observer, journal, runner
        self._folder = folder
        self.results: dict[int, Result] = {}
        self._chooser: Chooser = GridChooser(design)
        self._pool: WorkerPool | None = None

    def run(self, workers: int, storage: str | None, uri: str, project: Path) -> int | None:
        """Trains all that is left to train; gives the signal that stopped it, if one did."""
        design = self._design
        if design.call.is_grid and design.call.prune is None and workers == 1 and storage is None:
            return self._work()
        from annpipe.sweep.optuna_study import Study, database, seed_of
        from annpipe.sweep.storage import answering, storage_of

        url = storage or (database(self._folder) if workers > 1 else None)
        name = f"{design.base.head.name} {design.digest} {self._planner.digest}"
        shared = self._folder.name if storage else None
        opened, seed = storage_of(url), seed_of(design, 0, shared)
        with answering(url), Study(design, opened, name, seed=seed, of=workers).heartbeat() as study:
            self._chooser = study
            if workers > 1 and url is not None:
                self._pool = WorkerPool(
                    WorkerTask(design.source, url, name, self._folder.name, shared, uri, project, workers), study
                )
            try:
                return self._work()
            finally:
                if self._pool:
                    self._pool.stop()
                self._collect()

    def _work(self) -> int | None:
        worker = Worker(self._design, self._planner, self._chooser, self._runner, self._may_go_on)
        for result in worker.results():
            self._take(result)
        return worker.stop_signal.number

    def _may_go_on(self) -> bool:
        if self._pool:
            self._pool.release_dead()
        self._collect()
        has_failed = any(result.status == "FAILED" for result in self.results.values())
        return not (has_failed and self._design.call.options.on_failure == "stop")

    def _collect(self) -> None:
        for result in self._chooser.results_of_others():
            self._take(result)

    def _take(self, result: Result) -> None:
        if result.number in self.results:  # trained twice, by a worker that was taken for dead
            return
        self.results[result.number] = result
        if result.run is not None and result.run.parent == self._folder.parent and result.run.is_dir():
            self._journal.write(TrialEnded(run=result.run.name, time=now_ms()))
        self._observer.trial(result, len(self.results), self._design.choices * self._design.repeats)


@contextmanager
def _opened(folder: Path, design: Design, uri: str, project: Path, observer: Observer) -> Iterator[Journal]:
    """The sweep's journal, with all that is known before the first trial."""
    plan, call = design.base, design.call
    journal = Journal.create(folder, observer)
    trials = str(design.choices * design.repeats)
    swept = {f"over.{axis.path}": axis.in_words if axis.span else _as_text(axis) for axis in call.axes}
    goal = "maximize" if design.goal.higher else "minimize"
    how = {"method": call.method.name, "trials": trials, "metric": design.goal.metric, "goal": goal}
    how |= {"prune": call.prune.name} if call.prune else {}
    tags = source_tags(Path(plan.file)) | {"annpipe.sweep": "true", "annpipe.trials": trials}
    journal.write(
        RunBegun(
            id=folder.name,
            name=f"{plan.head.name} sweep",
            experiment=plan.tracking.experiment or plan.head.name,
            tracking_uri=scrub(uri),
            artifact_root=artifact_root(uri, project),
            time=now_ms(),
            description=_note(design),
            expected_points=None,
            tags=tags,
            params=swept | how,
        )
    )
    try:
        for file, text in (
            ("spec.yaml", spec_copy(Path(plan.file), plan.tracking.uri)),
            ("environment.txt", environment_text()),
        ):
            _keep(journal, folder, file, text)
        seal(folder)
        yield journal
    except Exception as error:  # recorded, then reported
        journal.end("FAILED", scrub(str(error)))
        raise
    finally:
        journal.close()


def _as_text(axis: Axis) -> str:
    return json.dumps(list(axis.values), ensure_ascii=False)


def _keep(journal: Journal, folder: Path, file: str, text: str) -> None:
    write_whole(folder / file, text)
    journal.write(ArtifactKept(file=file, to=""))


def _write_results(journal: Journal, folder: Path, swept: SweepResult, design: Design) -> None:
    """The table, the best trial with its model, the figures."""
    _keep(journal, folder, "trials.json", as_log_table(swept))
    _keep(journal, folder, "trials.csv", as_csv(swept))
    if swept.groups:
        _keep(journal, folder, "groups.json", groups_as_log_table(swept))
    tables = [{"path": file, "type": "table"} for file in ("trials.json", *(["groups.json"] if swept.groups else []))]
    journal.write(TagsSet(tags={"mlflow.loggedArtifacts": json.dumps(tables)}))  # as log_table says that it is one
    best = swept.best
    if best is not None and best.run is not None and best.run.is_dir():
        journal.metrics(0, best_values(swept), now_ms())
        journal.write(TagsSet(tags={"annpipe.best_trial": best.run.name, NOTE: _note(design, swept)}))
        _keep(journal, folder, "best.yaml", (best.run / "plan.yaml").read_text(encoding="utf-8"))
        if (best.run / "model").is_dir():
            journal.write(ModelSaved(folder=f"../{best.run.name}/model"))  # beside it, wherever the project is moved to
    for path in draw_figures(swept, folder / "artifacts" / "plots", _curves(swept)):
        journal.write(ArtifactKept(file=path.relative_to(folder).as_posix(), to="plots"))


def _note(design: Design, swept: SweepResult | None = None) -> str:
    """The description of a sweep's run, at its end with the best trial and how many were there already."""
    axes = ", ".join(f"`{axis.path}` in {axis.in_words if axis.span else _as_text(axis)}" for axis in design.call.axes)
    n_before = sum(not result.is_new for result in swept.results) if swept else 0
    trials = f"{design.choices * design.repeats} trials" + (f" ({n_before} made before)" if n_before else "")
    return sweep_note(design.base, axes, trials, _best_in_words(swept) if swept else "")


def _best_in_words(swept: SweepResult) -> str:
    """The best trial's value and what it is of; with repetitions their mean and its interval."""
    best, metric = swept.best, swept.goal.metric
    if best is None:
        return ""
    if swept.groups:
        group = swept.groups[0]
        of = values_in_words(group.values) or "the spec"
        return f"**best {metric} {group.spread.mean:.4g}** (mean of {len(group.trials)} trials): {of}"
    return f"**best {metric} {best.finals[metric]:.4g}**: {values_in_words(best.values)}"


def _curves(swept: SweepResult) -> dict[int, tuple[list[int], list[float]]]:
    """By trial, the epochs and values of the metric that trials are compared by."""
    curves = {}
    for result in swept.results:
        epochs: list[int] = []
        values: list[float] = []
        if result.run is not None and (result.run / journals.FILE).is_file():
            for event in journals.read(result.run):
                for key, epoch, value, _ in journals.points(event):
                    if key == swept.goal.metric:
                        epochs.append(epoch)
                        values.append(value)
        curves[result.number] = (epochs, values)
    return curves
