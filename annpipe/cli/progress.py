"""The display of a run on stderr: a progress bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import math
import sys
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from annpipe.cli.streams import below
from annpipe.errors import Problem, one_line, visible
from annpipe.errors.render import render
from annpipe.observer import Observer, loss_text, seconds_left

if TYPE_CHECKING:
    from rich.progress import Progress

SECONDS_BETWEEN_LINES = 5.0


class RunDisplay(Observer, AbstractContextManager["RunDisplay"]):
    """Shows a person how a run goes on; as a context it clears the progress bar at its end."""

    def __init__(self) -> None:
        self._bar: _Bar | _Lines | None = None

    def start(self, total_steps: int, steps_per_epoch: int, done: int) -> None:
        """Begins to show `total_steps` steps, `done` of them taken already."""
        kind = _Bar if sys.stderr.isatty() else _Lines
        self._bar = kind(total_steps, steps_per_epoch, done)

    def limit(self, seconds: float) -> None:
        if self._bar:
            self._bar.ends_at = time.monotonic() + seconds

    def progress(self, step: int, loss: float) -> None:
        if self._bar:
            self._bar.show(step, loss)

    def event(self, message: str) -> None:
        """Prints a line, above the bar where there is one."""
        self._say(one_line(message))

    def warn(self, problem: Problem) -> None:
        """Prints a warning the way errors are printed."""
        self._say(render(problem) + "\n")

    def _say(self, text: str) -> None:
        (self._bar.say if self._bar else _echo)(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.close()


def _echo(message: str) -> None:
    click.echo(message, err=True)


class _Lines:
    """One line at most every few seconds, and one at the end."""

    ends_at = math.inf

    def __init__(self, total_steps: int, steps_per_epoch: int, done: int) -> None:
        self._total, self._per_epoch = total_steps, steps_per_epoch
        self._begun, self._begun_at = done, time.monotonic()
        self._printed_at, self._step, self._loss = self._begun_at, done, float("nan")
        self._printed = -1

    def show(self, step: int, loss: float) -> None:
        self._step, self._loss = step, loss
        if time.monotonic() - self._printed_at >= SECONDS_BETWEEN_LINES or step == self._total:
            self._print()

    def say(self, message: str) -> None:
        _echo(message)

    def close(self) -> None:
        if self._step not in (self._printed, self._begun):
            self._print()

    def _print(self) -> None:
        self._printed_at, self._printed = time.monotonic(), self._step
        rate = (self._step - self._begun) / max(self._printed_at - self._begun_at, 1e-9)
        seconds = seconds_left(self._total - self._step, rate, self.ends_at - self._printed_at)
        left = f"{seconds:.0f} s left" if rate and seconds else "done"
        epoch, epochs = self._step // self._per_epoch, self._total // self._per_epoch
        loss = loss_text(self._step, self._per_epoch, self._loss)
        click.echo(f"epoch {epoch}/{epochs}  {loss}  {rate:.0f} steps/s  {left}", err=True)


class _Bar:
    """A bar with loss, rate and time left."""

    ends_at = math.inf

    def __init__(self, total_steps: int, steps_per_epoch: int, done: int) -> None:
        self._begun, self._begun_at = done, time.monotonic()
        self._progress = _rich_progress()
        epochs = -(-total_steps // steps_per_epoch)
        self._per_epoch, self._epochs, self._total = steps_per_epoch, epochs, total_steps
        fields: dict[str, Any] = {"loss": "", "epoch": f"{done // steps_per_epoch}/{epochs}", "rate": "-", "left": "-"}
        self._task = self._progress.add_task("", total=total_steps, completed=done, **fields)
        self._progress.start()

    def show(self, step: int, loss: float) -> None:
        now = time.monotonic()
        rate = (step - self._begun) / max(now - self._begun_at, 1e-9)
        seconds = seconds_left(self._total - step, rate, self.ends_at - now)
        left = f"{int(seconds // 60)}:{int(seconds % 60):02d}"
        epoch = f"{step // self._per_epoch}/{self._epochs}"
        text = loss_text(step, self._per_epoch, loss)
        self._progress.update(self._task, completed=step, loss=text, epoch=epoch, rate=f"{rate:.0f}", left=left)

    def say(self, message: str) -> None:
        self._progress.console.print(visible(message), markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()


def _rich_progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(),
        TextColumn("{task.fields[loss]}"),
        TextColumn("{task.fields[rate]} steps/s"),
        TextColumn("{task.fields[left]} left"),
        console=Console(file=below(sys.stderr)),
        redirect_stdout=False,
        refresh_per_second=10,
    )
