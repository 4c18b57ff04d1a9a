"""How does a trained network answer in MLflow? This file goes into every MLflow model, and runs there without annpipe.

What it does is `answering.py`, which goes with it among the model's artifacts; here it gets MLflow's words.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel  # type: ignore[attr-defined]  # re-exported without saying so


class Network(PythonModel):
    """Predicts named outputs from named inputs, both in the units of the data."""

    def load_context(self, context: Any) -> None:
        """Builds the network and loads its weights, in evaluation mode."""
        self.saved = _module(Path(context.artifacts["answering"])).SavedNetwork(Path(context.artifacts["network"]))

    # Without types: MLflow would take a type hint here for a schema, and the signature is given already.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """A DataFrame with one column for each output; an array where the output has a shape of its own.

        MLflow itself refuses whole numbers where the signature says double: write 1.0, not 1.
        """
        saved = self.saved
        return saved.named(saved.outputs(saved.features(saved.columns(model_input))))


def _module(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location("answering", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


set_model(Network())
