"""Differences between runs, in their plans and in their results; read from their folders, without MLflow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annpipe.errors import AnnpipeError, NotFound
from annpipe.record.journal import journal
from annpipe.record.journal.events import DatasetUsed, RunBegun
from annpipe.record.journal.project import Skipped, fault_of
from annpipe.record.journal.summary import RunSummary, is_sweep, summarize
from annpipe.spec.yaml.nodes import plain
from annpipe.spec.yaml.reader import read_file

UNASKED = ("version", "name", "description", "tags", "plugins", "tracking", "plots")  # of no weight for the numbers
MOST_LETTERS = 48


@dataclass(frozen=True)
class Row:
    """One thing in which runs may differ: its path or key, and for each run its value, None where it has none."""

    name: str
    values: tuple[Any, ...]

    @property
    def differs(self) -> bool:
        return any(value != self.values[0] for value in self.values)


@dataclass(frozen=True)
class Comparison:
    """Runs side by side: `asked` are the parts of their plans that differ, `results` all of their results."""

    runs: tuple[RunSummary, ...]
    asked: tuple[Row, ...]
    results: tuple[Row, ...]


@dataclass(frozen=True)
class _Read:
    """What is compared of a run."""

    run: RunSummary
    plan: dict[str, Any]
    digest: str | None
    results: dict[str, float]


def compare(folders: Sequence[Path], notify: Callable[[str], None]) -> Comparison:
    """Compares the plans and the results of runs, in their order; one that cannot be read is told and left out."""
    read = []
    for folder in folders:
        if fault := fault_of(folder):
            notify(str(Skipped(folder, fault)))
            continue
        if not (folder / "plan.yaml").is_file() and not is_sweep(folder):
            notify(f"warning: {folder.name} has no plan.yaml: what it was asked for is not compared")
        try:
            read.append(_Read(summarize(folder), _plan(folder), _digest(folder), _results(folder)))
        except OSError as error:
            notify(str(Skipped(folder, f"it cannot be read ({error.strerror})")))
        except AnnpipeError as error:
            notify(str(Skipped(folder, f"its plan cannot be read: {error}")))
    return _compared(read)


def _compared(read: Sequence[_Read]) -> Comparison:
    runs, values = tuple(run.run for run in read), [run.results for run in read]
    digests = Row("digest of the data", tuple(run.digest for run in read))
    asked = [*(differences([run.plan for run in read]) if read else []), *([digests] if digests.differs else [])]
    keys = sorted({key for results in values for key in results})
    rows = [Row(key, tuple(results.get(key) for results in values)) for key in keys]
    seconds = Row("seconds", tuple(run.duration_seconds for run in runs))
    return Comparison(runs, tuple(asked), (*rows, seconds))


def differences(plans: Sequence[Any], path: str = "") -> Iterator[Row]:
    """The paths at which plans differ, no deeper than they have the same structure.

    Of components with different names the names are one difference, and the options of those that share a name more.
    """
    if all(plan == plans[0] for plan in plans):
        return
    names = [_component(plan) for plan in plans]
    if path and None not in names and len(set(names)) > 1:
        yield Row(path, tuple(plans))
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            options = [plan.get(name, {}) if isinstance(plan, Mapping) else {} for plan in plans]
            yield from _options(options, [name_of_plan == name for name_of_plan in names], f"{path}.{name}")
    elif all(isinstance(plan, Mapping) for plan in plans) and (not path or len({tuple(plan) for plan in plans}) == 1):
        for key in dict.fromkeys(key for plan in plans for key in plan):
            yield from differences([plan.get(key) for plan in plans], f"{path}.{key}" if path else str(key))
    elif all(isinstance(plan, list) and len(plan) == len(plans[0]) for plan in plans) and _holds(plans):
        for index, items in enumerate(zip(*plans, strict=True)):
            yield from differences(items, f"{path}.{index}")
    else:
        yield Row(path, tuple(plans))


def _options(options: Sequence[Mapping[str, Any]], has: Sequence[bool], path: str) -> Iterator[Row]:
    """The options that differ among the runs that have the component; None for the others."""
    options_of_some = [options_of_run for options_of_run, there in zip(options, has, strict=True) if there]
    for row in differences(options_of_some, path):
        values = iter(row.values)
        yield Row(row.name, tuple(next(values) if there else None for there in has))


def _component(value: Any) -> str | None:
    """The name of what may be a component: a word, or a mapping of one name to its options."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and len(value) == 1 and isinstance(next(iter(value.values())), Mapping):
        return str(next(iter(value)))
    return None


def _holds(plans: Sequence[Sequence[Any]]) -> bool:
    """Whether lists hold more than plain values, so that the places in them are worth telling apart."""
    return any(isinstance(item, Mapping | list) for plan in plans for item in plan)


def brief(value: Any) -> str:
    """A value of a plan in few letters; options that are off or left out are not told.

    >>> brief({"Linear": {"in_features": 1, "out_features": 8, "bias": False}})
    'Linear {in_features: 1, out_features: 8}'
    """
    text = _text(value)
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def _text(value: Any) -> str:
    match value:
        case None:
            return "-"
        case Mapping():
            name = _component(value)
            return _inside(value) if name is None else f"{name} {_inside(value[name])}".removesuffix(" {}")
        case list():
            return f"[{', '.join(_text(item) for item in value)}]"
        case float():
            return f"{value:.6g}"
        case str():
            return value
    return json.dumps(value)


def _inside(options: Mapping[str, Any]) -> str:
    shown = {key: value for key, value in options.items() if value is not None and value is not False}
    return f"{{{', '.join(f'{key}: {_text(value)}' for key, value in shown.items())}}}"


def _plan(folder: Path) -> dict[str, Any]:
    path = folder / "plan.yaml"
    if not path.is_file():
        return {}
    plan = plain(read_file(path))
    if not isinstance(plan, dict):
        raise NotFound(f"{path.name} is no plan")
    return {key: value for key, value in plan.items() if key not in UNASKED}


def _digest(folder: Path) -> str | None:
    """The digest of the data that a run was trained on."""
    line = journal.last_line(folder, '"context":"train"')
    dataset = line[0].dataset if line and isinstance(line[0], RunBegun | DatasetUsed) else None
    return dataset.get("digest") if dataset else None


def _results(folder: Path) -> dict[str, float]:
    """Final and best values, and those of `annpipe evaluate`; of a run without an end its latest ones."""
    latest = {key: value for event in journal.read(folder) for key, _, value, _ in journal.points(event)}
    results = {key: value for key, value in latest.items() if key.partition("/")[0] in ("final", "best", "evaluated")}
    return results or {key: value for key, value in latest.items() if not key.startswith("lr")}
