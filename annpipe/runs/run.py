"""A Plan becomes a recorded run: the train package does the work, the record package writes it down.

`begin` opens a new run, `reopen` an interrupted one; `Run.go` trains, draws, saves the model and closes the journal.
"""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from annpipe.backend.device import computing, find_device, measured_threads
from annpipe.backend.torch_globals import torch_defaults
from annpipe.errors import AnnpipeError, OutOfMemory, RunError, is_out_of_memory
from annpipe.export.model import export_model
from annpipe.files.private import private_folder
from annpipe.files.whole import write_whole
from annpipe.observer import Display
from annpipe.plan.plan import Plan
from annpipe.record.journal import journal as journals
from annpipe.record.journal.journal import Journal, now_ms
from annpipe.record.journal.location import scrub
from annpipe.record.journal.seal import seal
from annpipe.record.journal.source import environment_text, source_tags, spec_copy
from annpipe.runs.provenance import DataDigests, check_facts, dataset_facts, plan_tags, run_facts
from annpipe.runs.reporter import Historian, Judge
from annpipe.runs.signals import signals_noted
from annpipe.saved.check import check_saved_model
from annpipe.train.gears.base import Gear
from annpipe.train.gears.compiled.gearbox import Shift
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.shifting import gear_for
from annpipe.train.loop.checkpoint import drop_older, has_checkpoint, load_latest
from annpipe.train.loop.evaluate import evaluate, higher_is_better
from annpipe.train.loop.figures import draw, run_view, sampled
from annpipe.train.loop.loop import LAST, Loop
from annpipe.train.loop.lr_test import RateTest, range_test
from annpipe.train.loop.output_range import out_of_reach
from annpipe.train.parts import Parts, build, trial_copy
from annpipe.train.schedule import Schedule, schedule

