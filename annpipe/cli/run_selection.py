"""Which runs `annpipe runs` lists, and in which order: its --filter and --sort."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from annpipe.errors.suggest import did_you_mean

if TYPE_CHECKING:
    from annpipe.record.journal.summary import RunSummary

Value = str | float | None
ORDERS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
    "!=": operator.ne,
}
FIELDS: dict[str, Callable[[RunSummary], Value]] = {
    "name": lambda run: run.name,
    "id": lambda run: run.id,
    "status": lambda run: run.status,
    "sweep": lambda run: run.sweep or "",
    "started": lambda run: float(run.started_ms),
    "duration": lambda run: run.duration_seconds,
    "metric": lambda run: run.value,
}
TEXTS = ("name", "id", "status", "sweep")
_EXPRESSION = re.compile(r"(?P<key>[^<>=!]+?)\s*(?P<order><=|>=|!=|==|<|>|=)\s*(?P<value>.*)")
_HIGH = re.compile(r"accuracy|precision|recall|f1|r2|auc|score|correlation|explained|kappa|iou|dice", re.IGNORECASE)


@dataclass(frozen=True)
class Condition:
    """One --filter: `name=quad*`, `status!=FINISHED`, `val/loss<0.1`."""

    key: str
    order: str
    value: str

    @property
    def is_text(self) -> bool:
        return self.key in TEXTS

    def holds(self, value: Value) -> bool:
        """Whether a run with this value is listed; one without a value never is."""
        if isinstance(value, str):
            matches = fnmatchcase(value.casefold(), self.value.casefold())
            return matches == (self.order == "=")
        return value is not None and ORDERS[self.order](value, float(self.value))


def condition(text: str) -> Condition:
    """Reads one --filter; raises UsageError with what may stand there."""
    match = _EXPRESSION.fullmatch(text.strip())
    if match is None:
        raise click.UsageError(
            f"--filter {text!r} is no condition: write KEY=VALUE or KEY<NUMBER, as in `name=quad*`, `status=FINISHED`, "
            "`metric<0.1`, `val/loss<=0.5`"
        )
    read = Condition(match["key"].strip(), match["order"].replace("==", "="), match["value"].strip())
    if read.is_text and read.order not in ("=", "!="):
        raise click.UsageError(f"--filter {text!r}: {read.key} is a text: compare it by = or !=, as in `{read.key}=a*`")
    if not read.is_text:
        try:
            float(read.value)
        except ValueError:
            message = f"--filter {text!r}: {read.key} is compared with a number; found {read.value!r}"
            known = did_you_mean(read.key, list(FIELDS))
            raise click.UsageError(f"{message}; {known or f'write one, as in `{read.key}<0.1`'}") from None
    return read


def value_of(run: RunSummary, key: str, folder: Path) -> Value:
    """What a run has at a key: a column of the table, or the last value of a metric."""
    from annpipe.record.journal.summary import latest_value

    return FIELDS[key](run) if key in FIELDS else latest_value(folder, key)


def metrics_of(runs: Sequence[RunSummary], keys: Iterable[str], folder: Path) -> dict[str, list[Value]]:
    """The values of metrics, for each run; keys of other things are left out."""
    return {key: [value_of(run, key, folder / run.id) for run in runs] for key in keys if key not in FIELDS}


def selected(runs: Sequence[RunSummary], conditions: Iterable[Condition], folder: Path) -> list[RunSummary]:
    """The runs in `folder` for which all conditions hold; raises UsageError for a key that no run has."""
    for each in conditions:
        values = [value_of(run, each.key, folder / run.id) for run in runs]
        _check_known(each.key, values, runs, folder)
        runs = [run for run, value in zip(runs, values, strict=True) if each.holds(value)]
    return list(runs)


def ordered(runs: Sequence[RunSummary], key: str, folder: Path) -> list[RunSummary]:
    """The runs by a key, the best value of a metric first; those without a value last."""
    values = {run.id: value_of(run, key, folder / run.id) for run in runs}
    _check_known(key, list(values.values()), runs, folder)
    there = [run for run in runs if (value := values[run.id]) is not None and value == value]
    there.sort(key=lambda run: _place(values[run.id]), reverse=_falls(key, there, folder))
    return [*there, *(run for run in runs if run not in there)]


def _place(value: Value) -> tuple[str, float]:
    return (value.casefold(), 0.0) if isinstance(value, str) else ("", value or 0.0)


def _falls(key: str, runs: Sequence[RunSummary], folder: Path) -> bool:
    """Whether the largest value comes first: where the runs themselves, else the word, say that it is the best."""
    from annpipe.record.journal.summary import large_is_good

    if key in FIELDS and key != "metric":
        return False
    keys = [run.metric or "" if key == "metric" else key for run in runs]
    votes = (large_is_good(folder / run.id, name) for run, name in zip(runs, keys, strict=True))
    known = next((vote for vote in votes if vote is not None), None)
    return bool(_HIGH.search(keys[0])) if known is None and keys else bool(known)


def _check_known(key: str, values: Sequence[Value], runs: Sequence[RunSummary], folder: Path) -> None:
    """Raises UsageError where none of the runs has the key."""
    from annpipe.record.journal import journal

    if key in FIELDS or not runs or any(value is not None for value in values):
        return
    events = (event for run in runs for event in journal.read(folder / run.id))
    names = {name for event in events for name, *_ in journal.points(event) if not name.startswith("best/")}
    plain = sorted({name.removeprefix("final/").removeprefix("best_trial/") for name in names})
    choices = [*FIELDS, *plain]
    known = did_you_mean(key, choices) or f"there are {', '.join(choices)}"
    raise click.UsageError(f"no run has a value of '{key}'; {known}")
