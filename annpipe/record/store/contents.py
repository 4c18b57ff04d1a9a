"""Asks what a store holds of many runs at once: by SQL in a database, by a few calls of a server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlflow.entities import LoggedModelStatus, ViewType
from mlflow.exceptions import MlflowException
from sqlalchemy import func, select

from annpipe.record.store.content import MODEL, Content, Held

if TYPE_CHECKING:
    from annpipe.record.store.client import Store

RUNS_A_QUESTION = 200  # SQLite takes 999 values in a statement on old systems, MLflow 1000 runs in a page
CALLS_AT_ONCE = 4  # of a server
MODEL_FILE = "MLmodel"
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Question:
    """A run to ask for: its ids, and what is expected; nothing else is looked for."""

    run_id: str
    experiment_id: str
    model_id: str | None
    expected: Content


@dataclass(frozen=True)
class _Run:
    """The rows of a run: all but the files and, of a server, the points."""

    status: str
    is_deleted: bool
    artifact_uri: str
    items: frozenset[str]
    keys: frozenset[str]
    points: dict[str, int]


def ask(store: Store, questions: Sequence[Question]) -> dict[str, Held]:
    """By run id what the store holds of each run; a run that it does not know is left out."""
    held: dict[str, Held] = {}
    for begin in range(0, len(questions), RUNS_A_QUESTION):
        some = questions[begin : begin + RUNS_A_QUESTION]
        database = store.database
        runs = _of_server(store, some) if database is None else _of_database(store, database, some)
        known = [(question, runs[question.run_id]) for question in some if question.run_id in runs]
        files = _all(store, lambda pair: _files(store, *pair), known)
        for (question, run), there in zip(known, files, strict=True):
            items = (run.items | there) & question.expected.items
            points = {key: n for key, n in run.points.items() if key in question.expected.points}
            held[question.run_id] = Held(Content(run.status, items, points), run.is_deleted)
    return held


def present_points(store: Store, run_id: str, keys: Iterable[str]) -> dict[str, set[tuple[int, int]]]:
    """By key the steps and times of all points that the store has of a run."""
    return {
        key: {(point.step, point.timestamp) for point in store.client.get_metric_history(run_id, key)} for key in keys
    }


def _of_database(store: Store, database: Any, questions: Sequence[Question]) -> dict[str, _Run]:
    from mlflow.store.tracking.dbmodels import models

    ids = [question.run_id for question in questions]
    run, metric, param, tag = models.SqlRun, models.SqlMetric, models.SqlParam, models.SqlTag
    data, source = models.SqlDataset, models.SqlInput
    items: dict[str, set[str]] = defaultdict(set)
    points: dict[str, dict[str, int]] = defaultdict(dict)
    with store.connected(database) as connection:
        rows = connection.execute(
            select(run.run_uuid, run.status, run.lifecycle_stage, run.artifact_uri).where(run.run_uuid.in_(ids))
        ).all()
        counts = select(metric.run_uuid, metric.key, func.count()).where(metric.run_uuid.in_(ids))
        for run_id, key, n in connection.execute(counts.group_by(metric.run_uuid, metric.key)):
            points[run_id][key] = n
        for kind, table in (("param", param), ("tag", tag)):
            for run_id, key in connection.execute(select(table.run_uuid, table.key).where(table.run_uuid.in_(ids))):
                items[run_id].add(f"{kind} {key}")
        datasets = select(source.destination_id, data.name, data.digest).where(
            source.source_id == data.dataset_uuid, source.source_type == "DATASET", source.destination_id.in_(ids)
        )
        for run_id, name, digest in connection.execute(datasets):
            items[run_id].add(f"dataset {name} {digest}")
    return {
        run_id: _Run(
            status, stage == "deleted", uri or "", frozenset(items[run_id]), frozenset(points[run_id]), points[run_id]
        )
        for run_id, status, stage, uri in rows
    }


def _of_server(store: Store, questions: Sequence[Question]) -> dict[str, _Run]:
    experiments = sorted({question.experiment_id for question in questions})
    ids = ", ".join(f"'{question.run_id}'" for question in questions)
    runs_found: list[Any]
    try:
        runs_found = list(
            store.client.search_runs(
                experiments, f"attributes.run_id IN ({ids})", run_view_type=ViewType.ALL, max_results=len(questions)
            )
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # one of the experiments is gone for good
            raise
        runs_found = [run for question in questions for run in _one_by_one(store, question.run_id)]
    runs = {run.info.run_id: _read(run) for run in runs_found}
    wanted = [(q.run_id, key) for q in questions for key in q.expected.points if key in _keys(runs, q.run_id)]
    histories = _all(store, lambda pair: len(store.client.get_metric_history(*pair)), wanted)
    for (run_id, key), n in zip(wanted, histories, strict=True):
        runs[run_id].points[key] = n
    return runs


def _keys(runs: dict[str, _Run], run_id: str) -> frozenset[str]:
    return runs[run_id].keys if run_id in runs else frozenset()


def _one_by_one(store: Store, run_id: str) -> Iterator[Any]:
    try:
        yield store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


def _read(run: Any) -> _Run:
    inputs = run.inputs.dataset_inputs if run.inputs else ()
    items = {
        *(f"param {key}" for key in run.data.params),
        *(f"tag {key}" for key in run.data.tags),
        *(f"dataset {item.dataset.name} {item.dataset.digest}" for item in inputs),
    }
    info = run.info
    is_deleted = info.lifecycle_stage == "deleted"
    return _Run(info.status, is_deleted, info.artifact_uri or "", frozenset(items), frozenset(run.data.metrics), {})


def _files(store: Store, question: Question, run: _Run) -> frozenset[str]:
    """The artifacts and the model that are there, of those that are expected."""
    wanted = question.expected.of_kind("artifact")
    root = local_folder(run.artifact_uri)
    if root is not None:
        there = {path for path in wanted if (root / path).is_file()}
    else:
        folders = {str(PurePosixPath(path).parent) for path in wanted}
        listed = [_listed(store, question.run_id, None if folder == "." else folder) for folder in sorted(folders)]
        there = {path for paths in listed for path in paths} & set(wanted)
    model = [MODEL] if MODEL in question.expected.items and _has_model(store, question, root) else []
    return frozenset([*(f"artifact {path}" for path in there), *model])


def _listed(store: Store, run_id: str, folder: str | None) -> list[str]:
    return [str(item.path) for item in store.client.list_artifacts(run_id, folder)]


def _has_model(store: Store, question: Question, root: Path | None) -> bool:
    if question.model_id is None:  # a server from before logged models has it among the artifacts
        if root is not None:
            return (root / MODEL / MODEL_FILE).is_file()
        return f"{MODEL}/{MODEL_FILE}" in _listed(store, question.run_id, MODEL)
    try:
        model = store.client.get_logged_model(question.model_id)
        if model.status != LoggedModelStatus.READY:
            return False
        folder = local_folder(model.artifact_location)
        if folder is not None:
            return (folder / MODEL_FILE).is_file()
        return MODEL_FILE in [item.path for item in store.client.list_logged_model_artifacts(question.model_id)]
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
            return False
        raise


def local_folder(uri: str) -> Path | None:
    """The folder of this machine that an artifact URI names; None for a store elsewhere."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(url2pathname(parts.path))
    return Path(uri) if Path(uri).is_absolute() else None


def _all(store: Store, call: Callable[[T], U], items: Sequence[T]) -> list[U]:
    """The results of calls, some of them at the same time where a server answers them."""
    if store.database is not None or len(items) < 2:
        return [call(item) for item in items]
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        return list(pool.map(call, items))
