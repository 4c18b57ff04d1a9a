"""The report of a sweep: its trials in a table, the best one, their curves and the sweep's figures, from its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from annpipe.errors import AnnpipeError, NotFound
from annpipe.record.journal import journal as journals
from annpipe.record.journal.summary import best_trial_of, trials_of
from annpipe.report.collect import commands, description, environment_pairs, spec_text, took
from annpipe.report.content import Curves, ReportFigure
from annpipe.report.figures import embedded
from annpipe.report.journal_facts import JournalFacts, journal_facts
from annpipe.report.pictures import Series, line_chart
from annpipe.report.render import as_html, as_markdown
from annpipe.report.wording import moment, number, short
from annpipe.report.write import HTML, MARKDOWN

MOST_TRIALS = 50
MOST_CURVES = 6
TABLE, GROUPS, BEST = "trials.json", "groups.json", "best.yaml"

Cells = tuple[str, ...]


@dataclass(frozen=True)
class TrialTable:
    """A table of texts: its heads and rows, and how many more rows there are; `numeric` tells columns of numbers."""

    heads: Cells
    rows: tuple[Cells, ...]
    n_left_out: int
    numeric: tuple[bool, ...]


@dataclass(frozen=True)
class SweepReport:
    """The report of a sweep; `best` has the values of the best trial by path, and is empty where none has finished."""

    name: str
    id: str
    status: str
    description: str
    begun: str
    took: str
    metric: str
    higher_is_better: bool
    best_value: float | None
    best_run: str
    best: tuple[tuple[str, str], ...]
    axes: tuple[tuple[str, str], ...]
    counts: str
    trials: TrialTable
    groups: TrialTable | None
    curves: tuple[Curves, ...]
    figures: tuple[ReportFigure, ...]
    spec: str
    best_spec: str
    environment: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]
    version: str
    notes: tuple[str, ...]


def sweep_texts(report: SweepReport) -> dict[str, str]:
    """The report of a sweep as the text of each of its files."""
    return {HTML: as_html("sweep", report=report), MARKDOWN: as_markdown("sweep", report=report)}


def sweep_report(folder: Path, status: str | None = None) -> SweepReport:
    """Reads the sweep's folder and the journals of its best trials; raises NotFound where it has no table of trials.

    `status` is the one that it is about to end with.
    """
    facts = journal_facts(folder)
    columns, rows = _table(folder / TABLE)
    params = facts.begun.params
    metric, higher = str(params.get("metric", "")), params.get("goal") == "maximize"
    ordered = sorted(rows, key=lambda row: _rank(row, columns, metric, higher=higher))
    best = _best(folder, columns, rows)
    paths = columns[1 : columns.index("status")] if "status" in columns else []
    figures, left_out = embedded(facts.figures, folder)
    return SweepReport(
        name=facts.begun.name or folder.name,
        id=folder.name,
        status=status or facts.status,
        description=description(facts, 3),
        begun=moment(facts.begun.time),
        took=took(facts, status),
        metric=metric,
        higher_is_better=higher,
        best_value=_number(best.get(metric)),
        best_run=str(best.get("run") or ""),
        best=tuple((_path(path, params), _cell(best[path])) for path in paths if path in best),
        axes=tuple((key.removeprefix("over."), str(value)) for key, value in params.items() if key.startswith("over.")),
        counts=_counts(columns, rows),
        trials=_shown(columns, ordered, params, metric),
        groups=_groups(folder, params),
        curves=tuple(_curves(folder, metric, [row.get("run") for row in _as_dicts(columns, ordered)])),
        figures=figures,
        spec=spec_text(folder),
        best_spec=_text(folder / BEST),
        environment=environment_pairs(facts),
        commands=tuple(_commands(facts, folder)),
        version=version("annpipe"),
        notes=(f"Figures without room here, in the sweep's folder: {', '.join(left_out)}.",) if left_out else (),
    )


def _table(file: Path) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a table as `log_table` writes it; raises NotFound where there is none that can be read."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        columns, rows = [str(name) for name in data["columns"]], [list(row) for row in data["data"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotFound(f"the sweep {file.parent.name} has no table of trials, {file.name}: it did not end") from error
    return columns, [row for row in rows if len(row) == len(columns)]


def _as_dicts(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _rank(row: Sequence[Any], columns: Sequence[str], metric: str, *, higher: bool) -> tuple[bool, float]:
    """The best first, those without a finite value last."""
    value = _number(dict(zip(columns, row, strict=True)).get(metric.replace(".", "/")))
    if value is None or not math.isfinite(value):
        return True, 0.0
    return False, -value if higher else value


def _number(value: object) -> float | None:
    """A cell as a number: those that JSON lacks are texts."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _best(folder: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The row of the best trial by column; empty where there is none."""
    best = best_trial_of(folder)
    return next((row for row in _as_dicts(columns, rows) if best is not None and row.get("run") == best.name), {})


