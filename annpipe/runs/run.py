"""`Run`: trains a plan and writes down in its journal how the run goes and how it ends.

The train package computes, the record package keeps the journal. `annpipe.runs.begin` opens runs.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from annpipe.backend.device import computing, find_device
from annpipe.errors import AnnpipeError, LengthError, OutOfMemory, RunError, is_out_of_memory
from annpipe.export.model import export_model
from annpipe.files.private import private_folder
from annpipe.files.whole import write_whole
from annpipe.observer import Observer
from annpipe.plan.plan import Plan
from annpipe.plan.warnings import unreachable_targets
from annpipe.record.journal import journal as journals
from annpipe.record.journal.events import ArtifactKept, DatasetUsed, FileUnwritten, ModelSaved, RunResumed, TagsSet
from annpipe.record.journal.journal import Journal, now_ms
from annpipe.record.journal.location import scrub
from annpipe.record.journal.seal import seal, seal_plan
from annpipe.record.journal.source import NOTE
from annpipe.runs.further import Further
from annpipe.runs.note import run_note
from annpipe.runs.provenance import DataDigests, check_facts, dataset_facts, run_facts
from annpipe.runs.report import report_at_end
from annpipe.runs.reporter import RunReporter, ShouldStop, is_rate
from annpipe.runs.signals import StopSignal, signals_caught
from annpipe.runs.trainer import SoloTrainer, Trainer, TrainerParts
from annpipe.runs.what_changed import changes_said
from annpipe.saved.check import check_saved_model
from annpipe.train.gears.compiled.gearbox import Shift
from annpipe.train.loop.checkpoint import drop_older, has_checkpoint
from annpipe.train.loop.evaluate import evaluate, higher_is_better
from annpipe.train.loop.figures import draw, run_view, sampled
from annpipe.train.loop.lengthen import Lengthened, begin_anew
from annpipe.train.loop.loop import LAST, Loop
from annpipe.train.parts import Parts

NO_CHECKPOINT = "run its spec again, since there is no checkpoint to go on from"


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its status, the signal that stopped it if one did, and its final values by key.

    A run that `should_stop` ended is KILLED, after the epoch `pruned_at`.
    """

    status: journals.Status
    signal: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    error: BaseException | None = None
    pruned_at: int | None = None


