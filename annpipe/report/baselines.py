"""What simple predictors answer for the same rows: mean, median, majority class, least squares, a boosted tree."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import torch

from annpipe.contract import Dataset
from annpipe.datasets.cell_columns import Array
from annpipe.report.answers import TargetAnswers, equal_distances, rows_at

MOST_COLUMNS = 200  # of a table that least squares and the tree are fitted to
MOST_TRAIN_ROWS = 5_000
MOST_CATEGORIES = 20  # that get a column of their own
MOST_CLASSES = 50  # that least squares tells apart
TREE = "gradient-boosted trees"

Fit = Callable[[Array, Array, Array], Array]


class NoTable(ValueError):
    """Why the inputs are no table of numbers that simple predictors could be fitted to."""


def constant_answers(train: Dataset, answers: TargetAnswers) -> Iterator[tuple[str, Array]]:
    """What is answered without looking at the inputs, learned from the rows of train."""
    known = train.targets[answers.target].double().numpy()
    shape = answers.truth.shape
    if answers.kind == "classes":
        labels = known[(known >= 0) & (known < len(answers.classes))].astype(np.int64)
        if len(labels):
            majority = int(np.bincount(labels.ravel()).argmax())
            yield "the most frequent class", np.full(shape, majority)
        return
    yield "mean of train", np.broadcast_to(known.mean(0), shape)
    yield "median of train", np.broadcast_to(np.median(known, axis=0), shape)


def fitted_answers(train: Dataset, rows: Dataset, answers: TargetAnswers, *, tree: bool) -> Iterator[tuple[str, Array]]:
    """Least squares, with `tree` also boosted trees of scikit-learn; nothing for targets of several numbers.

    Raises NoTable where the inputs are not of the kind.
    """
    if answers.truth.ndim != 1:
        raise NoTable("a row of the target has several numbers")
    chosen = rows_at(train, equal_distances(train.rows, MOST_TRAIN_ROWS))
    x, x_rows = design(chosen, rows)
    y = chosen.targets[answers.target].double().numpy()
    if answers.kind == "classes":
        labelled = (y >= 0) & (y < len(answers.classes))
        x, y = x[labelled], y[labelled].astype(np.int64)
    fits: list[tuple[str, Fit]] = []
    if answers.kind == "numbers":
        fits.append(("least squares", least_squares))
    elif len(answers.classes) <= MOST_CLASSES:
        fits.append(("least squares", least_squares_classes))
    if tree:
        fits.append((TREE, lambda a, b, c: boosted_trees(answers.kind, a, b, c)))
    for name, fit in fits:
        yield name, fit(x, y, x_rows)


def design(train: Dataset, rows: Dataset) -> tuple[Array, Array]:
    """The raw inputs as a matrix, of the rows to fit and of those to answer, (rows, columns) each.

    Numbers are standardized and the mean of train where missing; frequent categories have a column of 0 and 1 each.
    Raises NoTable.
    """
    pairs = [_columns(name, train, rows.inputs[name]) for name in train.inputs]
    width = sum(fitted.shape[1] for fitted, _ in pairs)
    if width > MOST_COLUMNS:
        raise NoTable(f"the inputs have {width:,} numbers a row, more than {MOST_COLUMNS}")
    return np.concatenate([pair[0] for pair in pairs], 1), np.concatenate([pair[1] for pair in pairs], 1)


def _columns(name: str, train: Dataset, other: torch.Tensor) -> tuple[Array, Array]:
    column = train.inputs[name]
    if column.ndim > 1 and not column.is_floating_point():
        raise NoTable(f"'{name}' is a sequence of tokens")
    known, asked = (tensor.double().reshape(len(tensor), -1).numpy() for tensor in (column, other))
    if train.categories.get(name) and column.ndim == 1:
        words, counts = np.unique(known[np.isfinite(known)], return_counts=True)
        frequent = words[np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]]
        return (known == frequent).astype(np.float64), (asked == frequent).astype(np.float64)
    there = np.isfinite(known)
    n = np.maximum(there.sum(0), 1)
    mean = np.where(there, known, 0.0).sum(0) / n
    known, asked = (np.where(np.isfinite(part), part, mean) - mean for part in (known, asked))
    scale = np.sqrt((known**2).mean(0))
    scale[scale == 0] = 1.0
    return known / scale, asked / scale


def least_squares(x: Array, y: Array, rows: Array) -> Array:
    """The linear function with the least squared error on x and y, with a constant, at other rows."""
    weights = np.linalg.lstsq(_with_one(x), y, rcond=None)[0]
    answered: Array = _with_one(rows) @ weights
    return answered


def least_squares_classes(x: Array, y: Array, rows: Array) -> Array:
    """The class whose 0 and 1 the linear function with the least squared error makes largest."""
    classes = np.unique(y)
    answered: Array = classes[least_squares(x, (y[:, None] == classes).astype(np.float64), rows).argmax(1)]
    return answered


def _with_one(x: Array) -> Array:
    return np.concatenate([np.ones((len(x), 1)), x], axis=1)


def boosted_trees(kind: Literal["numbers", "classes"], x: Array, y: Array, rows: Array) -> Array:
    """scikit-learn's gradient boosting with its defaults; raises ImportError where it is not installed."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits  # scikit-learn needs it, and brings it along

    leaf = min(20, max(1, len(x) // 20))  # with 20 rows a leaf, as is the default, small data have no tree at all
    cls = HistGradientBoostingRegressor if kind == "numbers" else HistGradientBoostingClassifier
    if kind == "classes" and len(np.unique(y)) < 2:
        return np.full(len(rows), y[0])
    # threads that wait for one another take minutes where other programs hold the processor
    with warnings.catch_warnings(action="ignore"), threadpool_limits(1):
        answered: Array = cls(min_samples_leaf=leaf, random_state=0).fit(x, y).predict(rows)
    return answered
