"""The data of a spec are loaded to be inspected as a run would make and split them, and not transformed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from annpipe.datasets.inspect import load_for_inspection
from annpipe.draft.data_only import draft_data
from annpipe.errors import SpecError
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec

SPEC = "{version: 1, name: rows, data: {parquet: {files: rows.parquet, target: y}, split: {val: 0.25}}}"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    pd.DataFrame({"x": np.arange(8.0), "y": np.arange(8.0) * 2}).to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    return tmp_path / "spec.yaml"


def test_rows_are_made_and_split_and_not_transformed(spec: Path) -> None:
    data = load_for_inspection(draft_data(load_spec(spec), Registry.installed(), project=spec.parent))
    assert {name: part.rows for name, part in data.splits.by_name.items()} == {"train": 6, "val": 2}
    assert torch.equal(data.dataset.inputs["x"], torch.arange(8.0, dtype=torch.float64))
    assert data.fields is not None
    assert list(data.fields.targets) == ["y"]


def test_rows_that_are_not_in_memory_cannot_be_described(spec: Path) -> None:
    loaded = load_spec(spec, ["data.parquet.in_memory=false"])
    drafted = draft_data(loaded, Registry.installed(), project=spec.parent)
    with pytest.raises(SpecError, match="the 8 rows are not in memory"):
        load_for_inspection(drafted)
