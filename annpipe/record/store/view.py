"""The prepared view of an experiment in MLflow's UI: curves first, and columns for what differs and what came of it.

MLflow keeps a saved view of its runs page as a tag of the experiment (`mlflow.sharedViewState.<key>`), and opens it
where the address names the key (`viewStateShareKey`). So nothing but a tag is written, by MLflow's own interface; the
view stands in the page's list of views, and whoever changes it saves another one. The fields are those that MLflow's
page of version 3.17 writes itself; a version that knows other ones shows its own page.
"""

from __future__ import annotations

import json
import math
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from annpipe.errors import StoreError
from annpipe.record.journal.location import scrub
from annpipe.record.store.keys import SINGLE_VALUES, SYSTEM, is_single_value

KEY = "annpipe"
TAG = f"mlflow.sharedViewState.{KEY}"
SWEEP_TAG = "annpipe.sweep"  # its run has other params than its trials
NAME = "annpipe: curves, and what differs"
MOST_EXPERIMENTS = 50
MOST_RUNS = 1000
MOST_COLUMNS = 12
MOST_CHARTS = 6
MOST_AXES = 6
MOST_LINEAR = 10.0
MOST_CHARACTERS = 5000  # of a tag of an experiment


def prepare_views(address: str) -> set[str]:
    """Writes the views of the experiments that were last added to; the ids of those that have one."""
    return {identity for identity in latest_experiments(address) if prepare_view(address, identity)}


def latest_experiments(address: str) -> list[str]:
    """The ids of the experiments that were last added to, experiment 0 aside, the latest first."""
    question = {"max_results": MOST_EXPERIMENTS, "order_by": ["last_update_time DESC"], "filter": "name != 'Default'"}
    experiments = _ask(address, "experiments/search", question).get("experiments", [])
    return [str(experiment["experiment_id"]) for experiment in experiments]


def prepare_view(address: str, experiment_id: str) -> bool:
    """Writes the view of an experiment for what its runs hold now; False where it has no runs or too much to say.

    `address` is that of a server; raises StoreError where it gives no answer.
    """
    runs = _ask(address, "runs/search", {"experiment_ids": [experiment_id], "max_results": MOST_RUNS}).get("runs", [])
    if not runs:
        return False
    trained = [run["data"] for run in runs if SWEEP_TAG not in _pairs(run["data"].get("tags", ()))]
    params = [_pairs(data.get("params", ())) for data in trained]
    values: dict[str, list[float]] = {}
    for data in trained:
        for metric in data.get("metrics", ()):
            values.setdefault(metric["key"], []).append(float(metric["value"]))
    value = view(values, differing(params))
    if len(value) > MOST_CHARACTERS:
        return False
    _ask(address, "experiments/set-experiment-tag", {"experiment_id": experiment_id, "key": TAG, "value": value})
    return True


def view(metrics: Mapping[str, Sequence[float]], params: Sequence[str]) -> str:
    """The text of the tag: line charts of the curves, the best values as columns, then the params that differ.

    `metrics` has by key the last value of each run.
    """
    metrics = {key: values for key, values in metrics.items() if not key.startswith(SYSTEM)}
    curves = sorted((key for key in metrics if not is_single_value(key) and "/" in key), key=_by_weight)
    groups: dict[str, list[str]] = {}
    for key in curves:
        groups.setdefault(key.partition("/")[2], []).append(key)
    section = str(uuid.uuid4())
    values = sorted((key for key in metrics if is_single_value(key)), key=_by_rank)
    cards = [_line(keys, section, _scale(metrics, keys)) for keys in list(groups.values())[:MOST_CHARTS]]
    if params:
        cards += [_parallel(params[:MOST_AXES], values[:1], section), _difference(section)]
    columns = [f"metrics.`{key}`" for key in values[:2]] + [f"params.`{key}`" for key in params]
    state = {
        "selectedColumns": columns[:MOST_COLUMNS],
        "compareRunCharts": cards,
        "compareRunSections": [_section(section, "curves")],
        "runsHiddenMode": "FIRST_20_RUNS",
        "hideEmptyCharts": True,
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,  # then sections of other charts come behind it
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
        "orderByKey": f"metrics.`{values[0]}`" if values else "attributes.start_time",
        "orderByAsc": bool(values) and values[0].endswith("loss"),
    }
    now = int(time.time() * 1000)
    return json.dumps({"name": NAME, "createdAt": now, "updatedAt": now, "state": json.dumps(state)})


