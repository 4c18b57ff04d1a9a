"""The protocols of those who are told what happens while something runs."""

from __future__ import annotations

from typing import Protocol

from annpipe.errors import Problem


class Watcher(Protocol):
    """Who is shown a run: `start` once, then `progress` about ten times a second, `event` and `warn` now and then."""

    def start(self, total_steps: int, steps_per_epoch: int, done: int) -> None: ...
    def progress(self, step: int, loss: float) -> None: ...
    def event(self, message: str) -> None: ...
    def warn(self, problem: Problem) -> None: ...


class Silent:
    """A watcher that shows nothing."""

    def start(self, total_steps: int, steps_per_epoch: int, done: int) -> None:
        """Nothing."""

    def progress(self, step: int, loss: float) -> None:
        """Nothing."""

    def event(self, message: str) -> None:
        """Nothing."""

    def warn(self, problem: Problem) -> None:
        """Nothing."""


class Display(Protocol):
    """What a person sees of a run."""

    def progress(self, step: int, loss: float) -> None:
        """The run is after `step` steps."""

    def event(self, message: str) -> None:
        """Something worth a line."""