@dataclass
class Run:
    """A run with its folder and journal open. `checkpoint` is the state to go on from, None for a new run.

    `trainer` prepares parts and gear. `should_stop` may end the run early, and so does `stop_signal`, which several
    runs can share. A run that `is_trial` of a sweep keeps its model in its folder and does not ship it. One that is
    resumed to another length has that as `further`.
    """

    plan: Plan
    folder: Path
    journal: Journal
    observer: Observer
    trainer: Trainer = field(default_factory=SoloTrainer)
    checkpoint: Mapping[str, Any] | None = None
    is_trial: bool = False
    should_stop: ShouldStop | None = None
    stop_signal: StopSignal = field(default_factory=StopSignal)
    further: Further | None = None
    _resumed: bool = field(default=False, init=False)

    def go(self) -> Outcome:
        """Trains to the end or to a signal and closes the journal with the run's status.

        What fails in the run is in the outcome, not raised.
        """
        reporter = RunReporter(self.journal, self.observer, self.folder, self.stop_signal, self.should_stop)
        with signals_caught(self.stop_signal):
            try:
                outcome = self._train(reporter)
            except KeyboardInterrupt:  # the second Ctrl-C: nothing more is measured, drawn or saved
                outcome = Outcome("KILLED", self.stop_signal.number)
            except BaseException as error:  # whatever ends a run is its failure: recorded, then reported
                if self.checkpoint is not None and not self._resumed:
                    self.journal.close()  # the run was never touched: its record stays as it was
                    if isinstance(error, LengthError):
                        raise
                    return Outcome("FAILED", error=error)
                outcome = self._failed(error)
        return self._ended(outcome)

    def keep_artifact(self, file: str, text: str, to: str = "") -> None:
        """Writes a text into the run's folder, and has the shipper send it to the folder `to` of the record."""
        path = self.folder / file
        private_folder(path.parent)
        write_whole(path, text)
        self.journal.write(ArtifactKept(file=file, to=to))

    def _ended(self, outcome: Outcome) -> Outcome:
        """Closes the journal with the status; a run whose end could not be written down has failed."""
        try:
            self.journal.end(outcome.status, str(outcome.error) if outcome.error else None)
            self.journal.close()
        except (OSError, RunError) as error:
            if outcome.status == "FINISHED":
                return replace(outcome, status="FAILED", error=error)
            self.observer.event(f"warning: {error}")
        if outcome.status == "FINISHED":
            drop_older(self.folder, LAST)
        return outcome

    def _failed(self, error: BaseException) -> Outcome:
        text = "".join(traceback.format_exception(error))
        error = OutOfMemory(error) if is_out_of_memory(error) else error
        try:
            self.keep_artifact("artifacts/error.txt", scrub(text))
        except OSError as refused:
            if not isinstance(error, AnnpipeError):  # whose message says it all
                self.observer.event(f"warning: the traceback could not be kept ({refused.strerror}):\n{scrub(text)}")
        return Outcome("FAILED", error=error)

    def _train(self, reporter: RunReporter) -> Outcome:
        plan = self.plan
        device = find_device(plan.device.type, None)
        with computing(plan.device.precision, deterministic=plan.device.deterministic) as dtype:
            made = self.trainer.prepare(plan, device, dtype, self.observer, self._shifted)
            facts = run_facts(plan, DataDigests.of(made.parts.dataset))
            if self.checkpoint is None:
                for warning in unreachable_targets(plan, made.parts.rows["train"].y):
                    self.observer.event(f"warning: {warning}")
            loop = self._loop(made, reporter, {**facts, "threads": made.threads})
            if self.checkpoint is None:
                self._record_start(made, facts, device)
            self.observer.start(made.schedule.total_steps, made.schedule.steps_per_epoch, loop.gear.step)
            if self.plan.train.max_seconds is not None:
                self.observer.limit(self.plan.train.max_seconds - loop.memory.seconds)
            is_complete = loop.run()
            loop.gear.close()
            return self._finished(loop, reporter) if is_complete else self._stopped(loop, reporter)

    def _loop(self, made: TrainerParts, reporter: RunReporter, facts: Mapping[str, Any]) -> Loop:
        loop = Loop(
            self.plan,
            made.parts,
            made.gear,
            made.schedule,
            reporter,
            self.folder,
            facts,
            higher_is_better=higher_is_better(self.plan, made.parts),
            keeps_start=not self.is_trial,  # its sweep trains anew what is not finished
            is_written=self.journal.sync,
        )
        if self.checkpoint is not None:
            self._resume(self.checkpoint, loop, reporter, facts)
        return loop

    def _resume(
        self, checkpoint: Mapping[str, Any], loop: Loop, reporter: RunReporter, facts: Mapping[str, Any]
    ) -> None:
        """Puts the state of the checkpoint into the loop, and tells the journal that the run goes on."""
        further = self.further
        before = further.facts(checkpoint["facts"], self.plan) if further else checkpoint["facts"]
        try:
            doubts = check_facts(before, facts)
        except RunError as error:
            raise RunError(f"{error}{changes_said(self.folder, self.plan, loop.parts.dataset)}") from error
        for doubt in doubts:
            self.observer.event(f"warning: {doubt}")
        made = further.lengthened(checkpoint, self.plan, loop.parts) if further else None
        loop.load_state(made.state if made else checkpoint)
        reporter.recall(loop.epoch)
        self.journal.write(RunResumed(time=now_ms(), step=loop.epoch))
        self._resumed = True
        if further is not None and made is not None:
            self._go_further(further, made, loop)

    def _go_further(self, further: Further, made: Lengthened, loop: Loop) -> None:
        """Writes the new length down: first in the journal, by which a run that is killed now finds it again."""
        for event in further.events(self.plan):
            self.journal.write(event)
        self.journal.sync()
        self.keep_artifact("plan.yaml", self.plan.to_yaml())
        seal_plan(self.folder)
        if made.begins_anew:
            begin_anew(loop.parts.callbacks, loop.epoch)
        for note in made.notes:
            self.observer.event(f"warning: {note}")

    def _record_start(self, made: TrainerParts, facts: Mapping[str, Any], device: torch.device) -> None:
        tags = {
            "annpipe.device": str(device),
            "annpipe.threads": str(made.threads),
            "annpipe.gear": self.trainer.gear_name,
            "annpipe.cpu": torch.backends.cpu.get_cpu_capability(),
        }
        if device.type == "cuda":
            tags["annpipe.device_name"] = torch.cuda.get_device_name(device)
        self.journal.write(TagsSet(tags=tags))
        plan = self.plan
        source = {"spec": plan.file, "component": plan.data.to_data(), "seed": plan.head.seed}
        dataset = dataset_facts(made.parts.dataset, plan.data.name, source, digest=facts["dataset"])
        self.journal.write(DatasetUsed(dataset=dataset, facts=facts))

    def _shifted(self, shift: Shift) -> None:
        self.journal.write(TagsSet(tags=dict(shift.tags)))
        self.observer.event(shift.message)

    def _stopped(self, loop: Loop, reporter: RunReporter) -> Outcome:
        if reporter.pruned_at is not None:
            self.journal.write(TagsSet(tags={"annpipe.pruned": str(reporter.pruned_at)}))
            return Outcome("KILLED", values=loop.memory.latest, pruned_at=reporter.pruned_at)
        how = f"`annpipe resume {self.folder.name}` goes on" if can_go_on(self.folder) else NO_CHECKPOINT
        self.observer.event(f"stopped after step {loop.gear.step}; {how}")
        return Outcome("KILLED", self.stop_signal.number, loop.memory.latest)

    def _finished(self, loop: Loop, reporter: RunReporter) -> Outcome:
        """Measures the final values, saves the model and draws the figures, once the training is complete."""
        if n_skipped := loop.gear.guard.n_skipped:
            self.observer.event(f"warning: {n_skipped} of {loop.schedule.total_steps} steps were left out")
            self.journal.write(TagsSet(tags={"annpipe.skipped_steps": str(n_skipped)}))
        values = self._final_values(loop)
        self._save_model(loop.parts)
        self._draw(loop.parts, reporter)
        if self.plan.tracking.report and not self.is_trial:  # its sweep has one of all trials
            report_at_end(self.plan, loop.parts, self.folder, self.journal, self.observer)
        return Outcome("FINISHED", values=values)

    def _final_values(self, loop: Loop) -> dict[str, float]:
        parts, memory = loop.parts, loop.memory
        final = dict(memory.latest)
        for name, rows in parts.rows.items():
            measured = evaluate(self.plan, parts, rows)
            # the loss of the last epoch's steps stands for the train split; the others are measured now
            final |= {f"{name}/{key}": value for key, value in measured.items() if (name, key) != ("train", "loss")}
        summary = {f"final/{key}": value for key, value in final.items() if not is_rate(key)}
        summary |= {f"best/{key}": value for key, (value, _) in memory.best.items()}
        self.journal.single_values(summary, now_ms())  # of step 0 MLflow draws bars, which compare better than points
        if not self.is_trial:
            self.journal.write(TagsSet(tags={NOTE: run_note(self.plan, final, memory.best)}))
        return final

    def _save_model(self, parts: Parts) -> None:
        try:
            export_model(self.plan, parts, self.folder / "model")
        except OSError as error:
            resume = f"`annpipe resume {self.folder.name}`" if can_go_on(self.folder) else NO_CHECKPOINT
            raise RunError(
                f"the training is complete, but its model could not be written ({error.strerror}); make room for it, "
                f"then {resume}"
            ) from error
        check_saved_model(parts, self.folder / "model")
        seal(self.folder)
        if not self.is_trial:
            self.journal.write(ModelSaved(folder="model"))  # shipped while the figures are drawn

    def _draw(self, parts: Parts, reporter: RunReporter) -> None:
        if not self.plan.plots:
            return
        view = run_view(self.plan, parts, reporter.history)
        if few := sampled(parts):
            self.observer.event(few)
        for path, fault in draw(self.plan.plots, view, self.folder / "artifacts" / "plots"):
            file = path.relative_to(self.folder).as_posix()
            if isinstance(fault, OSError):
                self.journal.write(FileUnwritten(file=file, time=now_ms(), reason=fault.strerror))
                self.observer.event(
                    f"warning: the plot '{path.stem}' could not be written ({fault.strerror}): make room for it, then "
                    f"`annpipe resume {self.folder.name}` draws it"
                )
            elif fault:
                self.observer.event(f"the plot '{path.stem}' could not be drawn: {fault}")
            else:
                self.journal.write(ArtifactKept(file=file, to="plots"))


def can_go_on(folder: Path) -> bool:
    """Whether a run that ended has left a checkpoint to resume it from: a full disk may have taken none."""
    return has_checkpoint(folder, LAST)
