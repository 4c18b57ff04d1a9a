"""The text of `annpipe compare`: what differs between runs, as a table, Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from annpipe.cli.problems import strict
from annpipe.cli.views.text import fitted
from annpipe.errors import one_line
from annpipe.record.journal.differences import brief

if TYPE_CHECKING:
    from annpipe.record.journal.comparison import Comparison
    from annpipe.record.journal.differences import Row


def as_text(comparison: Comparison, width: int | None = None) -> str:
    """For a person: a line a value, a column a run, in lines of at most `width` columns."""
    head, *asked = _cells(comparison, comparison.asked)
    results = _cells(comparison, _shown(comparison))[1:]
    blank = [""] * len(head)
    same = [] if comparison.asked else [["nothing in their specs and data differs"]]
    return "\n".join(fitted([head, *same, *asked, blank, *results], width))


def as_markdown(comparison: Comparison) -> str:
    """A table for a page."""
    rows = [*_cells(comparison, comparison.asked), *_cells(comparison, _shown(comparison))[1:]]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def as_csv(comparison: Comparison) -> str:
    """A line a run, a column a difference or result, for a table program."""
    text = io.StringIO()
    rows = [*comparison.asked, *comparison.results]
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["run", "name", "status", *(one_line(row.name) for row in rows)])
    for column, run in enumerate(comparison.runs):
        values = [row.values[column] for row in rows]
        plain = [value if isinstance(value, int | float | str) else json.dumps(value) for value in values]
        cells = ("" if value == "null" else value for value in plain)
        table.writerow(
            [
                run.id,
                one_line(run.name),
                run.status,
                *(one_line(cell) if isinstance(cell, str) else cell for cell in cells),
            ]
        )
    return text.getvalue().rstrip("\n")


def as_json(comparison: Comparison) -> str:
    """Everything for programs."""
    data: dict[str, Any] = {"runs": [{"id": run.id, "name": run.name, "status": run.status} for run in comparison.runs]}
    for part, rows in (("asked", comparison.asked), ("found", comparison.results)):
        data[part] = {row.name: [strict(value) for value in row.values] for row in rows}
    return json.dumps(data, indent=2, ensure_ascii=False)


def _shown(comparison: Comparison) -> Sequence[Row]:
    """The results that differ, or all of them where none does but the time, or where all was asked for."""
    if comparison.is_whole:
        return comparison.results
    differing = [row for row in comparison.results if row.differs]
    return differing if len(differing) > 1 else comparison.results


def _cells(comparison: Comparison, rows: Sequence[Row]) -> list[list[str]]:
    head = ["", *comparison.labels]
    return [[one_line(cell) for cell in row] for row in [head, *([row.name, *map(brief, row.values)] for row in rows)]]
