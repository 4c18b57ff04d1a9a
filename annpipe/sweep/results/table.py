"""The results of a sweep's trials, grouped by repetitions, and their tables."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annpipe.spec.sections.axes import Axis, in_words
from annpipe.statistics import Spread, spread


@dataclass(frozen=True)
class Goal:
    """The final value by which trials are compared, and whether large ones are good."""

    metric: str
    higher: bool

    def best(self, values: Mapping[int, float]) -> int | None:
        """The number of the best trial; None where none has a finite value."""
        finite = {number: value for number, value in values.items() if value - value == 0}
        if not finite:
            return None
        return (max if self.higher else min)(finite, key=lambda number: finite[number])


@dataclass(frozen=True)
class Result:
    """How a trial ended: its values by path, its run, its status, and its final values by metric key."""

    number: int
    values: Mapping[str, Any]
    run: Path | None
    status: str
    finals: Mapping[str, float] = field(default_factory=dict)
    is_new: bool = True


@dataclass(frozen=True)
class RepeatGroup:
    """Trials that differ in nothing but repetitions: the values that they share, and the spread of their metric."""

    values: Mapping[str, Any]
    trials: tuple[int, ...]
    spread: Spread


@dataclass(frozen=True)
class SweepResult:
    """A sweep's axes and goal, and what became of every trial."""

    name: str
    axes: tuple[Axis, ...]
    goal: Goal
    results: tuple[Result, ...]

    @property
    def best(self) -> Result | None:
        """The finished trial with the best final value; with repetitions, that of the values with the best mean."""
        groups = self.groups
        among = groups[0].trials if groups else [result.number for result in self.results]
        values = {
            result.number: result.finals[self.goal.metric]
            for result in self.results
            if self.goal.metric in result.finals and result.number in among
        }
        number = self.goal.best(values)
        return next((result for result in self.results if result.number == number), None)

    @property
    def groups(self) -> tuple[RepeatGroup, ...]:
        """The trials by what they do not repeat, the best first; empty where nothing is repeated."""
        if not any(axis.is_repeat for axis in self.axes):
            return ()
        shared = [axis.path for axis in self.axes if not axis.is_repeat]
        members: dict[str, list[Result]] = {}
        for result in self.results:
            members.setdefault(json.dumps([result.values[path] for path in shared]), []).append(result)
        groups = []
        for trials in members.values():
            values = [trial.finals[self.goal.metric] for trial in trials if self.goal.metric in trial.finals]
            shared_values = {path: trials[0].values[path] for path in shared}
            groups.append(RepeatGroup(shared_values, tuple(trial.number for trial in trials), spread(values)))
        sign = -1 if self.goal.higher else 1
        return tuple(sorted(groups, key=lambda group: _last(sign * group.spread.mean)))

    def ordered(self) -> list[Result]:
        """The trials, the best first; those without a value last."""
        sign = -1 if self.goal.higher else 1
        return sorted(self.results, key=lambda r: _last(sign * r.finals.get(self.goal.metric, float("nan"))))

    @property
    def columns(self) -> list[str]:
        """The headings of its table: trial, swept values, status, final values, run."""
        keys = sorted({key for result in self.results for key in result.finals})
        return ["trial", *(axis.path for axis in self.axes), "status", *keys, "run"]

    def rows(self) -> list[list[Any]]:
        """A row a trial, in their order."""
        keys = self.columns[len(self.axes) + 2 : -1]
        rows = []
        for result in self.results:
            finals = [result.finals.get(key) for key in keys]
            run = result.run.name if result.run else None
            rows.append([result.number, *result.values.values(), result.status, *finals, run])
        return rows


def _last(value: float) -> tuple[bool, float]:
    """Sorts values that are not numbers behind all others."""
    return (value != value, value if value == value else 0.0)


def as_csv(swept: SweepResult) -> str:
    """A line a trial."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(swept.columns)
    for row in swept.rows():
        table.writerow([cell if isinstance(cell, int | float | str) else _as_json(cell) for cell in row])
    return text.getvalue()


def as_log_table(swept: SweepResult) -> str:
    """As MLflow's `log_table` writes a table: `columns`, and `data` row by row; what JSON has not, as text.

    A dot in the name of a column makes MLflow's UI look for a value within the value and show nothing: paths are
    written with strokes, `optimizer/Adam/lr`.
    """
    return _log_table(swept.columns, swept.rows())


def groups_as_log_table(swept: SweepResult) -> str:
    """A row a group of repetitions, the best first: values, mean, deviation, ends of the 95 % interval, trials.

    `finished` are those of the trials that the mean is of.
    """
    metric = swept.goal.metric
    shared = [axis.path for axis in swept.axes if not axis.is_repeat]
    columns = [*shared, *(f"{metric}_{what}" for what in ("mean", "std", "low", "high")), "trials", "finished"]
    rows = [
        [*group.values.values(), *_spread_values(group.spread), len(group.trials), group.spread.n]
        for group in swept.groups
    ]
    return _log_table(columns, rows)


def best_values(swept: SweepResult) -> dict[str, float]:
    """What the record of a sweep says of its best trial; of repetitions also the spread that they have together."""
    values = {f"best_trial/{key}": value for key, value in swept.best.finals.items()} if swept.best else {}
    if swept.best and swept.groups:
        names = (f"best_trial/{swept.goal.metric}_{what}" for what in ("mean", "std", "low", "high"))
        spread_items = zip(names, _spread_values(swept.groups[0].spread), strict=True)
        values |= {name: value for name, value in spread_items if math.isfinite(value)}
    return values


def values_in_words(values: Mapping[str, Any]) -> str:
    """A trial's values in a line: `lr 0.001, model.1 ReLU`."""
    names = names_of(values)
    return ", ".join(f"{names[path]} {in_words(value)}" for path, value in values.items())


def names_of(paths: Iterable[str]) -> dict[str, str]:
    """A short name for each path, or the path itself where two would be called the same."""
    short = {path: Axis(path, ()).short for path in paths}
    return short if len(set(short.values())) == len(short) else {path: path for path in short}


def _spread_values(spread: Spread) -> list[float]:
    low, high = spread.mean - spread.half_width, spread.mean + spread.half_width
    return [spread.mean, spread.deviation, low, high]


def _log_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    data = [[_strict(cell) for cell in row] for row in rows]
    return json.dumps({"columns": [name.replace(".", "/") for name in columns], "data": data}, ensure_ascii=False)


def _strict(cell: Any) -> Any:
    if isinstance(cell, float) and cell - cell != 0:
        return str(cell)
    return cell if cell is None or isinstance(cell, int | float | str) else _as_json(cell)


def _as_json(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)
