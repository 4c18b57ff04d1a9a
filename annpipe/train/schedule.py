"""The steps at which the host must look; between two looks the gear runs undisturbed."""

from __future__ import annotations

from dataclasses import dataclass

from annpipe.plan.plan import Plan
from annpipe.plan.schedules import step_rows, steps_in_epoch
from annpipe.spec.sections.models import Train


@dataclass(frozen=True)
class Schedule:
    """The steps of a run. A step sees `step_rows` rows; `look_every` is in epochs; None: only at the end.

    The length is `steps` where there are some, which need be no whole number of epochs; else `epochs`.
    """

    n_rows: int
    step_rows: int
    epochs: int | None
    drop_last: bool
    look_every: int | None
    steps: int | None = None

    @property
    def steps_per_epoch(self) -> int:
        return steps_in_epoch(self.n_rows, self.step_rows, drop_last=self.drop_last)

    @property
    def total_steps(self) -> int:
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None  # the spec says one of the two
        return self.epochs * self.steps_per_epoch

    @property
    def is_full_batch(self) -> bool:
        """Whether each step sees all rows."""
        return self.step_rows >= self.n_rows

    def next_look(self, step: int) -> int:
        """The first look after `step` steps are done; the last step of the run is always one.

        >>> Schedule(n_rows=10, step_rows=5, epochs=10, drop_last=False, look_every=3).next_look(6)
        12
        """
        if self.look_every is None:
            return self.total_steps
        stride = self.look_every * self.steps_per_epoch
        return min(self.total_steps, (step // stride + 1) * stride)

    def rows_at(self, batch_index: int) -> int:
        """How many rows the step with this index, from 0, of an epoch sees."""
        return min(self.step_rows, self.n_rows - batch_index * self.step_rows)


def schedule(plan: Plan, n_rows: int) -> Schedule:
    """The schedule of a plan over `n_rows` rows to train on."""
    return schedule_of(plan, n_rows, plan.train)


def schedule_of(plan: Plan, n_rows: int, train: Train) -> Schedule:
    """The schedule that the plan has with another section `train`."""
    size = step_rows(train, n_rows)
    looks = bool(plan.split.has_val or plan.callbacks or plan.followed_metric)
    return Schedule(n_rows, size, train.epochs, train.drop_last, train.evaluate_every if looks else None, train.steps)


MOST_STEPS = 4096  # between two pauses: bounds the memory that losses take


class Pace:
    """Begins with one step, and doubles at most."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.steps = 1

    def took(self, n_steps: int, seconds: float) -> None:
        """Takes in how long steps took."""
        fitting = int(self._seconds * n_steps / max(seconds, 1e-9))
        self.steps = max(1, min(MOST_STEPS, self.steps * 2, fitting))
