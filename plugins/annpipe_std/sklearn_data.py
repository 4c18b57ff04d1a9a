"""The data component `sklearn`: scikit-learn's bundled data sets, and its generators of toy problems."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
import torch

from annpipe import Dataset, data
from annpipe_std.bundled import sklearn_fields, sklearn_rows


@data(name="sklearn", fields=sklearn_fields, example={"load": "iris"})
def sklearn_data(
    *,
    load: Annotated[
        str | None,
        pydantic.Field(description="A bundled set: diabetes, digits, iris, wine, breast_cancer, linnerud."),
    ] = None,
    make: Annotated[
        str | None, pydantic.Field(description="A generator: moons, circles, blobs, classification, regression, …")
    ] = None,
    options: Annotated[
        dict[str, Any] | None, pydantic.Field(description="Options of scikit-learn's function: {n_samples: 500}.")
    ] = None,
    images: Annotated[
        bool, pydantic.Field(description="Whether `digits` are one input of images, (rows, 1, 8, 8).")
    ] = False,
    generator: torch.Generator,
) -> Dataset:
    """Takes rows of `sklearn.datasets`: `load_*` sets and `make_*` generators, by name; needs scikit-learn.

    Columns have the names of the set's features, or x0, x1, …; the target is `y`, or one column for each of several.

    **Shape:** every column is (rows,), float64; whole numbers as targets are class labels, int64.
    """
    seed = int(torch.randint(2**32 - 1, (), generator=generator)) if make else 0
    rows = sklearn_rows(load=load, make=make, options=options, images=images, seed=seed)
    return Dataset(
        {name: torch.from_numpy(array) for name, array in rows.inputs.items()},
        {name: torch.from_numpy(array) for name, array in rows.targets.items()},
        categories=rows.class_names,
    )
