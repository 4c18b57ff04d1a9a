"""A saved network answers from named columns, after its files were compared with their sums."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from annpipe.files.whole import write_sums
from annpipe.portable.cell_text import CellFormat
from annpipe.portable.network import DamagedModel, SavedNetwork, as_numbers, build_network, positions

NETWORK = """
from torch import nn
from .beside import WIDTH

def build():
    return nn.Sequential(nn.Linear(2, WIDTH))
"""
INPUTS = [
    {"name": "x", "type": "double", "shape": []},
    {"name": "word", "type": "string", "shape": [], "categories": ["a", "b"]},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder whose network gives x + 10 * the position of the word."""
    (tmp_path / "network.py").write_text(NETWORK, encoding="utf-8")
    (tmp_path / "beside.py").write_text("WIDTH = 1\n", encoding="utf-8")
    outputs = [{"name": "y", "type": "double", "shape": []}]
    description = {"inputs": INPUTS, "outputs": outputs, "precision": "float64"}
    (tmp_path / "model.json").write_text(json.dumps(description), encoding="utf-8")
    weights = {"0.weight": torch.tensor([[1.0, 10.0]]).double(), "0.bias": torch.zeros(1).double()}
    save_file(weights, tmp_path / "weights.safetensors")
    write_sums(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"word": ["b", "a"], "x": [1.0, 2.0]}),
        {"x": [1, 2], "word": ["b", " a "]},
        np.array([[1.0, "b"], [2.0, "a"]], dtype=object),
    ],
    ids=["frame", "dict", "array"],
)
def test_columns_are_taken_by_name_or_by_their_order(folder: Path, table: Any) -> None:
    saved = SavedNetwork(folder)
    answers = saved.named(saved.outputs(saved.features(saved.columns(table))))
    assert answers["y"].tolist() == [11.0, 2.0]


def test_a_changed_file_is_refused(folder: Path) -> None:
    (folder / "beside.py").write_text("WIDTH = 2\n", encoding="utf-8")
    with pytest.raises(DamagedModel, match=r"beside\.py is not the file that was saved"):
        SavedNetwork(folder)


def test_nothing_of_the_folder_stays_importable(folder: Path) -> None:
    before = list(sys.path)
    build_network(folder)
    assert sys.path == before
    assert "beside" not in sys.modules


def test_numbers_are_finite_and_whole_where_they_must_be() -> None:
    form = CellFormat()
    assert as_numbers(["1,5", 2], "x", CellFormat(decimal=",")).tolist() == [1.5, 2]
    with pytest.raises(ValueError, match="row 2 of the column 'x' is not a finite number"):
        as_numbers([1.0, float("inf")], "x", form)
    with pytest.raises(ValueError, match="row 1 of the column 'x' is not a whole number"):
        as_numbers([0.5], "x", form, is_whole=True)


def test_a_missing_cell_of_pandas_that_may_be_a_word_is_refused() -> None:
    """pandas keeps no text of `None` and `NA` in a file: it makes nan of them, as of an empty cell."""
    column = pd.read_csv(io.StringIO("c\na\nNone\n"))["c"]
    with pytest.raises(ValueError, match="a missing cell in the column 'c' may be its category 'None'"):
        positions(column, ["a", "None"], "c", CellFormat(), is_boolean=False)
    text = pd.read_csv(io.StringIO("c\na\nNone\n"), dtype={"c": str}, keep_default_na=False)["c"]
    assert positions(text, ["a", "None"], "c", CellFormat(), is_boolean=False).tolist() == [0, 1]
    assert np.isnan(positions(column, ["a", "b"], "c", CellFormat(), is_boolean=False)[1])
