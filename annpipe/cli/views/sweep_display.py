"""The display of a sweep on stderr: one line for each trial that has ended."""

from __future__ import annotations

import click

from annpipe.cli.views.sweep import value_in_words
from annpipe.errors import Problem, one_line
from annpipe.errors.render import render
from annpipe.observer import Observer
from annpipe.spec.sections.axes import Axis
from annpipe.sweep.results.table import Result


class SweepDisplay(Observer):
    """Prints each trial as it ends, events and warnings."""

    def trial(self, result: Result, n_done: int, n_trials: int) -> None:
        values = ", ".join(f"{Axis(path).short} {value_in_words(value)}" for path, value in result.values.items())
        losses = {one_line(key): value for key, value in sorted(result.finals.items()) if "loss" in key}
        finals = "  ".join(f"{key} {value:.6g}" for key, value in losses.items())
        outcome = finals if result.status == "FINISHED" else result.status
        click.echo(
            f"trial {n_done}/{n_trials}  {values}  {outcome}{'' if result.is_new else '  (made before)'}", err=True
        )

    def event(self, message: str) -> None:
        click.echo(one_line(message), err=True)

    def warn(self, problem: Problem) -> None:
        click.echo(render(problem) + "\n", err=True)