def differing(params: Sequence[Mapping[str, str]]) -> list[str]:
    """The params in which runs differ, those of the fewest values first: what was varied, before what follows from it.

    >>> differing([{"lr": "0.1", "seed": "0"}, {"lr": "0.2", "seed": "0"}])
    ['lr']
    """
    keys = {key for run in params for key in run}
    n_values = {key: len({run.get(key) for run in params}) for key in keys}
    return sorted((key for key in keys if n_values[key] > 1), key=lambda key: (n_values[key], key))


def _by_weight(key: str) -> tuple[bool, str, bool]:
    """The loss before metrics; of each the train split before val."""
    split, _, measure = key.partition("/")
    return measure != "loss", measure, split != "train"


def _by_rank(key: str) -> tuple[bool, bool, bool, str]:
    """The best values before the final ones, of val before others, the loss before metrics, as in `annpipe runs`."""
    kind, _, rest = key.partition(".")
    return kind != SINGLE_VALUES[0], not rest.startswith("val."), not rest.endswith("loss"), key


def _card(kind: str, section: str, **fields: Any) -> dict[str, Any]:
    shape = {"runsCountToCompare": 20, "deleted": False, "isGenerated": False}
    return {"uuid": str(uuid.uuid4()), "type": kind, "metricSectionId": section, **shape, **fields}


def _scale(metrics: Mapping[str, Sequence[float]], keys: Sequence[str]) -> str:
    """`log` for losses that end more than tenfold apart, which would else be one line at the bottom."""
    values = [value for key in keys for value in metrics[key] if math.isfinite(value)]
    is_wide = bool(values) and min(values) > 0 and max(values) > MOST_LINEAR * min(values)
    return "log" if is_wide and keys[0].endswith("loss") else "linear"


def _line(keys: Sequence[str], section: str, scale: str) -> dict[str, Any]:
    """Curves of one measure over the epochs: train drawn through, val dashed."""
    fields = {"lineSmoothness": 0, "scaleType": scale, "xAxisKey": "step", "yAxisKey": "metric"}
    return _card("LINE", section, metricKey=keys[0], selectedMetricKeys=list(keys), **fields)


def _parallel(params: Sequence[str], metrics: Sequence[str], section: str) -> dict[str, Any]:
    """A line for each run through what differs, to what came of it."""
    return _card("PARALLEL", section, selectedParams=list(params), selectedMetrics=list(metrics), showAllRuns=True)


def _difference(section: str) -> dict[str, Any]:
    """A table of the params that differ, a column a run."""
    fields = {"compareGroups": ["Parameters"], "showDifferencesOnly": True, "showChangeFromBaseline": False}
    return _card("DIFFERENCE", section, chartName="what differs", baselineColumnUuid="", **fields)


def _section(identity: str, name: str) -> dict[str, Any]:
    shape = {"display": True, "isReordered": False, "deleted": False, "isGenerated": False, "columns": 2}
    return {"uuid": identity, "name": name, **shape}


def _pairs(items: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {item["key"]: item.get("value", "") for item in items}


def _ask(address: str, method: str, question: Mapping[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/{method}", json.dumps(question).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))
    except (urllib.error.URLError, ValueError) as error:
        raise StoreError(f"MLflow's server gave no answer to {method}: {scrub(str(error))}") from error