FROM_THE_START = "run its spec again, since there is no checkpoint to go on from"


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its status, the signal that stopped it if one did, and its final values by key.

    A run that its judge ended is KILLED, after the epoch `pruned_at`.
    """

    status: journals.Status
    signal: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    error: BaseException | None = None
    pruned_at: int | None = None


@dataclass(frozen=True)
class Made:
    """What a run is made of, where that is there before it begins: its parts and schedule, and a gear over them."""

    parts: Parts
    steps: Schedule
    gear: Gear


@dataclass
class Run:
    """A run with its folder and journal open. `checkpoint` is the state to go on from, None for a new run.

    `threads` are known where another run measured them, `made` where it is a member of a stack. A run that `is_trial`
    of a sweep keeps its model in its folder and does not ship it; its `judge` may end it early.
    """

    plan: Plan
    folder: Path
    journal: Journal
    display: Display
    checkpoint: Mapping[str, Any] | None = None
    threads: int | None = None
    is_trial: bool = False
    made: Made | None = None
    judge: Judge | None = None
    stopped_by: int | None = field(default=None, init=False)
    _resumed: bool = field(default=False, init=False)

    def go(self, on_start: Callable[[Schedule, str, int], None]) -> Outcome:
        """Trains to the end or to a signal and closes the journal with the run's status; raises nothing of the run's.

        `on_start` hears the schedule, the device and the steps already done, just before the first step.
        """
        self.journal.tell = self.display.event
        historian = Historian(self.journal, self.display, self.folder, lambda: self.stopped_by, self.judge)
        with signals_noted(historian):
            try:
                outcome = self._train(historian, on_start)
            except KeyboardInterrupt:  # the second Ctrl-C: what the run had to say at its end is lost
                outcome = Outcome("KILLED", historian.signal)
            except BaseException as error:  # whatever ends a run is its failure: recorded, then reported
                if self.checkpoint is not None and not self._resumed:
                    self.journal.close()  # the run was never touched: its record stays as it was
                    return Outcome("FAILED", error=error)
                outcome = self._failed(error)
        return self._ended(outcome)

    def _ended(self, outcome: Outcome) -> Outcome:
        """Closes the journal with the status; a run whose end could not be written down has failed."""
        try:
            self.journal.end(outcome.status, str(outcome.error) if outcome.error else None)
            self.journal.close()
        except (OSError, RunError) as error:
            if outcome.status == "FINISHED":
                return replace(outcome, status="FAILED", error=error)
            self.display.event(f"warning: {error}")
        if outcome.status == "FINISHED":
            drop_older(self.folder, LAST)
        return outcome

    def _failed(self, error: BaseException) -> Outcome:
        text = "".join(traceback.format_exception(error))
        error = OutOfMemory(error) if is_out_of_memory(error) else error
        try:
            self._artifact("artifacts/error.txt", scrub(text), "")
        except OSError as refused:
            if not isinstance(error, AnnpipeError):  # what is known speaks for itself
                self.display.event(f"warning: the traceback could not be kept ({refused.strerror}):\n{scrub(text)}")
        return Outcome("FAILED", error=error)

    def _train(self, historian: Historian, on_start: Callable[[Schedule, str, int], None]) -> Outcome:
        plan = self.plan
        device = find_device(plan.device.type, None)
        with computing(plan.device.precision, deterministic=plan.device.deterministic) as dtype:
            parts = self.made.parts if self.made else build(plan, device, dtype, self.display)
            if self.checkpoint is None:
                for said in out_of_reach(plan, parts.rows["train"].y):
                    self.display.event(f"warning: {said}")
            steps = self.made.steps if self.made else schedule(plan, len(parts.rows["train"]))
            threads = self._threads(parts, steps, device)
            facts = run_facts(plan, DataDigests.of(parts.dataset))
            loop = self._loop(parts, steps, historian, {**facts, "threads": threads})
            if self.checkpoint is None:
                self._record_start(parts, facts, device, threads)
            on_start(steps, str(device), loop.gear.step)
            is_complete = loop.run()
            loop.gear.close()
            if (n_skipped := loop.gear.guard.n_skipped) and is_complete:
                self.display.event(f"warning: {n_skipped} of {steps.total_steps} steps were left out")
                self.journal.write("tags", tags={"annpipe.skipped_steps": str(n_skipped)})
            if historian.pruned_at is not None and not is_complete:
                self.journal.write("tags", tags={"annpipe.pruned": str(historian.pruned_at)})
                return Outcome("KILLED", values=loop.memory.latest, pruned_at=historian.pruned_at)
            if not is_complete:
                goes_on = f"`annpipe resume {self.folder.name}` goes on" if can_go_on(self.folder) else FROM_THE_START
                self.display.event(f"stopped after step {loop.gear.step}; {goes_on}")
                return Outcome("KILLED", historian.signal, loop.memory.latest)
            return Outcome("FINISHED", values=self._finish(loop, historian))

    def _threads(self, parts: Parts, steps: Schedule, device: torch.device) -> int:
        """The number of threads: as given, as before the interruption, or measured on copies that are thrown away."""
        wanted = self.plan.device.threads if self.threads is None else self.threads
        if self.checkpoint is not None:
            wanted = int(self.checkpoint["facts"]["threads"])
        elif wanted == "auto" and (device.type != "cpu" or self.plan.device.deterministic):
            wanted = 1
        if wanted != "auto":
            torch.set_num_threads(wanted)
            return wanted
        trial = Eager(self.plan, trial_copy(parts, self.plan, device), steps)
        threads = measured_threads(lambda n: trial.advance(n).tolist())[0]
        trial.close()
        return threads

    def _loop(self, parts: Parts, steps: Schedule, historian: Historian, facts: Mapping[str, Any]) -> Loop:
        loop = Loop(
            self.plan,
            parts,
            self.made.gear if self.made else gear_for(self.plan, parts, steps, self._shifted),
            steps,
            historian,
            self.folder,
            facts,
            higher_is_better=higher_is_better(self.plan, parts),
            keeps_start=not self.is_trial,  # its sweep makes anew what is not finished
            is_written=self.journal.sync,
        )
        if self.checkpoint is not None:
            for doubt in check_facts(self.checkpoint["facts"], facts):
                self.display.event(f"warning: {doubt}")
            loop.load_state(self.checkpoint)
            self._recall(historian, loop.epoch)
            self.journal.write("resumed", time=now_ms(), step=loop.epoch)
            self._resumed = True
        return loop

    def _recall(self, historian: Historian, epoch: int) -> None:
        """The series up to the checkpoint, out of the journal."""
        for event in journals.read(self.folder):
            for key, step, value, _ in journals.points(event):
                if step <= epoch + _is_rate(key):  # a rate is written before the epoch that it holds for
                    historian.remember(key, step, value)

    def _record_start(self, parts: Parts, facts: Mapping[str, Any], device: torch.device, threads: int) -> None:
        tags = {
            "annpipe.device": str(device),
            "annpipe.threads": str(threads),
            "annpipe.gear": "stacked" if self.made else "eager",
        }
        if device.type == "cuda":
            tags["annpipe.device_name"] = torch.cuda.get_device_name(device)
        self.journal.write("tags", tags=tags)
        plan = self.plan
        source = {"spec": plan.file, "component": plan.data.to_data(), "seed": plan.head.seed}
        dataset = dataset_facts(parts.dataset, plan.data.name, source, digest=facts["dataset"])
        self.journal.write("dataset", dataset=dataset, facts=facts)

    def _shifted(self, shift: Shift) -> None:
        self.journal.write("tags", tags=dict(shift.tags))
        self.display.event(shift.message)

    def _finish(self, loop: Loop, historian: Historian) -> dict[str, float]:
        """Final values, figures and the model, once the training is complete."""
        parts, memory = loop.parts, loop.memory
        final = dict(memory.latest)
        for name, rows in parts.rows.items():
            found = evaluate(self.plan, parts, rows)
            # the loss of the last epoch's steps stands for the train split; the others are measured now
            final |= {f"{name}/{key}": value for key, value in found.items() if (name, key) != ("train", "loss")}
        summary = {f"final/{key}": value for key, value in final.items() if not _is_rate(key)}
        summary |= {f"best/{key}": value for key, (value, _) in memory.best.items()}
        self.journal.metrics(0, summary, now_ms())  # of step 0 MLflow draws bars, which compare better than points
        try:
            export_model(self.plan, parts, self.folder / "model")
        except OSError as error:
            resume = f"`annpipe resume {self.folder.name}`" if can_go_on(self.folder) else FROM_THE_START
            raise RunError(
                f"the training is complete, but its model could not be written ({error.strerror}); make room for it, "
                f"then {resume}"
            ) from error
        check_saved_model(parts, self.folder / "model")
        seal(self.folder)
        if not self.is_trial:
            self.journal.write("model", folder="model")  # shipped while the figures are drawn
        self._draw(parts, historian)
        return final

    def _draw(self, parts: Parts, historian: Historian) -> None:
        if not self.plan.plots:
            return
        view = run_view(self.plan, parts, historian.history)
        if few := sampled(parts):
            self.display.event(few)
        for path, fault in draw(self.plan.plots, view, self.folder / "artifacts" / "plots"):
            file = str(path.relative_to(self.folder))
            if isinstance(fault, OSError):
                self.journal.write("unwritten", file=file, time=now_ms(), reason=fault.strerror)
                self.display.event(
                    f"warning: the plot '{path.stem}' could not be written ({fault.strerror}): make room for it, then "
                    f"`annpipe resume {self.folder.name}` draws it"
                )
            elif fault:
                self.display.event(f"the plot '{path.stem}' could not be drawn: {fault}")
            else:
                self.journal.write("artifact", file=file, to="plots")

    def _artifact(self, file: str, text: str, to: str) -> None:
        path = self.folder / file
        private_folder(path.parent)
        write_whole(path, text)
        self.journal.write("artifact", file=file, to=to)


def _is_rate(key: str) -> bool:
    """Whether a key is that of a learning rate: `lr`, or `lr/1` of the first group with its own."""
    return key.partition("/")[0] == "lr"


def can_go_on(folder: Path) -> bool:
    """Whether a run that ended has left a checkpoint to resume it from: a full disk may have taken none."""
    return has_checkpoint(folder, LAST)


def begin(
    plan: Plan,
    folder: Path,
    display: Display,
    *,
    tracking_uri: str,
    artifact_root: str | None,
    sweep: str | None = None,
    origin: Mapping[str, str] | None = None,
    name: str | None = None,
) -> Run:
    """Opens the journal of a new run in `folder` and writes down all that is known before it starts.

    `sweep` is the folder's name of the sweep that it is a trial of; `origin` are the tags of its source, where known;
    `name` is what its record is called, that of the plan if left out.
    """
    with _beginning(folder):
        return _begun(plan, folder, display, tracking_uri, artifact_root, sweep, origin, name)


@contextmanager
def _beginning(folder: Path) -> Iterator[None]:
    """Leaves nothing behind where a run cannot begin for want of room or of rights."""
    try:
        yield
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise RunError(
            f"no run can begin in {folder.parent} ({error.strerror}): make room, or run it elsewhere"
        ) from error


def _begun(
    plan: Plan,
    folder: Path,
    display: Display,
    tracking_uri: str,
    artifact_root: str | None,
    sweep: str | None,
    origin: Mapping[str, str] | None,
    name: str | None,
) -> Run:
    journal = Journal.create(folder)
    journal.tell = display.event
    run = Run(plan, folder, journal, display, is_trial=sweep is not None)
    tags = dict(source_tags(Path(plan.file)) if origin is None else origin)
    tags |= plan_tags(plan) | {k: str(v) for k, v in plan.head.tags.items()}
    journal.write(
        "run",
        id=folder.name,
        name=name or plan.head.name,
        experiment=plan.tracking.experiment or plan.head.name,
        tracking_uri=scrub(tracking_uri),
        artifact_root=artifact_root,
        time=now_ms(),
        description=plan.head.description,
        expected_points=plan.train.epochs or plan.train.steps,  # with steps no more than these
        tags=tags,
        params=plan.params(),
        parent=sweep,
    )
    run._artifact("plan.yaml", plan.to_yaml(), "")
    seal(folder)
    if sweep is not None:
        return run  # its sweep has the spec and the environment
    # a tracking URI in the spec may hold a password: artifacts are for others to read
    run._artifact("spec.yaml", spec_copy(Path(plan.file), plan.tracking.uri), "")
    run._artifact("environment.txt", environment_text(), "")
    return run


@torch_defaults()
def try_rates(plan: Plan, *, low: float, high: float, steps: int) -> RateTest:
    """A learning rate test of the plan, on parts made for it: neither a run nor its numbers know of it."""
    device = find_device(plan.device.type, None)
    with computing(plan.device.precision, deterministic=plan.device.deterministic) as dtype:
        torch.set_num_threads(1 if plan.device.threads == "auto" else plan.device.threads)
        parts = build(replace(plan, scheduler=None), device, dtype)
        return range_test(replace(plan, scheduler=None), parts, low=low, high=high, steps=steps)


def reopen(plan: Plan, folder: Path, display: Display) -> Run:
    """Opens an interrupted run at its last checkpoint; raises RunError when it has none or is still running."""
    checkpoint = load_latest(folder, LAST, display.event)
    if damaged := journals.damaged_lines(folder):
        display.event(f"warning: {journals.damage_said(damaged)}")
    try:
        return Run(plan, folder, Journal.reopen(folder), display, checkpoint)
    except OSError as error:
        raise RunError(
            f"the journal of {folder.name} cannot be written ({error.strerror}): it stays as it is"
        ) from error
