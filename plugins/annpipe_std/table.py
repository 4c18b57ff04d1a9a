"""The data generator `table`: a few rows written in the spec itself, as for a truth table."""

from __future__ import annotations

from typing import Annotated

import pydantic
import torch

from annpipe import Dataset, check_memory, data
from annpipe_std.columns import Numbers, Words, are_words, classes, table_fields


@data(fields=table_fields)
def table(
    *,
    inputs: Annotated[dict[str, list[float]], pydantic.Field(description="Each input column by name: its values.")],
    targets: Annotated[
        dict[str, list[float] | list[str]],
        pydantic.Field(description="Each target column by name: numbers, or words that name classes."),
    ],
    repeat: Annotated[int, pydantic.Field(gt=0, description="How many times the rows follow one another.")] = 1,
) -> Dataset:
    """Takes the rows that the spec itself gives.

    **Shape:** every column is (rows,). Numbers are float64; words become class labels, int64, in alphabetical order.

    >>> table(inputs={"a": [0, 1]}, targets={"y": ["yes", "no"]}).targets["y"]
    tensor([1, 0])
    """
    table_fields(inputs=inputs, targets=targets, repeat=repeat)
    check_memory(repeat * sum(map(len, [*inputs.values(), *targets.values()])), option="repeat")
    return Dataset(
        {name: torch.tensor(column, dtype=torch.float64).repeat(repeat) for name, column in inputs.items()},
        {name: _target(column).repeat(repeat) for name, column in targets.items()},
        categories={name: classes(column) for name, column in targets.items() if are_words(column)},
    )


def _target(column: Numbers | Words) -> torch.Tensor:
    if not are_words(column):
        return torch.tensor(column, dtype=torch.float64)
    names = classes(column)
    return torch.tensor([names.index(str(word)) for word in column])
