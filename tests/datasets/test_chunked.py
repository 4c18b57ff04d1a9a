"""Chunked data are read by as many passes as planning and training need together, and by none a second time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from annpipe.datasets.prepare import prepare_rows
from annpipe.observer import Observer
from tests.training import Planned

SPEC = """
version: 1
name: chunked
plugins: [source.py]
data:
  numbers: {}
  transforms: {number: standardize}
  split: {val: 0.25}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1, batch_size: 8}
"""
SOURCE = """
from pathlib import Path
import torch
from annpipe import Blocks, Dataset, Field, Fields, data

PASSES = Path(__file__).with_name("passes")

def chunks():
    for start in range(0, 40, 10):
        x = torch.arange(start, start + 10, dtype=torch.float64)
        yield Dataset({"x": x}, {"y": 2 * x})
    with PASSES.open("a") as file:
        file.write("x")

@data
def numbers():
    \"\"\"Forty numbers in chunks, under the names of earlier versions.\"\"\"
    return Blocks(fields=Fields({"x": Field()}, {"y": Field()}, 40), digest="numbers", passage=chunks)
"""


@pytest.fixture
def passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """The number of times that the data were read to their end."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return lambda: len((tmp_path / "passes").read_text()) if (tmp_path / "passes").exists() else 0


def test_planning_and_training_share_their_passes(planned: Planned, passes: Callable[[], int]) -> None:
    """One pass for the summary, one for `standardize`; then one to write the rows, which later runs read instead."""
    plan = planned(SPEC, source=SOURCE)
    assert plan.fields.features == (1,)
    assert passes() == 2
    data = prepare_rows(plan.request, torch.device("cpu"), torch.float32, Observer())
    assert passes() == 3
    x, _ = next(data.rows["train"].iter_chunks(30))
    assert float(x.mean()) == pytest.approx(0, abs=1e-6)
    again = planned(SPEC, source=SOURCE)
    prepare_rows(again.request, torch.device("cpu"), torch.float32, Observer())
    assert passes() == 3


def test_damaged_rows_are_written_again(planned: Planned, passes: Callable[[], int], tmp_path: Path) -> None:
    request = planned(SPEC, source=SOURCE).request
    expected = next(prepare_rows(request, torch.device("cpu"), torch.float32, Observer()).rows["train"].iter_chunks(30))
    (file,) = (tmp_path / "cache").rglob("train.x")
    data = bytearray(file.read_bytes())
    data[5] ^= 1
    file.write_bytes(data)
    x, _ = next(prepare_rows(request, torch.device("cpu"), torch.float32, Observer()).rows["train"].iter_chunks(30))
    assert torch.equal(x, expected[0])
    assert passes() == 6
