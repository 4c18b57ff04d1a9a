"""`annpipe compare RUN…`: only what differs between runs, in their specs and in their results."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from annpipe.cli.completion import words

if TYPE_CHECKING:
    from pathlib import Path

    from annpipe.record.journal.comparison import Comparison, Row


@click.command("compare")
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=words.runs)
@click.option("--last", type=click.IntRange(min=2), metavar="N", help="The latest N runs, beside those named.")
@click.option("--csv", "format_", flag_value="csv", help="Print as CSV.")
@click.option("--md", "format_", flag_value="md", help="Print as a table in Markdown.")
@click.option("--json", "format_", flag_value="json", help="Print as JSON.")
def command(runs: tuple[str, ...], last: int | None, format_: str | None) -> None:
    """Show RUNs side by side: what differs in their specs, data and results, and nothing else.

    Each RUN is an id, a part of it, or a name (its latest run); a sweep stands for its trials. Plots, notes and tags do
    not count.
    """
    from annpipe.cli.walking import runs_of, tell_damage
    from annpipe.errors import NotFound
    from annpipe.record.journal.comparison import compare
    from annpipe.record.journal.inside import check_inside
    from annpipe.record.journal.project import find_project, find_run, runs_folder

    project = find_project()
    named = [one for run in runs for one in _with_trials(find_run(project, run))]
    folders = list(dict.fromkeys([*(runs_of(project)[-last:] if last else []), *named]))
    if len(folders) < 2:
        raise click.UsageError("say which runs: two or more of them, or --last N; `annpipe runs` lists them")
    for folder in folders:
        check_inside(folder)
    found = compare(folders, lambda said: click.echo(said, err=True))
    if len(found.runs) < 2:
        raise NotFound("fewer than two of these runs can be read")
    for run in found.runs:
        tell_damage(runs_folder(project) / run.id)
    click.echo({"csv": as_csv, "md": as_markdown, "json": as_json}.get(format_ or "", as_text)(found))


def _with_trials(folder: Path) -> list[Path]:
    """The trials of a sweep in its place."""
    from annpipe.record.journal.summary import is_sweep, trials_of

    return trials_of(folder) if is_sweep(folder) else [folder]


def as_text(found: Comparison) -> str:
    """For a person: a line a difference, a column a run."""
    blocks = [_cells(found, found.asked), _cells(found, _shown(found))]
    widths = [max(len(row[place]) for block in blocks for row in block) for place in range(1 + len(found.runs))]
    same = ["nothing in their specs and data differs"] if not found.asked else []
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [*blocks[0], [""] * len(widths), *blocks[1][1:]]
    ]
    return "\n".join([*lines[:1], *same, *lines[1:]])


def as_markdown(found: Comparison) -> str:
    """A table for a page."""
    rows = [*_cells(found, found.asked), *_cells(found, _shown(found))[1:]]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def as_csv(found: Comparison) -> str:
    """A line a run, a column a difference or result, for a table program."""
    from annpipe.errors import one_line

    text = io.StringIO()
    rows = [*found.asked, *found.results]
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["run", "status", *(one_line(row.name) for row in rows)])
    for place, run in enumerate(found.runs):
        values = [row.values[place] for row in rows]
        plain = [value if isinstance(value, int | float | str) else json.dumps(value) for value in values]
        cells = ("" if value == "null" else value for value in plain)
        table.writerow([run.id, run.status, *(one_line(cell) if isinstance(cell, str) else cell for cell in cells)])
    return text.getvalue().rstrip("\n")


def as_json(found: Comparison) -> str:
    """Everything for programs."""
    from annpipe.cli.problems import strict

    data: dict[str, Any] = {"runs": [{"id": run.id, "name": run.name, "status": run.status} for run in found.runs]}
    for part, rows in (("asked", found.asked), ("found", found.results)):
        data[part] = {row.name: [strict(value) for value in row.values] for row in rows}
    return json.dumps(data, indent=2, ensure_ascii=False)


def _shown(found: Comparison) -> Sequence[Row]:
    """The results that differ, or all of them where none does but the time."""
    differing = [row for row in found.results if row.differs]
    return differing if len(differing) > 1 else found.results


def _cells(found: Comparison, rows: Sequence[Row]) -> list[list[str]]:
    from annpipe.errors import one_line
    from annpipe.record.journal.comparison import brief

    head = ["", *(run.id if run.status == "FINISHED" else f"{run.id} ({run.status})" for run in found.runs)]
    return [[one_line(cell) for cell in row] for row in [head, *([row.name, *map(brief, row.values)] for row in rows)]]
