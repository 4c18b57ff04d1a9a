"""Says in what a run's plan and data are others than when it began: the old and the new value at each path."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from annpipe.contract import ChunkedDataset, Dataset
from annpipe.plan.params import run_params
from annpipe.plan.plan import Plan
from annpipe.record.journal import journal as journals
from annpipe.record.journal.events import DatasetUsed, LengthChanged
from annpipe.record.journal.location import scrub
from annpipe.runs.provenance import dataset_facts

MOST_CHANGES = 8
MOST_LETTERS = 60
ABSENT = "not said"


def changes_said(folder: Path, plan: Plan, dataset: Dataset | ChunkedDataset) -> str:
    """The changes in a line, beginning with a semicolon; empty where the journal tells of none.

    >>> changes_said(folder, plan, dataset)
    '; optimizer.Adam.lr: 0.01 → 0.02, data: 100 → 120 rows'
    """
    changes = [*_of_plan(folder, plan), *_of_data(folder, plan, dataset)]
    more = f" and {len(changes) - MOST_CHANGES} more" if len(changes) > MOST_CHANGES else ""
    return "; " + ", ".join(changes[:MOST_CHANGES]) + more if changes else ""


def _of_plan(folder: Path, plan: Plan) -> Iterator[str]:
    """What differs in the params that the run has in its record."""
    before = dict(journals.run_begun(folder).params)
    if not before:  # an earlier version, or a journal that does not begin with a run
        return
    if last := journals.last_event(folder, LengthChanged):
        before["train.epochs" if last[0].epochs is not None else "train.steps"] = str(last[0].total)
    now = run_params(plan, tuple(before))
    for path in [*before, *(path for path in now if path not in before)]:
        old, new = (_short(str(params.get(path, ABSENT))) for params in (before, now))
        if before.get(path) != now.get(path):
            yield f"{path}: {old} → {new}"


def _of_data(folder: Path, plan: Plan, dataset: Dataset | ChunkedDataset) -> Iterator[str]:
    """What differs in rows and columns, and the digest where that is all."""
    events = (event.dataset for event in journals.read(folder) if isinstance(event, DatasetUsed) and event.facts)
    before = next((data for data in events if data), None)
    if before is None:
        return
    now = dataset_facts(dataset, plan.data.name, {})
    if before.get("digest") == now["digest"]:
        return
    rows = [_read(facts, "profile").get("rows") for facts in (before, now)]
    if rows[0] != rows[1]:
        yield f"data: {rows[0]} → {rows[1]} rows"
    columns = [
        {column["name"]: column for column in _read(facts, "schema").get("columns", [])} for facts in (before, now)
    ]
    for name in dict.fromkeys([*columns[0], *columns[1]]):
        old, new = (_short(_column(of.get(name))) for of in columns)
        if old != new:
            yield f"the column {name}: {old} → {new}"
    yield f"digest of the data: {before.get('digest')} → {now['digest']}"


def _read(facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    data = json.loads(facts.get(name) or "{}")
    return data if isinstance(data, dict) else {}


def _column(column: Mapping[str, Any] | None) -> str:
    return "not there" if column is None else f"{column['role']} {column['dtype']} {column['shape']}"


def _short(text: str) -> str:
    text = scrub(text)
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"
