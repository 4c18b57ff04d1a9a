"""Writes many points into a SQLite store at once: as rows of MLflow's own tables, a statement for all of them.

MLflow makes several objects of each point, which costs fifty times as much as its row.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from mlflow.entities import Metric

COLUMNS = ("key", "value", "timestamp", "step", "is_nan", "run_uuid")
INSERT = f"INSERT INTO {{}} ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT"
POINTS = f"{INSERT.format('metrics')} DO NOTHING"
# What a run shows as its latest value: MLflow goes by step, then by time, then by value.
LATEST = f"""{INSERT.format("latest_metrics")} (key, run_uuid) DO UPDATE
SET value = excluded.value, timestamp = excluded.timestamp, step = excluded.step, is_nan = excluded.is_nan
WHERE (excluded.step, excluded.timestamp, excluded.value) > (step, timestamp, value)"""
# Names that MLflow takes for certain; of others it is asked itself.
PLAIN_KEY = re.compile(r"\w[\w .-]*(/\w[\w .-]*)*", re.ASCII)
MOST_CHARACTERS = 250


def write_points(connection: Any, run_id: str, metrics: Sequence[Metric]) -> bool:
    """Whether the points are in the tables now, each once; else none is, and MLflow has to be asked.

    It is asked where a key might be refused, where the run was deleted, and where it keeps points in another way than
    this was written for. `connection` is one of SQLAlchemy's, within a transaction.
    """
    if not _as_known() or not all(_is_plain(key) for key in {metric.key for metric in metrics}):
        return False
    query = "SELECT 1 FROM runs WHERE run_uuid = ? AND lifecycle_stage = 'active'"
    if connection.exec_driver_sql(query, (run_id,)).first() is None:
        return False
    rows = [_row(metric, run_id) for metric in metrics]
    latest: dict[str, tuple[Any, ...]] = {}
    for row in rows:
        if row[0] not in latest or _rank(row) > _rank(latest[row[0]]):
            latest[row[0]] = row
    connection.exec_driver_sql(POINTS, rows)
    connection.exec_driver_sql(LATEST, list(latest.values()))
    return True


def _row(metric: Metric, run_id: str) -> tuple[Any, ...]:
    """The values of the columns; SQL has no nan and no infinity, and these are what MLflow writes for them."""
    value, is_nan = metric.value, math.isnan(metric.value)
    if is_nan:
        value = 0.0
    elif math.isinf(value):
        value = math.copysign(sys.float_info.max, value)
    return metric.key, value, metric.timestamp, metric.step, is_nan, run_id


def _rank(row: tuple[Any, ...]) -> tuple[int, int, float]:
    _, value, timestamp, step, *_ = row
    return step, timestamp, value


def _is_plain(key: str) -> bool:
    return len(key) <= MOST_CHARACTERS and PLAIN_KEY.fullmatch(key) is not None


@cache
def _as_known() -> bool:
    """Whether this MLflow keeps points in the columns that are written here."""
    from mlflow.store.tracking.dbmodels import models  # a database's own, which its store has imported

    tables = (models.SqlMetric.__table__, models.SqlLatestMetric.__table__)
    return all({column.name for column in table.columns} == set(COLUMNS) for table in tables)
