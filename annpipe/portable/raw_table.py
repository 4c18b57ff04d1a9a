"""Raw inputs by name out of a DataFrame, a dict of columns, records or an array, each checked to be a column.

A copy of this file goes beside `answering.py` into every MLflow model: it needs NumPy and nothing else.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

_NAMELESS = re.compile(r"Unnamed: \d+")  # what pandas calls a column without a name
MOST_TOLD = 12  # names in a message


def is_pandas(values: Any, *names: str) -> bool:
    """Whether it is of one of these classes of pandas: of none where nobody has imported it, which takes a while."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(values, tuple(attrgetter(name)(pandas) for name in names))


class RawTable:
    """What somebody gave a model: columns that have names, or rows whose values stand in the order of the inputs."""

    def __init__(self, table: Any, names: Sequence[str]) -> None:
        """`names` are those of the inputs. Raises ValueError for what is neither."""
        self._names = list(names)
        if isinstance(table, list) and table and all(isinstance(row, Mapping) for row in table):
            known = dict.fromkeys(key for row in table for key in row)
            table = {key: [row.get(key) for row in table] for key in known}
        self._has_names = isinstance(table, Mapping) or is_pandas(table, "DataFrame")
        self._table = table if self._has_names else _rows(table, len(self._names), self._names)

    def column(self, index: int) -> Any:
        """The cells of an input of one value a row; raises ValueError where it is missing or no column."""
        values = self.values(index)
        n_dimensions = getattr(values, "ndim", 1)
        if n_dimensions == 0 or isinstance(values, str | int | float | None):
            return [values.item() if n_dimensions == 0 else values]
        if n_dimensions == 2 and values.shape[1] == 1:
            return np.asarray(values)[:, 0]
        if n_dimensions > 1:
            raise ValueError(
                f"the column '{self._names[index]}' must have one value a row, however: {values.shape[1:]}"
            )
        return values

    def array(self, index: int, shape: Sequence[int]) -> np.ndarray[Any, Any]:
        """The numbers of an input that has a shape, (rows, …); raises ValueError for rows of another one."""
        name, expected = self._names[index], tuple(shape)
        values = self.values(index)
        try:
            is_nested = is_pandas(values, "Series") and values.dtype == object
            array = np.stack([np.asarray(value) for value in values]) if is_nested else np.asarray(values)
            array = array.astype(np.float64) if array.dtype == object else array
        except (ValueError, TypeError) as error:
            raise ValueError(f"'{name}' is no array of rows of the shape {expected}: {error}") from error
        if array.dtype.kind not in "biuf":
            raise ValueError(f"'{name}' must hold numbers, however: {array.dtype}")
        if array.shape[1:] != expected and array[0:1].size != np.prod(expected):
            raise ValueError(f"the rows of '{name}' must have the shape {expected}, however: {array.shape[1:]}")
        return array

    def values(self, index: int) -> Any:
        """An input as it was given."""
        name = self._names[index]
        if not self._has_names:
            return self._table if len(self._names) == 1 else self._table[:, index]
        nameless = [key for key in self._table if name == "" and _NAMELESS.fullmatch(str(key))]
        if name not in self._table and len(nameless) == 1:
            return self._table[nameless[0]]
        if name not in self._table:
            raise ValueError(f"the input must have the column '{name}', however: {_told(list(self._table))}")
        values = self._table[name]
        if is_pandas(values, "DataFrame"):
            raise ValueError(f"the input has {values.shape[1]} columns '{name}': leave one of them out")
        return values


def _rows(table: Any, n_inputs: int, names: Sequence[str]) -> np.ndarray[Any, Any]:
    """Rows without names, (rows, inputs, …), of which each value belongs to the input at its place."""
    values = table if isinstance(table, np.ndarray) else np.asarray(table)
    if n_inputs > 1 and (values.ndim < 2 or values.shape[1] != n_inputs):
        n_values = values.shape[1] if values.ndim > 1 else 1
        raise ValueError(f"rows without names must have the {n_inputs} values {_told(names)}, however: {n_values}")
    return values


def _told(names: Sequence[Any]) -> str:
    return ", ".join(map(str, names[:MOST_TOLD])) + (", …" if len(names) > MOST_TOLD else "")
