"""The training loop: the gear runs from look to look; everything else happens there.

Between two looks there are pauses, about ten a second, at which losses come to the host, the journal and the progress
bar, and a signal or a due safety checkpoint is seen. Where the pauses fall changes no number.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from annpipe.contract import Look
from annpipe.errors import NonFinite, NonFiniteLoss, RunError
from annpipe.observer import Observer
from annpipe.plan.plan import Plan
from annpipe.train.divisors import sums_of
from annpipe.train.gears.base import Gear
from annpipe.train.loop.callbacks import callback_state, recordable
from annpipe.train.loop.checkpoint import FOLDER, Keeper
from annpipe.train.loop.evaluate import evaluate
from annpipe.train.loop.figures import run_view
from annpipe.train.parts import Parts
from annpipe.train.schedule import Pace, Schedule
from annpipe.train.tally import LoopState, step_losses

PAUSE_SECONDS = 0.1
LAST = "last"


class LoopObserver(Observer):
    """Told the figures of a training loop, and asked whether it should stop; epochs count from 1."""

    def losses(self, first_epoch: int, values: Sequence[float]) -> None:
        """The train losses of consecutive epochs."""

    def values(self, epoch: int, values: Mapping[str, float]) -> None:
        """Metrics at an epoch, by key."""

    def artifact(self, name: str, content: Any) -> None:
        """A text or a figure to keep as `looks/<name>`."""

    def stopped(self) -> bool:
        """Whether the loop should stop now."""
        return False

    @property
    def history(self) -> Mapping[str, tuple[list[int], list[float]]]:
        """The epochs and values reported so far, by key."""
        return {}


@dataclass
class Loop:
    """A run under way. `facts` are kept in each checkpoint and compared when it is resumed.

    One that `keeps_start` has a checkpoint before its first step; else it begins anew where it is killed soon. A
    checkpoint waits until `is_written` says that all that was reported is on the disk.
    """

    plan: Plan
    parts: Parts
    gear: Gear
    schedule: Schedule
    reporter: LoopObserver
    folder: Path
    facts: Mapping[str, Any]
    memory: LoopState = field(default_factory=LoopState)
    higher_is_better: frozenset[str] = frozenset()
    keeps_start: bool = True
    is_written: Callable[[], bool] = lambda: True

    def __post_init__(self) -> None:
        self._sums = sums_of(self.plan, self.parts.loss)
        self._pace = Pace(PAUSE_SECONDS)
        self._finite_checkpoint: str | None = None
        self._keeper = Keeper(self.folder, self.reporter, self.is_written)
        self._kept_at = self._timed_at = time.monotonic()

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return self.gear.step // self.schedule.steps_per_epoch

    @property
    def begun_epoch(self) -> int:
        """The epoch of the last step, from 1; it may have ended or not."""
        return -(-self.gear.step // self.schedule.steps_per_epoch)

    @property
    def is_done(self) -> bool:
        return self.gear.step >= self.schedule.total_steps or self.memory.ended_by is not None

    def run(self) -> bool:
        """Trains to the end, or until the reporter says stop; True when the training is complete.

        Raises NonFiniteLoss, RunError, OptionError, and whatever a plugin raises.
        """
        self._timed_at = time.monotonic()
        if self.gear.step == 0 and self.keeps_start:
            self.keep(LAST)
        while not self.is_done:
            self._stretch()
            out_of_time = self._is_out_of_time()
            if out_of_time:
                self._take_mean(self.begun_epoch)
            if out_of_time or self.gear.step == self.schedule.next_look(self.gear.step - 1):
                self._look()
            if out_of_time and not self.is_done:
                self._end(f"ended after step {self.gear.step}: its {self.plan.train.max_seconds:g} seconds are over")
            if self.is_done:
                break
            if self.reporter.stopped():
                self.keep(LAST)
                return False
            if self._keeper.is_due(self._kept_at, self.plan.train.checkpoint_seconds):
                self.keep(LAST)
        if not self._is_finite():  # of the last step: no step comes after it whose loss would show it
            raise NonFinite(self.gear.step, "the parameters became nan or infinite", self._finite_checkpoint)
        self.keep(LAST)
        restored = self._keeper.load(self.memory.restore)["gear"] if self.memory.restore else None
        remark = self.gear.settle(restored)
        if remark:
            self.reporter.event(remark)
        return True

    def _stretch(self) -> None:
        """One pause's worth of steps, no further than the next look."""
        begin_step = self.gear.step
        n_steps = min(self.gear.pause_after(self._pace.steps), self.schedule.next_look(begin_step) - begin_step)
        begin = time.perf_counter()
        figures = self.gear.advance(n_steps)
        has_terms = figures.ndim > 1
        losses: list[float] = step_losses(figures, len(self._sums) if has_terms else 0).tolist()
        self._pace.took(n_steps, time.perf_counter() - begin)
        guard = self.gear.guard
        left_out = guard.left_out(self.gear.step, self.reporter)
        self._take_losses(begin_step, losses, figures.tolist() if has_terms else None, left_out)
        self.memory.latest |= guard.counts
        if guard.broken is not None:
            raise NonFinite(begin_step + len(losses), guard.broken, self._finite_checkpoint)
        self._take_time()
        latest = self.memory.latest.get("train/loss")
        self.reporter.progress(self.gear.step, self.memory.so_far(self._sums) if latest is None else latest)

    def _take_time(self) -> None:
        now = time.monotonic()
        self.memory.seconds += now - self._timed_at
        self._timed_at = now

    def _is_out_of_time(self) -> bool:
        most = self.plan.train.max_seconds
        return most is not None and self.memory.seconds >= most

    def _take_mean(self, epoch: int) -> None:
        """The mean over the rows of an epoch that the run ends in; nothing where the epoch was reported already."""
        if self.memory.loss_rows:
            mean = self.memory.over_rows(self._sums)
            self.memory.note("train/loss", mean, epoch)
            self.reporter.losses(epoch, [mean])

    def _take_losses(
        self,
        begin_step: int,
        losses: Sequence[float],
        figures: Sequence[Sequence[float]] | None = None,
        left_out: frozenset[int] = frozenset(),
    ) -> None:
        """Step losses → epoch losses over all rows, as the epochs' ends pass; steps left out do not count.

        `figures` are those of the losses' terms.
        """
        per_epoch, memory = self.schedule.steps_per_epoch, self.memory
        first_epoch, means = begin_step // per_epoch + 1, list[float]()
        for step, loss in enumerate(losses, start=begin_step):
            counts = step + 1 not in left_out
            if counts:
                rows = self.schedule.rows_at(step % per_epoch)
                memory.take(loss, rows, self._sums, figures[step - begin_step] if figures else None)
            is_broken = counts and not math.isfinite(loss)
            if (step + 1) % per_epoch == 0 or is_broken:
                whole = memory.over_rows(self._sums)
                means.append(loss if per_epoch == 1 or is_broken else whole)
                memory.note("train/loss", means[-1], first_epoch + len(means) - 1)
            if counts and not math.isfinite(loss):
                self.reporter.losses(first_epoch, means)
                raise NonFiniteLoss(step + 1, loss, self._finite_checkpoint)
        if means:
            self.reporter.losses(first_epoch, means)
        if self.gear.step == self.schedule.total_steps:
            self._take_mean(self.begun_epoch)
        self._take_rates()

    def _take_rates(self) -> None:
        for epoch, rates in self.gear.drain_rates():
            self.memory.latest |= rates
            self.reporter.values(epoch, rates)

    def _look(self) -> None:
        epoch = self.begun_epoch
        if self.schedule.look_every is None:
            return
        if "val" in self.parts.rows:
            evaluated = replace(self.parts, model=self.gear.result())
            values = {f"val/{key}": v for key, v in evaluate(self.plan, evaluated, self.parts.rows["val"]).items()}
            for key, value in values.items():
                self.memory.note(key, value, epoch, higher=key.partition("/")[2] in self.higher_is_better)
            self.reporter.values(epoch, values)
        if (followed := self.plan.followed_metric) is not None:
            self.gear.scheduler_on_metric(self.memory.latest[followed])
        self._take_rates()
        look = self._shown(epoch)
        for callback in self.parts.callbacks:
            callback.on_look(look)

    def _shown(self, epoch: int) -> Look:
        """The look of this epoch; what it can show beyond its values is made when a callback asks."""
        latest, model = dict(self.memory.latest), self.parts.model
        return Look(
            epoch=epoch,
            step=self.gear.step,
            values=latest,
            stop=self._stop,
            keep=self._keep_named,
            restore=self._ask_restore,
            higher_is_better=frozenset(key for key in latest if key.partition("/")[2] in self.higher_is_better),
            parameters=lambda: {name: copied(p) for name, p in model.named_parameters() if p.requires_grad},
            gradients=lambda: {name: copied(p.grad) for name, p in model.named_parameters() if p.grad is not None},
            view=lambda: run_view(self.plan, self.parts, self.reporter.history),
            artifact=self.reporter.artifact,
            record=lambda values: self.reporter.values(epoch, recordable(values)),
        )

    def _stop(self, reason: str) -> None:
        self._end(f"stopped after epoch {self.begun_epoch}: {reason}")

    def _end(self, message: str) -> None:
        self.memory.ended_by = message
        self.reporter.event(message)

    def _keep_named(self, name: str) -> None:
        if not name or name == LAST or name.startswith(".") or "/" in name:
            raise RunError(f"a callback asked for a checkpoint named '{name}': use a plain name other than '{LAST}'")
        self.keep(name)

    def _ask_restore(self, name: str) -> None:
        self.memory.restore = name

    def keep(self, name: str) -> None:
        """Writes the checkpoint `name`, as soon as the disk takes it; parameters not finite never replace finite ones.

        A step with a finite loss may leave such parameters; the next step's loss shows it, and ends the run.
        """
        if not self._is_finite():
            return
        self._take_time()
        keep = self._keeper.keep_latest if name == LAST else self._keeper.keep
        if not keep(name, self.state()):
            return
        if name == LAST:
            self._kept_at = time.monotonic()
        self._finite_checkpoint = f"{FOLDER}/{name}"

    def _is_finite(self) -> bool:
        trained = [parameter.detach() for parameter in self.parts.model.parameters() if parameter.requires_grad]
        return all(bool(torch.isfinite(parameter).all()) for parameter in trained)

    def state(self) -> dict[str, Any]:
        """Everything the next step and the next look depend on."""
        return {
            "facts": dict(self.facts),
            "gear": self.gear.state(),
            "memory": vars(self.memory) | {},
            "callbacks": [callback_state(callback) for callback in self.parts.callbacks],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from a checkpoint's state, exactly."""
        self.gear.load_state(state["gear"])
        self.memory = LoopState(**state["memory"])
        self.memory.best = {key: (value, epoch) for key, (value, epoch) in self.memory.best.items()}
        self._finite_checkpoint = f"{FOLDER}/{LAST}"
        for callback, kept in zip(self.parts.callbacks, state["callbacks"], strict=True):
            if kept is not None:
                callback.load_state_dict(kept)


def copied(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor's values on the CPU, apart from it."""
    return tensor.detach().to("cpu", copy=True)
