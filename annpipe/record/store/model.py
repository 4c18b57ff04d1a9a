"""How does a run's model folder become an MLflow model? From code and safetensors, with no pickle anywhere."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import mlflow.pyfunc
import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # it ships no types
from mlflow.models import ModelSignature
from mlflow.models.model import Model
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType

from annpipe import portable

PORTABLE = Path(portable.__file__).parent
LOADER = Path(__file__).with_name("pyfunc_model.py")
# What the loader imports: `answering`, and beside it the files that this imports; the names are a format.
LOADED = {"answering": "network.py", "cell_text": "cell_text.py", "cell_lookup": "cell_lookup.py"}
NUMPY_NAMES = {"double": "float64", "float": "float32", "long": "int64", "integer": "int32", "boolean": "bool"}
TENSOR_NAMES = NUMPY_NAMES | {"string": "str"}  # words beside tensors


@dataclass(frozen=True)
class Variable:
    """One named input or output: MLflow's type name and the shape of one row (empty for a plain column)."""

    name: str
    type: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Description:
    """What model.json says of the network beside it."""

    inputs: tuple[Variable, ...]
    outputs: tuple[Variable, ...]
    requirements: tuple[str, ...]
    example: dict[str, list[Any]] | None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads `folder`/model.json."""
        found = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        return cls(
            inputs=_variables(found["inputs"]),
            outputs=_variables(found["outputs"]),
            requirements=tuple(found.get("requirements") or _installed()),
            example=found.get("inputs_example"),
        )


def save_mlflow_model(source: Path, target: Path, *, model_id: str | None, run_id: str | None) -> None:
    """Writes the MLflow model of the model folder `source` to the new folder `target`.

    Torch is not imported: the signature comes from model.json and the requirements are given.
    """
    description = Description.read(source)
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
            pip_requirements=list(description.requirements),
            mlflow_model=Model(run_id=run_id, model_uuid=model_id, model_id=model_id),
        )


def rehearse() -> None:
    """Saves a model of no worth and throws it away.

    The first call makes mlflow list every installed package, which takes most of a second: better while a run trains
    than when somebody waits for its end.
    """
    column = [{"name": "x", "type": "double", "shape": []}]
    description = {"inputs": column, "outputs": column, "requirements": _installed(), "inputs_example": {"x": [0.0]}}
    with tempfile.TemporaryDirectory(prefix="annpipe-model-") as scratch:
        source = Path(scratch, "source")
        source.mkdir()
        (source / "model.json").write_text(json.dumps(description), encoding="utf-8")
        save_mlflow_model(source, Path(scratch, "model"), model_id=None, run_id=None)


def _variables(found: list[dict[str, Any]]) -> tuple[Variable, ...]:
    return tuple(Variable(item["name"], item["type"], tuple(item.get("shape", ()))) for item in found)


def _installed() -> list[str]:
    names = ("torch", "safetensors", "numpy", "pandas")
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in names]


def _signature(description: Description) -> ModelSignature:
    """What goes in and comes out; of a column without a name, which MLflow cannot say, only what comes out."""
    outputs = _schema(description.outputs)
    if not all(variable.name for variable in description.inputs):
        return ModelSignature(outputs=outputs)
    return ModelSignature(_schema(description.inputs, is_input=True), outputs)


def _schema(variables: tuple[Variable, ...], *, is_input: bool = False) -> Schema:
    """Names and types. Columns that go in have none: MLflow would refuse whole numbers where it is told of doubles, and
    pandas' own types with missing values; what each is to be stands in the metadata, and the model checks it.
    """
    if not any(variable.shape for variable in variables):
        anything = AnyType() if is_input else None  # type: ignore[no-untyped-call]  # MLflow's own
        return Schema([ColSpec(anything or variable.type, variable.name) for variable in variables])
    # MLflow mixes no columns with tensors; a single tensor without a name takes and gives plain arrays.
    names = [None] if len(variables) == 1 else [variable.name for variable in variables]
    return Schema([_tensor(variable, name) for variable, name in zip(variables, names, strict=True)])


def _column_types(variables: tuple[Variable, ...]) -> dict[str, Any] | None:
    """What each column that goes in is, for whoever looks at the model: number, whole number, category or boolean."""
    words = {"double": "number", "long": "whole number", "string": "category", "any": "boolean"}
    if any(variable.shape for variable in variables):
        return None
    return {"columns": {variable.name: words.get(variable.type, variable.type) for variable in variables}}


def _tensor(variable: Variable, name: str | None) -> TensorSpec:
    return TensorSpec(np.dtype(TENSOR_NAMES.get(variable.type, variable.type)), (-1, *variable.shape), name)


def _example(description: Description) -> pd.DataFrame | np.ndarray[Any, Any] | dict[str, Any] | None:
    if description.example is None:
        return None
    if not any(variable.shape for variable in description.inputs):
        types = {item.name: NUMPY_NAMES[item.type] for item in description.inputs if item.type in NUMPY_NAMES}
        return pd.DataFrame(description.example).astype(types)
    arrays = {
        item.name: np.asarray(
            ["" if value is None else value for value in description.example[item.name]],
            TENSOR_NAMES.get(item.type, item.type),
        )
        for item in description.inputs
    }
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays
