"""The data generator `table`: a few rows written in the spec itself, as for a truth table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import pydantic
import torch

from annpipe import Dataset, Field, Fields, OptionError, data

Numbers = list[float]
Words = list[str]


def table_fields(*, inputs: Mapping[str, Numbers], targets: Mapping[str, Numbers | Words], repeat: int = 1) -> Fields:
    """The columns of the table; raises OptionError where they do not have the same number of rows."""
    columns: dict[str, Numbers | Words] = {f"inputs.{name}": column for name, column in inputs.items()}
    columns |= {f"targets.{name}": column for name, column in targets.items()}
    for option, named in (("inputs", inputs), ("targets", targets)):
        if not named:
            raise OptionError(option, "names no column", help=f"as in `{option}: {{a: [0, 1]}}`")
    _check_rows(columns)
    for name in targets:
        if name in inputs:
            raise OptionError(f"targets.{name}", f"'{name}' is an input already", help="give the target another name")
    return Fields({name: Field() for name in inputs}, {name: _target_field(column) for name, column in targets.items()})


def _check_rows(columns: Mapping[str, Numbers | Words]) -> None:
    first, *others = columns
    if not columns[first]:
        raise OptionError(first, "has no rows", help="write its values as a list: [0, 1]")
    for option in others:
        if len(columns[option]) != len(columns[first]):
            message = f"has {len(columns[option])} rows, however: '{first}' has {len(columns[first])}"
            raise OptionError(option, message, help="every column needs a value for each row")


def _target_field(column: Numbers | Words) -> Field:
    return Field(dtype="int", classes=len(set(column))) if _are_words(column) else Field()


def _are_words(column: Numbers | Words) -> bool:
    return isinstance(column[0], str)


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
    return Dataset(
        {name: torch.tensor(column, dtype=torch.float64).repeat(repeat) for name, column in inputs.items()},
        {name: _target(column).repeat(repeat) for name, column in targets.items()},
    )


def _target(column: Numbers | Words) -> torch.Tensor:
    if not _are_words(column):
        return torch.tensor(column, dtype=torch.float64)
    classes = sorted({str(word) for word in column})
    return torch.tensor([classes.index(str(word)) for word in column])
