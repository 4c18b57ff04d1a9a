"""The table of `annpipe runs`: as wide as the terminal; columns that are dispensable go first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from annpipe.cli.views.text import fitted, least_width
from annpipe.errors import one_line

if TYPE_CHECKING:
    from annpipe.record.journal.summary import RunSummary

DISPENSABLE = ("STARTED", "RECORD", "DURATION")  # what a narrow table leaves out, in this order: an id has the time


def as_table(
    runs: Sequence[RunSummary], asked: Mapping[str, Sequence[object]], names: Mapping[str, str], width: int | None
) -> list[str]:
    """A line a run; `asked` are more metrics with their values, `names` those of sweeps by their ids."""
    metrics = list(dict.fromkeys(run.metric for run in runs if run.metric))
    columns: dict[str, list[str]] = {
        "RUN": [run.id for run in runs],
        "NAME": [run.name for run in runs],
        "STATUS": [run.status for run in runs],
        "STARTED": [f"{datetime.fromtimestamp(run.started_ms / 1000):%Y-%m-%d %H:%M:%S}" for run in runs],
        "DURATION": [_duration(run.duration_seconds) for run in runs],
    }
    if len(metrics) == 1:
        columns[metrics[0].upper()] = [_number(run.value) for run in runs]
    else:
        columns["METRIC"] = [f"{run.metric} {_number(run.value)}" if run.metric else "-" for run in runs]
    columns |= {key.upper(): [_number(value) for value in values] for key, values in asked.items() if metrics != [key]}
    if any(run.sweep for run in runs):
        columns["SWEEP"] = [names.get(run.sweep, run.sweep) if run.sweep else "-" for run in runs]
    if any(run.begun_from for run in runs):
        columns["FROM"] = [run.begun_from or "-" for run in runs]
    columns["RECORD"] = [_record(run) for run in runs]
    columns = {head: [one_line(cell) for cell in cells] for head, cells in columns.items()}
    for head in DISPENSABLE:
        if width is not None and least_width(_rows(columns), whole=[0]) > width:
            del columns[head]
    rows = _rows(columns)
    if width is None or least_width(rows, whole=[0]) <= width:
        return fitted(rows, width, whole=[0])
    below = [[row[1:], [f"  {row[0]}"]] for row in rows[1:]]  # ids stay in one piece, to be copied
    return fitted([rows[0][1:], *(line for pair in below for line in pair)], width)


def _rows(columns: Mapping[str, Sequence[str]]) -> list[list[str]]:
    return [list(columns), *(list(row) for row in zip(*columns.values(), strict=True))]


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else "-"


def _record(run: RunSummary) -> str:
    return "shipped" if run.is_recorded else "shipping" if run.status == "RUNNING" else "not shipped"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