def _path(column: str, params: Mapping[str, Any]) -> str:
    """The path of an axis as the spec has it; the table writes strokes for dots."""
    paths = [key.removeprefix("over.") for key in params if key.startswith("over.")]
    return next((path for path in paths if path.replace(".", "/") == column), column)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return number(value)
    return "–" if value is None else short(str(value))


def _counts(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """How many trials ended in which way: `12 trials: 10 finished, 2 pruned`."""
    states = [str(row.get("status", "")).lower() for row in _as_dicts(columns, rows)]
    by_state = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)) if state)
    return f"{len(rows)} trial{'s' * (len(rows) != 1)}: {by_state}"


def _shown(columns: Sequence[str], rows: Sequence[Sequence[Any]], params: Mapping[str, Any], metric: str) -> TrialTable:
    """Trials with their values and their metric, the best first."""
    behind = columns.index("status") if "status" in columns else len(columns)
    kept = [*range(behind + 1)]
    if metric.replace(".", "/") in columns:
        kept.append(columns.index(metric.replace(".", "/")))
    kept += [columns.index("run")] if "run" in columns else []
    heads = tuple(short(_path(columns[k], params)) for k in kept)
    return _texts(heads, [[row[k] for k in kept] for row in rows])


def _groups(folder: Path, params: Mapping[str, Any]) -> TrialTable | None:
    """Mean, deviation and interval of repetitions; None where nothing was repeated."""
    if not (folder / GROUPS).is_file():
        return None
    columns, rows = _table(folder / GROUPS)
    return _texts(tuple(short(_path(column, params)) for column in columns), rows)


def _texts(heads: Cells, rows: Sequence[Sequence[Any]]) -> TrialTable:
    shown = rows[:MOST_TRIALS]
    numeric = tuple(all(_number(row[k]) is not None for row in shown) for k in range(len(heads)))
    texts = tuple(tuple(_cell(value) for value in row) for row in shown)
    return TrialTable(heads, texts, len(rows) - len(shown), numeric)


def _curves(folder: Path, metric: str, runs: Sequence[object]) -> Iterator[Curves]:
    """The metric of the best trials over the epochs."""
    folders = {trial.name: trial for trial in _trials(folder)}
    series: list[Series] = []
    for name in runs:
        trial = folders.get(str(name))
        if trial is None or len(series) == MOST_CURVES or not (trial / journals.FILE).is_file():
            continue
        events = (point for event in journals.read(trial) for point in journals.points(event))
        points = [(epoch, value) for key, epoch, value, _ in events if key == metric]
        series.append(Series(trial.name, [epoch for epoch, _ in points], [value for _, value in points]))
    chart = line_chart(metric, series, "epoch")
    if chart is not None and any(len(each.x) > 1 for each in series):
        yield Curves(f"{metric} of the best trials", chart, tuple(each.name for each in series), ())


def _trials(folder: Path) -> list[Path]:
    try:
        return trials_of(folder)
    except AnnpipeError:  # a journal that names what cannot be a trial
        return []


def _commands(facts: JournalFacts, folder: Path) -> Iterator[str]:
    yield from commands(facts, folder)
    if (folder / BEST).is_file():
        yield f"annpipe best {folder.name} > best.yaml"


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
