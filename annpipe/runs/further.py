"""Trains a run to another length: the plan of that length, the state to go on from, and what the record says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from annpipe.draft.sections import Draft
from annpipe.errors import LengthError
from annpipe.observer import SILENT, Observer
from annpipe.plan.plan import Plan
from annpipe.plan.schedules import run_length, says_its_length, with_other_length
from annpipe.record.journal import journal as journals
from annpipe.record.journal.events import Event, LengthChanged, ParamsSet, RunBegun, TagsSet
from annpipe.record.journal.journal import now_ms
from annpipe.record.journal.summary import LOSS
from annpipe.runs.plans import plan_of
from annpipe.spec.sections.models import Train
from annpipe.train.loop.lengthen import Lengthened, length_words, lengthened
from annpipe.train.parts import Parts
from annpipe.train.schedule import schedule

LENGTH = "annpipe.length"  # the tag of a run that was trained to another length
OWN_SCHEDULE = "annpipe.schedule"  # the tag of a run whose spec itself says a schedule's length that is just the run's


@dataclass(frozen=True)
class Further:
    """A run that goes on from a checkpoint made under the section `was`. `event` tells the new length; it is None where
    the journal has it. `known` are the digests of the plans that the run had, `n_changes` how often it was told."""

    was: Train
    event: LengthChanged | None
    known: frozenset[str]
    n_changes: int
    has_own_schedule: bool

    def facts(self, facts: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
        """The facts of the checkpoint, with the plan of now where it was made under an earlier one of the run."""
        return {**facts, "plan": plan.digest} if facts["plan"] in self.known else dict(facts)

    def lengthened(self, state: Mapping[str, Any], plan: Plan, parts: Parts) -> Lengthened:
        """The state to go on from; raises LengthError where the run is as long already."""
        steps, done = schedule(plan, len(parts.rows["train"])), state["gear"]["step"]
        if done >= steps.total_steps:
            has_epochs = plan.train.epochs is not None
            trained = f"{done // steps.steps_per_epoch:,} epochs" if has_epochs else f"{done:,} steps"
            raise LengthError(
                f"the run has been trained for {trained} already, and is asked for {length_words(plan.train)} in all: "
                f"give {'--epochs' if has_epochs else '--steps'} a larger number"
            )
        return lengthened(state, plan, self.was, parts, has_own_schedule=self.has_own_schedule)

    def events(self, plan: Plan) -> list[Event]:
        """What the journal has to be told; nothing where it was told already."""
        if self.event is None:
            return []
        unit = "epochs" if plan.train.epochs is not None else "steps"
        number = f"_{self.n_changes}" if self.n_changes > 1 else ""
        tags = {"annpipe.plan": plan.digest, LENGTH: f"{length_words(plan.train)}, {length_words(self.was)} before"}
        params = {f"train.{unit}.extended{number}": str(self.event.total)}  # MLflow lets no param change
        return [self.event, TagsSet(tags=tags), ParamsSet(params=params)]


def plan_to_go_on(
    folder: Path, checkpoint: Mapping[str, Any], epochs: int | None, steps: int | None, observer: Observer
) -> tuple[Plan, Further | None]:
    """The plan that a run goes on with, and how its length changes; None where it stays.

    A change that the journal has and the checkpoint does not is one as well: the run was killed before it made another.
    Raises LengthError for a run that counts in the other unit or belongs to a sweep.
    """
    changes = [event for event in journals.read(folder) if isinstance(event, LengthChanged)]
    begun, asked = journals.run_begun(folder), epochs or steps
    step, ended = checkpoint["gear"]["step"], checkpoint["memory"]["ended_by"] is not None
    pending = [change for change in changes if change.step >= step]
    if asked is None and not pending:
        return plan_of(folder, observer), None
    plan = plan_of(folder, SILENT)
    known = frozenset([begun.tags.get("annpipe.plan", ""), *(change.plan for change in changes)])
    if asked is not None:
        _check_asked(folder, plan, begun, epochs)
    if plan.digest not in known:  # it was changed by hand, and the check of the facts will say so
        return plan, None
    announced = changes[-1].total if changes else total_of(plan.train)
    is_own = begun.tags.get(OWN_SCHEDULE) == "own"
    new = _plan_of_length(folder, plan, asked or announced, observer, has_own_schedule=is_own)
    was = with_total(plan.train, pending[0].before if pending else announced)
    is_told = total_of(new.train) == announced and (bool(pending) or not ended)
    event = None if is_told else _event(new, announced, step)
    n_changes = len(changes) + (event is not None)
    return new, Further(was, event, known | {new.digest}, n_changes, is_own)


def _check_asked(folder: Path, plan: Plan, begun: RunBegun, epochs: int | None) -> None:
    if begun.parent:
        raise LengthError(
            f"{folder.name} is a trial of {begun.parent}, whose trials are compared as they are: begin a run from its "
            f"weights, `model: {{from: {folder.name}}}`"
        )
    if (epochs is not None) != (plan.train.epochs is not None):
        counts, other = ("epochs", "steps") if plan.train.epochs is not None else ("steps", "epochs")
        raise LengthError(f"{folder.name} counts its length in {counts}: give --{counts} in place of --{other}")
    points = (point for event in journals.read(folder) for point in journals.points(event))
    recorded = max((step for key, step, *_ in points if key == LOSS), default=0)
    if epochs is not None and epochs < recorded:  # by a run that was killed after its last checkpoint
        raise LengthError(
            f"the run has been trained for {recorded} epochs already, and is asked for {epochs} epochs in all"
        )


def total_of(train: Train) -> int:
    """The length that `train` says, in epochs or in steps."""
    return train.epochs or train.steps or 0


def with_total(train: Train, total: int) -> Train:
    """The section with another length in the same unit."""
    return train.model_copy(update={"epochs" if train.epochs is not None else "steps": total})


def _plan_of_length(folder: Path, plan: Plan, total: int, observer: Observer, *, has_own_schedule: bool) -> Plan:
    """The plan of the run with another length; a schedule that is as long as the run is as long as that."""
    was, now = (run_length(train, plan.n_train) for train in (plan.train, with_total(plan.train, total)))

    def scheduled(drafted: Draft) -> Draft:
        if drafted.scheduler is None or was is None or now is None or has_own_schedule:
            return drafted
        return replace(drafted, scheduler=with_other_length(drafted.scheduler, was, now))

    unit = "epochs" if plan.train.epochs is not None else "steps"
    return plan_of(folder, observer, [f"train.{unit}={total}"], scheduled)


def _event(new: Plan, before: int, step: int) -> LengthChanged:
    train = new.train
    return LengthChanged(
        time=now_ms(), step=step, before=before, plan=new.digest, epochs=train.epochs, steps=train.steps
    )


def schedule_tags(plan: Plan) -> dict[str, str]:
    """The tag of a plan whose spec says a schedule's length that is just the run's: it is no longer with the run."""
    length = run_length(plan.train, plan.n_train)
    if plan.scheduler is None or length is None or not says_its_length(plan.scheduler, length):
        return {}
    return {OWN_SCHEDULE: "own"}


def facts_with_present_plan(folder: Path, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """The facts that a run began with, with the plan that it has since its length was changed."""
    last = journals.last_event(folder, LengthChanged)
    return {**facts, "plan": last[0].plan} if last else facts
