"""Measures a trained model for its report: all of it that needs the data and the weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from annpipe.contract import Dataset
from annpipe.datasets.profile import profile
from annpipe.draft.component import Component
from annpipe.inspection.importance import ColumnImportance
from annpipe.plan.plan import Plan
from annpipe.report.answers import MOST_ROWS, ReportRows, equal_distances, model_answers, report_rows, rows_at
from annpipe.report.content import DataOverview, Measured
from annpipe.report.importances import TakesLong, importances
from annpipe.report.network import layer_rows, network_picture
from annpipe.report.results import TargetResult, loss_estimate, target_results
from annpipe.report.wording import short
from annpipe.report.worst import worst_rows
from annpipe.train.parts import Parts

MOST_COLUMNS = 60


def measure(plan: Plan, parts: Parts, *, tree: bool, seconds: float | None = None) -> Measured:
    """Asks the trained model for what a report shows of it.

    With `tree` it is compared with boosted trees as well; what would take more than so many `seconds` is left out.
    """
    rows = report_rows(parts)
    answers = model_answers(plan, parts, rows.rows)
    results = target_results(parts.splits.train, rows, answers, tree=tree)
    important: tuple[ColumnImportance, ...] = ()
    no_importances = ""
    try:
        important = importances(plan, parts, rows, seconds)
    except TakesLong as error:
        no_importances = str(error)
    layers = layer_rows(plan)
    return Measured(
        rows=_rows_in_words(rows),
        is_held_out=rows.is_held_out,
        results=results,
        loss=loss_estimate(answers),
        worst=worst_rows(rows, answers),
        importances=important,
        no_importances=no_importances,
        layers=layers,
        picture=network_picture(plan, layers),
        n_parameters=plan.n_parameters,
        n_frozen=plan.n_frozen,
        data=_data(parts),
        task=_task(plan, results),
        asked=tuple(_asked(plan)),
    )


def _rows_in_words(rows: ReportRows) -> str:
    n = rows.rows.rows
    if n < rows.total:
        return f"{n:,} of the {rows.total:,} rows of {rows.split}, at equal distances"
    return f"{n:,} row{'s' * (n != 1)} of {rows.split}"


def _task(plan: Plan, results: Sequence[TargetResult]) -> str:
    """What the model is for, in a line."""
    kinds = []
    for result in results:
        k = len(result.classes)
        kinds.append(f"{short(result.target)} ({f'{k} classes' if k else 'numbers'})")
    targets = ", ".join(kinds[:4]) + (", …" if len(kinds) > 4 else "") or ", ".join(map(short, plan.fields.targets))
    names = list(plan.fields.inputs)
    inputs = ", ".join(map(short, names[:4])) + (f" and {len(names) - 4:,} more columns" if len(names) > 4 else "")
    word = "Prediction"
    if results:
        of_classes = [bool(result.classes) for result in results]
        word = "Classification" if all(of_classes) else "Prediction" if any(of_classes) else "Regression"
    return f"{word} of {targets} from {inputs}"


def _asked(plan: Plan) -> Iterator[tuple[str, str]]:
    """The plan in a few pairs."""
    train = plan.train
    yield "data", plan.data.name
    if plan.transforms:
        yield "transforms", "; ".join(f"{part.columns}: {_names(part.steps)}" for part in plan.transforms)
    if plan.outputs:
        yield "loss", ", ".join(f"{head.name}: {head.loss.name}" for head in plan.outputs)
    else:
        yield "loss", plan.loss.name
    rate = plan.optimizer.options.get("lr")
    yield "optimizer", plan.optimizer.name + (f", learning rate {rate:g}" if isinstance(rate, float | int) else "")
    if plan.scheduler is not None:
        yield "scheduler", plan.scheduler.name
    yield "length", f"{train.epochs:,} epochs" if train.epochs else f"{train.steps:,} steps"
    yield "batch", "all rows" if train.batch_size == "all" else f"{train.batch_size:,} rows"
    if plan.callbacks:
        yield "callbacks", _names(plan.callbacks)
    yield "precision", plan.device.precision


def _names(components: Sequence[Component]) -> str:
    return ", ".join(component.name for component in components)


def _data(parts: Parts) -> DataOverview:
    """The profile of the data, of at most ten thousand rows."""
    whole = parts.dataset if isinstance(parts.dataset, Dataset) else parts.splits.train
    at = equal_distances(whole.rows, MOST_ROWS)
    rows = whole if len(at) == whole.rows else rows_at(whole, at)
    table = profile(rows, parts.splits, 0)
    total = sum(len(part) for part in parts.rows.values())
    sampled = f"{rows.rows:,} of {total:,} rows, at equal distances" if rows.rows < total else ""
    columns = [column for column in table.columns if column.role != "aside"]
    return DataOverview(
        {name: len(part) for name, part in parts.rows.items()},
        tuple(columns[:MOST_COLUMNS]),
        max(0, len(columns) - MOST_COLUMNS),
        table.classes,
        sampled,
    )
