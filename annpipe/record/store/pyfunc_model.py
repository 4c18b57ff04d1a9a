"""The loader of a trained network in MLflow: this file goes into every MLflow model, and runs there without annpipe.

The work is done by `answering.py`, a copy of `annpipe.portable.network` among the model's artifacts, with the files
that it imports beside it; here is what MLflow calls.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import uuid
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel  # type: ignore[attr-defined]  # re-exported without saying so

SERVING = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"  # MLflow's scoring server says so of itself


class UnfitInput(MlflowException, ValueError):
    """Rows that the model cannot answer for; MLflow's scoring server passes the message on, with the status 400."""

    def __init__(self, message: str) -> None:
        super().__init__(message, error_code=INVALID_PARAMETER_VALUE)


class Network(PythonModel):
    """Predicts named outputs from named inputs, both in the units of the data."""

    def load_context(self, context: Any) -> None:
        """Builds the network and loads its weights, in evaluation mode."""
        self.saved = _module(Path(context.artifacts["answering"])).SavedNetwork(Path(context.artifacts["network"]))

    # Without types: MLflow would take a type hint here for a schema, and the signature is given already.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """What `annpipe predict` writes, as a DataFrame; an array where the answer has a shape of its own.

        Columns come in any type that pandas reads them in; UnfitInput, a ValueError, names a cell that does not fit.
        """
        saved = self.saved
        try:
            features = saved.features(saved.columns(model_input))
        except ValueError as error:
            raise UnfitInput(str(error)) from error
        try:
            outputs = saved.outputs(features)
        except (RuntimeError, IndexError) as error:
            raise UnfitInput(f"the network cannot compute these rows: {error}") from error
        return _sendable(saved.answers(outputs))


def _sendable(answers: Any) -> Any:
    """The answers; where a server sends them, None in place of NaN, for which JSON has no word."""
    if os.environ.get(SERVING) != "true":
        return answers
    cells = answers.astype(object)
    cells[answers != answers] = None
    return cells


def _module(file: Path) -> Any:
    """The module in a file, as a package of its own: it imports the files beside it."""
    name = f"answering_{uuid.uuid4().hex}"
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[str(file.parent)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


set_model(Network())
