"""Every transform of columns leaves inside the file: fitted numbers, words, missing and unknown cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest

import annpipe
from annpipe.runs.export import export_run
from tests.conftest import unrecorded

SPEC = """
version: 1
name: columns
data:
  csv: {files: rows.csv, target: y}
  transforms:
    a: [{impute: {strategy: mean, indicator: true}}, standardize]
    b: [{impute: median}, min_max]
    c: [{impute: {strategy: constant, value: 0}}, robust]
    d: [{impute: median}, {quantile: {distribution: uniform, n_quantiles: 20}}]
    e: [{impute: median}, {quantile: {distribution: normal, n_quantiles: 20}}]
    f: [{impute: median}, {log: 20}]
    g: [{impute: median}, {clip: [-1, 1]}]
    town: one_hot
    street: embedding
    open: {impute: most_frequent}
    y: [log, standardize]
model: [Linear: 4, Tanh, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 2}
plots: []
tracking: {wait_seconds: 0}
"""


def table() -> pd.DataFrame:
    random = np.random.default_rng(8)
    frame = pd.DataFrame(random.normal(size=(80, 7)).round(3), columns=list("abcdefg"))
    frame["town"] = random.choice(["Bern", "Köln"], 80)
    frame["street"] = random.choice(["left", "right", "long"], 80)
    frame["open"] = random.choice(["yes", "no"], 80)
    for at, name in enumerate(frame):
        frame.loc[at::9, name] = None
    return frame.assign(y=np.exp(random.normal(size=80)).round(4))


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_every_transform_of_columns_leaves(to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison has rows with a missing cell in each column, and with an unknown word."""
    monkeypatch.chdir(tmp_path)
    table().to_csv("rows.csv", index=False)
    Path("spec.yaml").write_text(SPEC, encoding="utf-8")
    with unrecorded():
        exported = export_run(annpipe.run("spec.yaml").folder, to)
    assert exported.parity.rows == 80 + 10 + 2
    assert exported.parity.holds
    assert not exported.notes
