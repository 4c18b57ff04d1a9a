"""Replays a recorded run from its plan, and compares what it tells with what the journal has, bit for bit.

A replay trains in memory: its checkpoints lie in a folder that is removed, and nothing is written to the run or to a
store. Callbacks are not called: they change no step, and may write files. Where a run ended early, its replay ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from annpipe.backend.device import computing, find_device
from annpipe.backend.torch_globals import torch_defaults
from annpipe.errors import NonFinite, RunError, SpecError
from annpipe.observer import Observer
from annpipe.plan.plan import Plan
from annpipe.record.journal import journal as journals
from annpipe.record.journal.seal import PLAN, check_own
from annpipe.runs.environment import EnvironmentChange, differences
from annpipe.runs.launch import plan_of
from annpipe.runs.provenance import DataDigests, run_facts
from annpipe.runs.recorded import LOSS, RecordedRun, recorded_run
from annpipe.runs.replay_comparison import Parting, ReplayComparison
from annpipe.runs.trainer import SoloTrainer, TrainerParts
from annpipe.train.gears.compiled.gearbox import Shift
from annpipe.train.gears.shifting import Shifting
from annpipe.train.loop.loop import Loop

CLOSE = {"float32": 1e-3, "float64": 1e-8}  # relative, where the gears of run and replay add in another order


@dataclass(frozen=True)
class Verified:
    """What a replay showed: how many values were compared by key, and where they part first.

    `tolerance` is 0 where they were compared bit for bit; `largest` is the largest relative difference up to there.
    """

    run: str
    compared: Mapping[str, int]
    epochs: int
    parting: Parting | None
    tolerance: float
    largest: float
    gears: tuple[str, str]
    differences: Sequence[EnvironmentChange]
    notes: Sequence[str] = ()

    @property
    def is_equal(self) -> bool:
        """Whether all values agree."""
        return self.parting is None


def verify_run(
    folder: Path, observer: Observer, *, steps: int | None = None, epochs: int | None = None, trust: bool = False
) -> Verified:
    """Replays the run in `folder`, its first `steps` or `epochs` where they are given, and compares.

    Raises RunError where the journal tells no losses, NotFound for a sweep, SpecError and DataError where the plan
    cannot be made again, and NotTrusted where it is not known as the user's own, unless `trust` says that it is.
    """
    check_own(folder, PLAN, trusted=trust)
    run = recorded_run(folder)
    notes = [journals.damage_text(damaged)] if (damaged := journals.damaged_lines(folder)) else []
    with torch_defaults():
        plan = plan_of(folder, observer)
        with computing(plan.device.precision, deterministic=plan.device.deterministic) as dtype:
            return _Replay(plan, run, observer, notes).go(dtype, steps, epochs)


@dataclass
class _Replay:
    """A replay of a run's plan; `notes` gather what a person should know of it."""

    plan: Plan
    run: RecordedRun
    observer: Observer
    notes: list[str]

    def go(self, dtype: torch.dtype, steps: int | None, epochs: int | None) -> Verified:
        """Trains and compares; raises RunError where there is not an epoch to compare."""
        plan, run = self._unclocked(), self.run
        device = self._device()
        shifts: list[Shift] = []

        def shifted(shift: Shift) -> None:
            shifts.append(shift)
            self.observer.event(shift.message)

        made = SoloTrainer(run.first_threads).prepare(plan, device, dtype, self.observer, shifted)
        comparison = self._comparison(made, steps, epochs)
        if isinstance(made.gear, Shifting) and run.shifted_at is not None:
            made.gear.shift_at(run.shifted_at, run.threads)
        facts = run_facts(self.plan, DataDigests.of(made.parts.dataset))
        differing = differences(run, facts, device, made.threads)
        self._train(plan, made, comparison)
        gear = next((shift.tags["annpipe.gear"] for shift in shifts if "annpipe.gear" in shift.tags), "eager")
        self._explain(comparison, gear)
        parting = comparison.parting or comparison.first_untold()
        gears = (run.gear, gear)
        return Verified(
            run.folder.name,
            comparison.compared,
            comparison.compared.get(LOSS, 0),
            parting,
            comparison.tolerance,
            comparison.largest,
            gears,
            differing,
            self.notes,
        )

    def _unclocked(self) -> Plan:
        """The plan without what depends on the clock: its limit of time, and the decision to compile."""
        compiling = self.plan.device.compile if self.run.shifted_at is not None else "off"
        train = self.plan.train.model_copy(update={"max_seconds": None})
        return replace(self.plan, train=train, device=self.plan.device.model_copy(update={"compile": compiling}))

    def _device(self) -> torch.device:
        """The recorded device where it is here; else the one that the plan finds, or the CPU."""
        wanted = self.plan.device.type
        for word in (self.run.first_tags.get("annpipe.device") or wanted, wanted):
            with suppress(SpecError, RuntimeError):
                return find_device(word)
        self.notes.append(f"there is no device '{wanted}' here: it was replayed on the CPU")
        return torch.device("cpu")

    def _comparison(self, made: TrainerParts, steps: int | None, epochs: int | None) -> ReplayComparison:
        """What is to be compared: no more than was recorded, and was asked for."""
        per_epoch, total = made.schedule.steps_per_epoch, made.schedule.total_steps
        run, last = self.run, self.run.last_epoch
        if self.plan.train.max_seconds is not None and last * per_epoch < total:
            last -= 1
            self.notes.append(f"epoch {last + 1} is not compared: the run's `max_seconds` may have ended within it")
        if steps is not None and steps < total:
            last = min(last, steps // per_epoch)
        last = last if epochs is None else min(last, epochs)
        if last < 1:
            each = f"an epoch of {run.folder.name} has {per_epoch} steps, and a loss is recorded for each whole one"
            raise RunError(f"there is no epoch to compare: {each}")
        is_alike = run.gear == "eager" or run.shifted_at is not None
        tolerance = 0.0 if is_alike else CLOSE[self.plan.device.precision]
        return ReplayComparison(run, self.observer, last, min(total, last * per_epoch), per_epoch, tolerance)

    def _train(self, plan: Plan, made: TrainerParts, comparison: ReplayComparison) -> None:
        with tempfile.TemporaryDirectory(prefix="annpipe-verify-") as scratch:
            parts = replace(made.parts, callbacks=())
            loop = Loop(plan, parts, made.gear, made.schedule, comparison, Path(scratch), {}, keeps_start=False)
            self.observer.start(comparison.last_step, made.schedule.steps_per_epoch, 0)
            with suppress(NonFinite):  # the run came to that too, or told more than its replay
                loop.run()
            made.gear.close()

    def _explain(self, comparison: ReplayComparison, gear: str) -> None:
        """Notes which gears cannot give the same bits."""
        run, shifted_at = self.run, self.run.shifted_at
        if comparison.tolerance:
            self.notes.append(
                f"the gear '{run.gear}' trained it with other runs, and the replay trains it alone: sums are added in "
                f"another order, so values are compared to {comparison.tolerance:g} of themselves"
            )
        elif run.gear != gear and shifted_at is not None and shifted_at < comparison.last_step:
            self.notes.append(
                f"the run shifted to the gear '{run.gear}' after step {shifted_at}, which could not be made here: "
                "eager steps add in another order, and the last bits may differ from there on"
            )
