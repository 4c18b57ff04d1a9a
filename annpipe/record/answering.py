"""How does a saved network answer? From named columns to named outputs, both in the units of the data.

This file goes beside every model that MLflow keeps, and works there without annpipe; `annpipe predict` uses it too. It
needs torch, safetensors, numpy and pandas, and reads the files of a model folder: `network.py` (plain PyTorch,
`build()` makes the network), `weights.safetensors`, `model.json` (names and types), `sums.json` (a digest of each).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # it ships no types

if TYPE_CHECKING:
    import torch

    Array = np.ndarray[Any, Any]

ROWS_AT_ONCE = 65_536  # a table of any length needs the memory of this many rows
BOOLEANS = (("false", "true"), ("no", "yes"))
FALSE, TRUE = ("false", "no", "f", "0", "0.0"), ("true", "yes", "t", "1", "1.0")


class DamagedModel(ValueError):
    """A file of a model folder is not the one that was saved."""


class SavedNetwork:
    """The network of a model folder in evaluation mode, with what model.json says of it."""

    def __init__(self, folder: Path) -> None:
        """Builds the network and loads its weights; runs the folder's network.py.

        Raises DamagedModel where a file is not the one that was saved.
        """
        from safetensors.torch import load_file

        check_sums(folder)
        self.description: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        self.network = build_network(folder)
        self.network.load_state_dict(load_file(folder / "weights.safetensors"))
        self.network.eval()

    def columns(self, given: Any) -> list[Array]:
        """The inputs in their order out of a DataFrame, a dict of arrays or an array; words become positions.

        Raises ValueError where a column is missing or does not fit.
        """
        inputs = self.description["inputs"]
        arrays = [as_array(given, item["name"], index, len(inputs)) for index, item in enumerate(inputs)]
        named = zip(arrays, inputs, strict=True)
        return [positions(array, item.get("categories"), item["name"]) for array, item in named]

    def features(self, columns: Sequence[Array]) -> torch.Tensor:
        """What the network takes, (rows, …)."""
        import torch

        inputs = self.description["inputs"]
        is_whole = len(inputs) == 1 and inputs[0]["type"] in {"integer", "long", "int32", "int64"}
        is_raw = self.description.get("transforms", False)  # the model makes features of raw columns by itself
        precision = "float64" if is_raw else self.description.get("precision", "float32")
        number = torch.int64 if is_whole else getattr(torch, precision)
        if len(inputs) == 1 and inputs[0]["shape"]:
            return torch.as_tensor(columns[0]).reshape(-1, *inputs[0]["shape"]).to(number)
        flat = [column.reshape(len(column), -1) for column in columns]
        return torch.as_tensor(np.concatenate(flat, axis=1)).to(number)

    def outputs(self, features: torch.Tensor) -> torch.Tensor:
        """What the network gives, (rows, …), on the CPU and without gradients."""
        import torch

        with torch.no_grad():
            return torch.cat([self.network(rows) for rows in torch.split(features, ROWS_AT_ONCE)])

    def named(self, outputs: torch.Tensor) -> Any:
        """A DataFrame with one column for each output; an array where the output has a shape of its own."""
        described = self.description["outputs"]
        numbers = outputs.double().numpy() if outputs.is_floating_point() else outputs.numpy()
        if len(described) == 1 and described[0]["shape"]:
            return numbers
        columns = numbers.reshape(len(numbers), -1)
        return pd.DataFrame({item["name"]: columns[:, index] for index, item in enumerate(described)})


def check_sums(folder: Path) -> None:
    """Compares the files of a model folder with its sums.json; models of earlier versions have none.

    Raises DamagedModel where one has changed or is missing.
    """
    listed = folder / "sums.json"
    if not listed.is_file():
        return
    remedy = "train the model again, or delete sums.json if you have changed the file yourself"
    try:
        found = json.loads(listed.read_text(encoding="utf-8"))
        sums = {str(name): (int(size), str(digest)) for name, (size, digest) in found.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedModel(f"{listed} is damaged: {remedy}") from error
    for name, sum_ in sums.items():
        file = folder / name
        data = file.read_bytes() if file.parent == folder and file.is_file() else b""
        if (len(data), hashlib.blake2b(data, digest_size=16).hexdigest()) != sum_:
            raise DamagedModel(f"{file} is not the file that was saved: {remedy}")


def positions(column: Array, categories: Sequence[str] | None, name: str = "") -> Array:
    """Words as their positions among the categories: -1 for one that the model does not know, NaN for none.

    Of a boolean, whose categories are no and yes or false and true, every way to write it; ValueError for another word.
    """
    if not categories:
        return column
    known = {word: float(position) for position, word in enumerate(categories)}
    if tuple(categories) in BOOLEANS:
        known |= dict.fromkeys(FALSE, 0.0) | dict.fromkeys(TRUE, 1.0)
        return np.array([np.nan if pd.isna(cell) else _boolean(_word(cell), known, name) for cell in column.ravel()])
    known |= {str(float(word)): known[word] for word in categories if word.isdecimal()}  # 2007 may come as 2007.0
    return np.array([np.nan if pd.isna(cell) else known.get(_word(cell), -1.0) for cell in column.ravel()])


def _word(value: Any) -> str:
    """A cell as the category that it names: booleans and numbers come as what they are."""
    return str(value).lower() if isinstance(value, bool | np.bool_) else str(value).strip()


def _boolean(word: str, known: Mapping[str, float], name: str) -> float:
    if word.lower() not in known:
        raise ValueError(f"'{word}' in the column '{name}' is neither true nor false")
    return known[word.lower()]


def as_array(model_input: Any, name: str, index: int, n_inputs: int) -> Array:
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
