"""Writes a run's model folder as an MLflow model: code and safetensors, with no pickle anywhere."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.models.model import Model
from mlflow.types import ColSpec, Schema, TensorSpec

from annpipe import portable
from annpipe.portable.description import ModelColumn, ModelDescription
from annpipe.portable.predictions import prediction_types

PORTABLE = Path(portable.__file__).parent
LOADER = Path(__file__).with_name("pyfunc_model.py")
# What the loader imports: `answering`, and beside it the files that this imports; the names are a format.
LOADED = {
    "answering": "network.py",
    "cell_dates": "cell_dates.py",
    "cell_text": "cell_text.py",
    "cell_lookup": "cell_lookup.py",
    "description": "description.py",
    "predictions": "predictions.py",
    "raw_table": "raw_table.py",
    "hashed_text": "hashed_text.py",
}
NUMPY_NAMES = {"double": "float64", "float": "float32", "long": "int64", "integer": "int32", "boolean": "bool"}
TENSOR_NAMES = NUMPY_NAMES | {"string": "str", "datetime": "str"}  # words beside tensors


def save_mlflow_model(source: Path, target: Path, *, model_id: str | None, run_id: str | None) -> None:
    """Writes the MLflow model of the model folder `source` to the new folder `target`.

    Torch is not imported: the signature comes from model.json and the requirements are given.
    """
    description = ModelDescription.read(source)
    with tempfile.TemporaryDirectory(prefix="annpipe-model-") as scratch:
        copies = {
            name: Path(shutil.copy(PORTABLE / file, Path(scratch, f"{name}.py"))) for name, file in LOADED.items()
        }
        mlflow.pyfunc.save_model(
            path=str(target),
            python_model=str(LOADER),
            artifacts={"network": source.resolve().as_uri()} | {name: copy.as_uri() for name, copy in copies.items()},
            signature=_signature(description),
            metadata=_column_types(description.inputs),
            input_example=_example(description),
            pip_requirements=list(description.requirements or _installed()),
            mlflow_model=Model(run_id=run_id, model_uuid=model_id, model_id=model_id),
        )


def rehearse() -> None:
    """Saves a model of no worth and throws it away.

    The first call makes mlflow list every installed package, which takes most of a second: better while a run trains
    than when somebody waits for its end.
    """
    columns = (ModelColumn(name="x", type="double"),)
    description = ModelDescription(inputs=columns, outputs=columns, inputs_example={"x": [0.0]})
    with tempfile.TemporaryDirectory(prefix="annpipe-model-") as scratch:
        source = Path(scratch, "source")
        source.mkdir()
        description.write(source)
        save_mlflow_model(source, Path(scratch, "model"), model_id=None, run_id=None)


def _installed() -> list[str]:
    """What a model needs that does not say so."""
    names = ("torch", "safetensors", "numpy", "pandas")
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in names]


def _signature(description: ModelDescription) -> ModelSignature:
    """What comes out, and what goes in where that is tensors.

    Of columns that go in nothing is said here: told of doubles, MLflow would refuse whole numbers and pandas' own types
    with missing values, and told of any type, its scoring server reads no CSV. What each is to be stands in the
    metadata, and the model checks it.
    """
    outputs = _schema(description.outputs if description.targets is None else prediction_types(description.targets))
    has_tensors = any(column.shape for column in description.inputs)
    return ModelSignature(_schema(description.inputs) if has_tensors else None, outputs)


def _schema(columns: Sequence[ModelColumn]) -> Schema:
    """Names and types."""
    if not any(column.shape for column in columns):
        return Schema([ColSpec(column.type, column.name) for column in columns])
    # MLflow mixes no columns with tensors; a single tensor without a name takes and gives plain arrays.
    names = [None] if len(columns) == 1 else [column.name for column in columns]
    return Schema([_tensor(column, name) for column, name in zip(columns, names, strict=True)])


def _column_types(columns: Sequence[ModelColumn]) -> dict[str, Any] | None:
    """What each column that goes in is, for whoever looks at the model: number, category, date, …"""
    words = {"double": "number", "long": "whole number", "string": "category", "any": "boolean", "datetime": "date"}
    if any(column.shape for column in columns):
        return None
    return {"columns": {each.name: "text" if each.counted else words.get(each.type, each.type) for each in columns}}


def _tensor(column: ModelColumn, name: str | None) -> TensorSpec:
    return TensorSpec(np.dtype(TENSOR_NAMES.get(column.type, column.type)), (-1, *column.shape), name)


def _example(description: ModelDescription) -> pd.DataFrame | np.ndarray[Any, Any] | dict[str, Any] | None:
    example = description.inputs_example
    if example is None:
        return None
    if not any(column.shape for column in description.inputs):
        types = {item.name: NUMPY_NAMES[item.type] for item in description.inputs if item.type in NUMPY_NAMES}
        return pd.DataFrame(example).astype(types)
    arrays = {
        item.name: np.asarray(
            ["" if value is None else value for value in example[item.name]],
            TENSOR_NAMES.get(item.type, item.type),
        )
        for item in description.inputs
    }
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays
