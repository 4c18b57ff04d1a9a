"""The rows of a run as it is trained on them: made from the plan's request alone, in memory and in chunks alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from annpipe.datasets.on_disk.rows import OnDiskRows
from annpipe.datasets.prepare import prepare_rows
from annpipe.datasets.steps.tensors import Rows
from annpipe.observer import Observer
from tests.training import Planned

SPEC = """
version: 1
name: prepared
data:
  parquet: {files: rows.parquet, target: y, in_memory: false}
  transforms: {number: standardize, y: standardize}
  split: {val: 0.25}
device: {precision: float64}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1, batch_size: 8}
"""
CPU = torch.device("cpu")


class Listener(Observer):
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def event(self, message: str) -> None:
        self.events.append(message)


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """The table that the spec reads."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    draw = np.random.default_rng(0)
    rows = pd.DataFrame({"a": draw.normal(3, 2, 40), "b": draw.normal(-1, 5, 40), "y": draw.normal(10, 3, 40)})
    rows.to_parquet(tmp_path / "rows.parquet")
    return rows


@pytest.mark.parametrize("in_memory", ["true", "false"])
def test_rows_are_standardized_by_those_of_train(raw: pd.DataFrame, planned: Planned, in_memory: str) -> None:
    data = prepare_rows(planned(SPEC, f"data.parquet.in_memory={in_memory}").request, CPU, torch.float64, Observer())
    assert {name: len(rows) for name, rows in data.rows.items()} == {"train": 30, "val": 10}
    kind = Rows if in_memory == "true" else OnDiskRows
    assert all(isinstance(rows, kind) for rows in data.rows.values())
    x, y = next(data.rows["train"].iter_chunks(30))
    train = raw[raw["a"].isin(data.splits.train.inputs["a"].tolist())]
    expected = (train - train.mean()) / train.std(ddof=0)
    np.testing.assert_allclose(x.numpy(), expected[["a", "b"]], rtol=1e-9)
    np.testing.assert_allclose(y.numpy(), expected[["y"]], rtol=1e-9)
    assert data.transformed.columns is not None
    assert data.fitted is not None


@pytest.mark.usefixtures("raw")
def test_the_observer_is_told_of_rows_that_are_written_once(planned: Planned) -> None:
    first, again = Listener(), Listener()
    prepare_rows(planned(SPEC).request, CPU, torch.float64, first)
    assert [event.split()[0] for event in first.events] == ["writing", "wrote"]
    prepare_rows(planned(SPEC).request, CPU, torch.float64, again)
    assert again.events == []
