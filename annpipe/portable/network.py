"""The network of a model folder: from named columns to named outputs, both in the units of the data.

This file goes beside every model that MLflow keeps, and works there without annpipe; `annpipe predict` uses it too. It
needs torch, safetensors, numpy and pandas, the files `cell_text.py`, `cell_dates.py`, `cell_lookup.py`,
`description.py`, `hashed_text.py`, `predictions.py` and `raw_table.py` beside it, and the files of a model folder:
`network.py` (plain PyTorch, `build()` makes the network), `weights.safetensors`, `model.json` (see `description`),
`sums.json` (a digest of each).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .cell_dates import dates_of
from .cell_lookup import Categories, numbers_of, positions_of
from .cell_text import MISSING, CellFormat
from .description import ModelColumn, ModelDescription
from .hashed_text import TextCounts, texts_of
from .predictions import prediction_columns
from .raw_table import RawTable, is_pandas

if TYPE_CHECKING:
    import torch

    Array = np.ndarray[Any, Any]

WHOLE = ("integer", "long", "int32", "int64")  # types of whole numbers
DATE = "datetime"  # the type of a date, which comes as one or as its text
BOOLEAN = "any"  # the type of a boolean, which comes as one, as a word or as 0 and 1
ROWS_AT_ONCE = 65_536  # a table of any length needs the memory of this many rows


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
        self.description = ModelDescription.read(folder)
        with _built_as(self.description.precision):
            self.network = build_network(folder)
        self.network.load_state_dict(load_file(folder / "weights.safetensors"))
        self.network.eval()

    def columns(self, table: Any) -> list[Array]:
        """The inputs in their order out of a DataFrame, a dict of arrays or an array; words become positions.

        Raises ValueError where a column is missing or does not fit.
        """
        inputs = self.description.inputs
        raw = RawTable(table, [column.name for column in inputs])
        form = CellFormat.of(self.description.reading)
        columns = [
            raw.array(index, column.shape) if column.shape else _plain_column(raw, index, column, form)
            for index, column in enumerate(inputs)
        ]
        lengths = {len(column): item.name for column, item in zip(columns, inputs, strict=True)}
        if len(lengths) > 1:
            counts = " and ".join(f"{n} in '{name}'" for n, name in list(lengths.items())[:2])
            raise ValueError(f"every column must have as many rows, however: {counts}")
        return columns

    @property
    def dtype(self) -> torch.dtype:
        """The type of what the network takes."""
        import torch

        inputs = self.description.inputs
        is_whole = len(inputs) == 1 and inputs[0].type in WHOLE
        # With transforms the model makes features of raw columns by itself.
        precision = "float64" if self.description.transforms else self.description.precision
        number: torch.dtype = torch.int64 if is_whole else getattr(torch, precision)
        return number

    def features(self, columns: Sequence[Array]) -> torch.Tensor:
        """What the network takes, (rows, …)."""
        import torch

        inputs, number = self.description.inputs, self.dtype
        if len(inputs) == 1 and inputs[0].shape:
            return torch.as_tensor(columns[0]).reshape(-1, *inputs[0].shape).to(number)
        flat = [column.reshape(len(column), -1) for column in columns]
        return torch.as_tensor(np.concatenate(flat, axis=1)).to(number)

    def outputs(self, features: torch.Tensor) -> torch.Tensor:
        """What the network gives, (rows, …), on the CPU and without gradients."""
        import torch

        with torch.no_grad():
            return torch.cat([self.network(rows) for rows in torch.split(features, ROWS_AT_ONCE)])

    def answers(self, outputs: torch.Tensor) -> Any:
        """A DataFrame of what `annpipe predict` writes: class names with probabilities, numbers in the data's units.

        An array where the target has a shape of its own; the outputs as they are of a model that describes no targets.
        """
        targets = self.description.targets
        if targets is None:
            return self.named(outputs)
        columns = prediction_columns(targets, outputs)
        if any(target.shape for target in targets):
            arrays = list(columns.values())
            return arrays[0] if len(arrays) == 1 else np.stack(arrays, 1)
        import pandas as pd

        return pd.DataFrame({name: _double(column) for name, column in columns.items()})

    def named(self, outputs: torch.Tensor) -> Any:
        """A DataFrame with one column for each output; an array where the output has a shape of its own."""
        described = self.description.outputs
        numbers = outputs.double().numpy() if outputs.is_floating_point() else outputs.numpy()
        if len(described) == 1 and described[0].shape:
            return numbers
        import pandas as pd

        columns = np.array(numbers.reshape(len(numbers), -1))
        logs = [index for index, item in enumerate(described) if item.link == "exp"]
        columns[:, logs] = np.exp(columns[:, logs])
        return pd.DataFrame({item.name: columns[:, index] for index, item in enumerate(described)})


def _double(column: Array) -> Array:
    return column.astype(np.float64) if column.dtype.kind == "f" else column


def _plain_column(table: RawTable, index: int, column: ModelColumn, form: CellFormat) -> Array:
    """An input of one cell a row as float64, (rows,); a text as its counts, (rows, numbers)."""
    if column.counted is not None or column.type == DATE:
        made = table.values(index)
        if isinstance(made, np.ndarray) and made.dtype.kind == "f":  # as a dataset has it: counts, or days
            return np.asarray(made, dtype=np.float64)
    values = table.column(index)
    if column.categories:
        return positions(values, column.categories, column.name, form, is_boolean=column.type == BOOLEAN)
    if column.counted is not None:
        return TextCounts.of(column.counted).counts(texts_of(cells_of(values), form))
    if column.type == DATE:
        return dates_of(cells_of(values), column.name, form)
    return as_numbers(values, column.name, form, is_whole=column.type in WHOLE)


def check_sums(folder: Path) -> None:
    """Compares the files of a model folder with its sums.json; models of earlier versions have none.

    Raises DamagedModel where one has changed or is missing.
    """
    listed = folder / "sums.json"
    if not listed.is_file():
        return
    remedy = "train the model again, or delete sums.json if you have changed the file yourself"
    try:
        listing = json.loads(listed.read_text(encoding="utf-8"))
        sums = {str(name): (int(size), str(digest)) for name, (size, digest) in listing.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedModel(f"{listed} is damaged: {remedy}") from error
    for name, sum_ in sums.items():
        file = folder / name
        data = file.read_bytes() if file.parent == folder and file.is_file() else b""
        if (len(data), hashlib.blake2b(data, digest_size=16).hexdigest()) != sum_:
            raise DamagedModel(f"{file} is not the file that was saved: {remedy}")


def positions(values: Any, categories: Sequence[str], name: str, form: CellFormat, *, is_boolean: bool) -> Array:
    """Cells as their positions among the categories: -1 for one that the model does not know, NaN for a missing one.

    ValueError where a boolean is neither true nor false, and where a value may be two of the categories.
    """
    cells = cells_of(values)
    lost = next((word for word in categories if word in MISSING), None)
    is_read = lost is not None and is_pandas(values, "Series")
    if is_read and any(isinstance(cell, float) and cell != cell for cell in cells):
        # pandas makes nan of the words `None` and `NA` of a file, as of an empty cell, and keeps no text
        message = f"a missing cell in the column '{name}' may be its category '{lost}': give this column as text"
        how = f"pandas: dtype={{'{name}': str}}, keep_default_na=False"
        raise ValueError(f"{message} ({how}), a missing cell as empty text")
    return positions_of(cells, Categories(categories, name, form, is_boolean=is_boolean))


def as_numbers(values: Any, name: str, form: CellFormat, *, is_whole: bool = False) -> Array:
    """Cells as finite float64, NaN where missing; ValueError at the first that is none, with its row from 1."""
    dtype = getattr(values, "dtype", None)
    if isinstance(values, np.ndarray) and not isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "biuf":
        numbers = values.astype(np.float64)
    elif is_pandas(values, "Series") and isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        numbers = values.to_numpy(dtype=np.float64)
        if form.missing_numbers and dtype.kind != "b":
            numbers = np.where(np.isin(numbers, list(form.missing_numbers)), np.nan, numbers)
    else:
        numbers = numbers_of(cells_of(values), name, form)
    wrong = [(np.isinf(numbers), "a finite number")]
    if is_whole:
        wrong.append((numbers != np.round(numbers), "a whole number"))  # nor is a missing one
    for rows, what in wrong:
        if rows.any():
            raise ValueError(f"row {int(rows.argmax()) + 1} of the column '{name}' is not {what}")
    return numbers


def cells_of(values: Any) -> Any:
    """A column of any kind as its cells."""
    if is_pandas(values, "Series", "Index", "api.extensions.ExtensionArray"):
        return list(values.astype(object))  # of categories with missing cells pandas would make floats else
    if isinstance(values, np.ma.MaskedArray):
        return [None if masked else cell for cell, masked in zip(values.data, np.ma.getmaskarray(values), strict=True)]
    return values if isinstance(values, np.ndarray) else list(values)


@contextmanager
def _built_as(precision: str) -> Iterator[None]:
    """Inside, new parameters are the processor's and have this precision, whatever the caller's defaults are."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, precision))
    try:
        with torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(before)


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
