"""`Observer`: the base class of displays, whose methods are called while something runs; words that displays share."""

from __future__ import annotations

from typing import Any

from annpipe.errors import Problem


class Observer:
    """Told what happens during a run, a sweep or an evaluation; each method does nothing unless overridden."""

    def start(self, total_steps: int, steps_per_epoch: int, done: int) -> None:
        """Training begins: `total_steps` steps, of which `done` were taken before an interruption."""

    def limit(self, seconds: float) -> None:
        """Training ends after so many seconds from now at the latest; called after `start`, where there is a limit."""

    def progress(self, step: int, loss: float) -> None:
        """`step` steps are done; called about ten times a second.

        `loss` is `train/loss` of the last whole epoch, as it is recorded; in the first epoch the mean over its rows so
        far.
        """

    def event(self, message: str) -> None:
        """Something worth a line for a person."""

    def trial(self, result: Any, n_done: int, n_trials: int) -> None:
        """A trial of a sweep has ended, the `n_done`-th of `n_trials`; `result` is its `Result`."""

    def warn(self, problem: Problem) -> None:
        """A warning about the spec, with the place that it is about."""


SILENT = Observer()
"""The observer that ignores everything."""


def loss_text(step: int, steps_per_epoch: int, loss: float) -> str:
    """The loss with its name: that of the last whole epoch, as it is recorded, or the mean of the first one so far."""
    return f"train/loss {loss:.5g}" + (" so far" if step < steps_per_epoch else "")


def seconds_left(n_steps: int, rate: float, limit: float) -> float:
    """How long so many steps take at this rate, and no longer than the limit of time allows; 0 where it is over."""
    return max(0.0, min(n_steps / (rate or 1e-9), limit))
