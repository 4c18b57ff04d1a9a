"""The data component `npz`: arrays of a NumPy archive, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pydantic
import torch

from annpipe import Dataset, data
from annpipe_std.archive import npz_arrays, npz_fields

_NAMES = "names of arrays, or names of your own with the arrays they stand for: {image: X}."


@data(fields=npz_fields)
def npz(
    *,
    file: Annotated[Path, pydantic.Field(description="An archive of NumPy arrays; relative to the spec.")],
    inputs: Annotated[list[str] | dict[str, str], pydantic.Field(description=f"The inputs: {_NAMES}")],
    targets: Annotated[list[str] | dict[str, str], pydantic.Field(description=f"The targets: {_NAMES}")],
    labels: Annotated[
        bool | list[str],
        pydantic.Field(
            description="Whether the targets are class labels 0, 1, …, or those that are; others are numbers."
        ),
    ] = False,
    tokens: Annotated[
        bool | list[str],
        pydantic.Field(description="Whether the inputs are whole numbers, as Embedding takes them, or those that are."),
    ] = False,
) -> Dataset:
    """Takes arrays by name from a file that `numpy.savez` wrote.

    Arrays of objects are refused: reading them could run any program.

    **Shape:** every array is (rows, …). Numbers become float64, labels and tokens int64. Several targets must be
    columns, (rows,) each; of several inputs, each with a shape of its own needs a stack of `model.inputs`.
    """
    x, y = npz_arrays(file=file, inputs=inputs, targets=targets, labels=labels, tokens=tokens)
    return Dataset(
        {name: torch.from_numpy(array) for name, array in x.items()},
        {name: torch.from_numpy(array) for name, array in y.items()},
    )
