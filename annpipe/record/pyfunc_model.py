"""How does a trained network answer in MLflow? This file goes into every model folder and runs there, without annpipe.

It needs mlflow, torch, safetensors, numpy and pandas, and reads the three files beside it among the model's artifacts:
`network.py` (plain PyTorch, `build()` makes the network), `weights.safetensors` and `model.json` (names and types).
"""

from __future__ import annotations

import importlib.util
import json
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # it ships no types
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel  # type: ignore[attr-defined]  # re-exported without saying so

if TYPE_CHECKING:
    import torch

ROWS_AT_ONCE = 65_536  # a table of any length needs the memory of this many rows


class Network(PythonModel):
    """Predicts named outputs from named inputs, both in the units of the data."""

    def load_context(self, context: Any) -> None:
        """Builds the network and loads its weights, in evaluation mode."""
        from safetensors.torch import load_file

        folder = Path(context.artifacts["network"])
        self.description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        self.network = build_network(folder)
        self.network.load_state_dict(load_file(folder / "weights.safetensors"))
        self.network.eval()

    # Without types: MLflow would take a type hint here for a schema, and the signature is given already.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """A DataFrame with one column for each output; an array where the output has a shape of its own.

        MLflow itself refuses whole numbers where the signature says double: write 1.0, not 1.
        """
        import torch

        features = self._features(model_input)
        with torch.no_grad():
            answers = torch.cat([self.network(rows) for rows in torch.split(features, ROWS_AT_ONCE)])
        return self._named(answers)

    def _features(self, model_input: Any) -> torch.Tensor:
        import torch

        inputs = self.description["inputs"]
        columns = [as_array(model_input, item["name"], index, len(inputs)) for index, item in enumerate(inputs)]
        columns = [positions(column, item.get("categories")) for column, item in zip(columns, inputs, strict=True)]
        is_whole = len(inputs) == 1 and inputs[0]["type"] in {"integer", "long", "int32", "int64"}
        is_raw = self.description.get("transforms", False)  # the model makes features of raw columns by itself
        precision = "float64" if is_raw else self.description.get("precision", "float32")
        number = torch.int64 if is_whole else getattr(torch, precision)
        if len(inputs) == 1 and inputs[0]["shape"]:
            return torch.as_tensor(columns[0]).reshape(-1, *inputs[0]["shape"]).to(number)
        flat = [column.reshape(len(column), -1) for column in columns]
        return torch.as_tensor(np.concatenate(flat, axis=1)).to(number)

    def _named(self, answers: torch.Tensor) -> Any:
        outputs = self.description["outputs"]
        numbers = answers.double().numpy() if answers.is_floating_point() else answers.numpy()
        if len(outputs) == 1 and outputs[0]["shape"]:
            return numbers
        columns = numbers.reshape(len(numbers), -1)
        return pd.DataFrame({item["name"]: columns[:, index] for index, item in enumerate(outputs)})


def positions(column: np.ndarray[Any, Any], categories: list[str] | None) -> np.ndarray[Any, Any]:
    """Words as their positions among the categories: -1 for one that the model does not know, NaN for none."""
    if not categories:
        return column
    known = {word: float(position) for position, word in enumerate(categories)}
    known |= {str(float(word)): known[word] for word in categories if word.isdecimal()}  # 2007 may come as 2007.0
    return np.array([np.nan if pd.isna(word) else known.get(_word(word), -1.0) for word in column.ravel()])


def _word(value: Any) -> str:
    """A cell as the category that it names: booleans and numbers come as what they are."""
    return str(value).lower() if isinstance(value, bool | np.bool_) else str(value).strip()


def as_array(model_input: Any, name: str, index: int, n_inputs: int) -> np.ndarray[Any, Any]:
    """The values of one input out of a DataFrame, a dict or an array (whose columns are the inputs in their order)."""
    if isinstance(model_input, pd.DataFrame | dict):
        if name not in model_input:
            raise ValueError(f"the input must have the column '{name}', however: {list(model_input)}")
        values = model_input[name]
        is_nested = isinstance(values, pd.Series) and values.dtype == object
        return np.stack([np.asarray(value) for value in values]) if is_nested else np.asarray(values)
    values = np.asarray(model_input)
    return values if n_inputs == 1 else values[:, index]


def build_network(folder: Path) -> torch.nn.Module:
    """Runs `build()` of the folder's network.py; files beside it can be imported by name, as `x` or as `.x`."""
    # A package name of its own, and a path that is taken back: two models in one process keep their own files.
    package = f"network_{uuid.uuid4().hex}"
    known = set(sys.modules)
    spec = importlib.util.spec_from_file_location(
        package, folder / "network.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[package] = module
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
        network: torch.nn.Module = module.build()
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - known:
            file = getattr(sys.modules[name], "__file__", None)
            if file and not name.startswith(package) and Path(file).parent == folder:
                del sys.modules[name]
    return network


set_model(Network())
