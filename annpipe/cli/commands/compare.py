"""`annpipe compare RUN…`: shows what differs between runs, in their specs and in their results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from annpipe.cli.completion import words

if TYPE_CHECKING:
    from pathlib import Path

    from annpipe.record.journal.differences import Defaults


@click.command("compare")
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=words.runs)
@click.option("--last", type=click.IntRange(min=2), metavar="N", help="The latest N runs, in addition to those named.")
@click.option("--trials", is_flag=True, help="All trials of a sweep, not its best one.")
@click.option("--all", "equal", is_flag=True, help="Show what is equal, too.")
@click.option("--csv", "format_", flag_value="csv", help="Print as CSV.")
@click.option("--md", "format_", flag_value="md", help="Print as a table in Markdown.")
@click.option("--json", "format_", flag_value="json", help="Print as JSON.")
def command(runs: tuple[str, ...], last: int | None, format_: str | None, *, trials: bool, equal: bool) -> None:
    """Show RUNs side by side: what differs in their specs, data and results, value by value.

    Each RUN is an id, a part of it, or a name (its latest run). For a sweep among other runs its best trial stands, or
    with --trials all of them; a sweep alone is compared trial by trial. Plots, notes and tags are not compared.
    """
    from annpipe.cli.project_runs import runs_of, warn_damaged
    from annpipe.cli.views.compare import as_csv, as_json, as_markdown, as_text
    from annpipe.cli.views.text import terminal_width
    from annpipe.errors import NotFound
    from annpipe.record.journal.comparison import compare
    from annpipe.record.journal.inside import check_inside
    from annpipe.record.journal.project import find_project, find_run, runs_folder

    project = find_project()
    folders = [*(runs_of(project)[-last:] if last else []), *(find_run(project, run) for run in runs)]
    folders, best_of = _with_trials(list(dict.fromkeys(folders)), all_trials=trials)
    if len(folders) < 2:
        raise click.UsageError("say which runs: two or more of them, or --last N; `annpipe runs` lists them")
    for folder in folders:
        check_inside(folder)
    comparison = compare(folders, _say, best_of=best_of, defaults=_defaults(), equal=equal)
    if len(comparison.runs) < 2:
        raise NotFound("fewer than two of these runs can be read")
    for run in comparison.runs:
        warn_damaged(runs_folder(project) / run.id)
    formats = {"csv": as_csv, "md": as_markdown, "json": as_json}
    click.echo(formats[format_](comparison) if format_ else as_text(comparison, terminal_width()))


def _say(message: str) -> None:
    click.echo(message, err=True)


def _with_trials(folders: list[Path], *, all_trials: bool) -> tuple[list[Path], dict[Path, str]]:
    """The runs, each sweep's best trial or all its trials in its place, and the sweeps of those best trials."""
    from annpipe.record.journal.lines import run_begun
    from annpipe.record.journal.summary import best_trial_of, is_sweep, trials_of

    all_trials = all_trials or len(folders) == 1
    runs: list[Path] = []
    best_of: dict[Path, str] = {}
    for folder in folders:
        if not is_sweep(folder):
            runs.append(folder)
        elif all_trials:
            runs += trials_of(folder)
        elif (best := best_trial_of(folder)) is None:
            _say(f"no trial of {folder.name} is known as the best: all that ended are shown")
            runs += trials_of(folder)
        else:
            runs.append(best)
            best_of[best] = run_begun(folder).name or folder.name
            _say(f"{folder.name} is shown by its best trial, {best.name}; --trials shows all of them")
    return list(dict.fromkeys(runs)), best_of


def _defaults() -> Defaults:
    """The defaults of the options of installed components, by their names."""
    from annpipe.registry.registry import Registry

    registry = Registry.installed()

    def of(component: str, option: str) -> list[object]:
        entries = [registry.entry(kind, component) for kind in registry.kinds_of(component)]
        parameters = [parameter for entry in entries for parameter in entry.options if parameter.name == option]
        return [parameter.default for parameter in parameters if not parameter.required]

    return of
