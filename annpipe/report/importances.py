"""Which raw columns the model needs, as its report shows them: the rise of the loss when one is shuffled."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import torch

from annpipe.datasets.steps.tensors import to_tensors
from annpipe.inspection.importance import ColumnImportance, draw_orders, permutation_importance
from annpipe.plan.plan import Plan
from annpipe.report.answers import ReportRows, equal_distances, rows_at
from annpipe.train.loop.evaluate import predict
from annpipe.train.parts import Parts

REPEATS = 5
MOST_ROWS = 1_000
MOST_COLUMNS = 100
SEED = 0


class TakesLong(Exception):
    """What is not measured now, since it would take longer than there is time."""


def importances(plan: Plan, parts: Parts, rows: ReportRows, seconds: float | None) -> tuple[ColumnImportance, ...]:
    """The importance of each input for the loss, the largest first; none where there is one input alone.

    Raises TakesLong where there are too many inputs, or all shuffles would take more than so many seconds.
    """
    names = list(rows.rows.inputs)
    if len(names) < 2:
        return ()
    if len(names) > MOST_COLUMNS:
        raise TakesLong(f"there are {len(names):,} inputs")
    few = rows_at(rows.rows, equal_distances(rows.rows.rows, MOST_ROWS))
    device, dtype, request = parts.rows["train"].device, parts.rows["train"].dtype, plan.request

    def loss(inputs: Mapping[str, torch.Tensor]) -> float:
        tensors = to_tensors(
            replace(few, inputs=inputs),
            device,
            dtype,
            classes=request.takes_classes,
            columns=parts.transformed,
            labels=request.labels,
        )
        with torch.no_grad():
            return float(parts.loss(predict(parts.model, tensors.x), tensors.y))

    loss(few.inputs)
    begin = time.perf_counter()
    loss(few.inputs)
    if seconds is not None and (time.perf_counter() - begin) * REPEATS * len(names) > seconds:
        raise TakesLong("it would take longer than a run should wait for its report")
    orders = draw_orders(few.rows, REPEATS, torch.Generator().manual_seed(SEED))
    return permutation_importance(loss, few.inputs, orders)
