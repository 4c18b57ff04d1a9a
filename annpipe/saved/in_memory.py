"""A saved model answers for rows in memory: a DataFrame, a mapping of columns by name, or an array of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from annpipe.backend.torch_globals import torch_defaults
from annpipe.contract import Dataset
from annpipe.errors import DataError
from annpipe.portable.cell_text import plain
from annpipe.portable.description import ModelTarget
from annpipe.portable.network import SavedNetwork, as_numbers, cells_of
from annpipe.portable.predictions import prediction_columns
from annpipe.portable.raw_table import RawTable
from annpipe.saved.labelled import as_dataset, known_cells
from annpipe.saved.model import SavedModel

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

Table: TypeAlias = Any
"""A pandas DataFrame, a mapping of names to columns (a single value stands for one row), or an array whose columns are
the model's inputs in their order."""
CALLED = "the table"


@torch_defaults()
def answers_for(network: SavedNetwork, table: Table) -> dict[str, Array]:
    """What `annpipe predict` writes for these rows, by column, (rows,) or (rows, …) each.

    Raises DataError where a column is missing or a cell does not fit.
    """
    columns = input_columns(network, as_columns(table))
    assert network.description.targets is not None  # of a model that was saved by an earlier annpipe
    return prediction_columns(network.description.targets, network.outputs(network.features(columns)))


def labelled_table(model: SavedModel, table: Table, ignored: Mapping[str | None, int] | None = None) -> Dataset:
    """The inputs and targets of a table's rows, as the run's own data has them; `ignored` is as in `labelled`.

    Raises DataError where a column is missing or a cell does not fit.
    """
    ignored, rows = ignored or {}, as_columns(table)
    if not isinstance(rows, dict) and not _is_frame(rows):
        raise DataError("an array does not say which of its columns are targets", "give a DataFrame, or a mapping")
    form, alone = model.reading.form, ignored.get(None)
    cells = [(target, _target_cells(model, target, rows)) for target in model.targets]
    targets = [known_cells(t, column, CALLED, 0, form, ignored.get(t.name, alone)) for t, column in cells]
    columns = [*input_columns(model.network, rows), *targets]
    return as_dataset(model, [torch.tensor(column) for column in columns])


def as_columns(table: Table) -> Table:
    """The table as the model's network reads it: single values of a mapping become columns of one row."""
    if not isinstance(table, Mapping):
        return table
    return {name: [cells] if np.ndim(cells) == 0 else cells for name, cells in table.items()}


def input_columns(network: SavedNetwork, table: Table) -> list[Array]:
    """The inputs in their order, (rows, …) each; raises DataError where a column is missing or does not fit."""
    inputs = network.description.inputs
    n_inputs = len(inputs)
    if not isinstance(table, dict) and not _is_frame(table):
        table = np.asarray(table)
        width = table.shape[1] if table.ndim > 1 else 1
        if n_inputs > 1 and width != n_inputs:
            message = f"the array has {width} column{'s' * (width != 1)}, and the model takes {n_inputs}"
            raise DataError(message, f"its inputs are {', '.join(column.name for column in inputs[:12])}")
    try:
        columns = network.columns(table)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise DataError(f"{CALLED}: {' '.join(str(error).split())}", "correct the table") from error
    lengths = {column.name: len(cells) for column, cells in zip(inputs, columns, strict=True)}
    first, n_rows = next(iter(lengths.items()))
    other = next((name for name, length in lengths.items() if length != n_rows), None)
    if other is not None:
        message = f"{CALLED}: '{other}' has {lengths[other]} rows; '{first}' has {n_rows}"
        raise DataError(message, "every column needs a value for each row")
    if not n_rows:
        raise DataError(f"{CALLED} has no rows", "it needs at least one")
    return columns


def _target_cells(model: SavedModel, target: ModelTarget, table: Table) -> Array:
    """The cells of a target: words, or numbers none of which is missing."""
    name = target.name
    try:
        raw = RawTable(table, [name])
        if target.shape:
            return raw.array(0, target.shape).astype(np.float64, copy=False)
        cells = raw.column(0)
        if target.words:
            words = np.empty(len(cells), dtype=object)
            words[:] = list(cells_of(cells))
            lost = np.array([plain(word) is None for word in words], dtype=bool)
        else:
            words = as_numbers(cells, name, model.reading.form)
            lost = np.isnan(words)
    except (ValueError, TypeError) as error:
        raise DataError(f"{CALLED}: {' '.join(str(error).split())}", "correct it, or leave the row out") from error
    if lost.any():
        message = f"{CALLED}: row {int(lost.argmax()) + 1} of the column '{name}' is missing"
        raise DataError(message, "fill it in, or leave the row out")
    return words


def _is_frame(table: Table) -> bool:
    import pandas as pd

    return isinstance(table, pd.DataFrame)
