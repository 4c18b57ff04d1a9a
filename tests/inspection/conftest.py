"""Small finished runs to look into, of flowers and of a curve, and a saved model as scikit-learn takes one."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from sklearn.base import BaseEstimator

from annpipe.cli import outcome
from annpipe.portable.network import SavedNetwork
from tests.conftest import unrecorded

FLOWERS = """
version: 1
name: flowers
seed: 1
device: {type: cpu, threads: 1}
data:
  csv: {files: flowers.csv, target: kind}
  transforms: {number: standardize, category: one_hot}
  split: {val: 0.4}
model: [Linear: 8, ReLU, Linear: 8, Tanh, Linear: 3]
loss: CrossEntropyLoss
optimizer: {Adam: {lr: 0.03}}
train: {epochs: 20, batch_size: 32}
metrics: [Accuracy]
plots: []
callbacks: [{gradient_norms: 5}]
tracking: {wait_seconds: 0}
"""
CURVE = """
version: 1
name: curve
seed: 2
device: {type: cpu, threads: 1, precision: float64}
data:
  csv: {files: curve.csv, target: y}
  transforms: {number: standardize, y: standardize}
model: [Linear: 6, Sigmoid, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.05}}
train: {epochs: 30}
metrics: [R2Score]
plots: []
callbacks: [{checkpoint: {every: 10}}]
tracking: {wait_seconds: 0}
"""


def flowers() -> pd.DataFrame:
    """150 rows: the kind depends on `length` and `soil`, not on `noise`."""
    random = np.random.default_rng(4)
    length, noise = random.normal(5, 2, 150).round(3), random.normal(size=150).round(3)
    soil = random.choice(["clay", "loam", "sand"], 150)
    score = length + 3 * (soil == "sand")
    kind = np.array(["iris", "poppy", "rose"])[np.digitize(score, [4.5, 7])]
    return pd.DataFrame({"length": length, "soil": soil, "noise": noise, "kind": kind})


def curve() -> pd.DataFrame:
    """120 rows of y = 3 a² - b, in large units."""
    random = np.random.default_rng(5)
    a, b = random.normal(size=120), random.normal(size=120)
    return pd.DataFrame({"a": a, "b": b, "y": 1000 * (3 * a**2 - b)})


@dataclass
class Inspector:
    """The project with its two runs, and its command line."""

    folder: Path
    call: Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    """Both runs, trained once."""
    folder = tmp_path_factory.mktemp("looked")
    flowers().to_csv(folder / "flowers.csv", index=False)
    curve().to_csv(folder / "curve.csv", index=False)
    (folder / "flowers.yaml").write_text(FLOWERS, encoding="utf-8")
    (folder / "curve.yaml").write_text(CURVE, encoding="utf-8")

    def call(*words: str | Path) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["annpipe", *map(str, words)])
            code = outcome()
        return code, out.getvalue(), err.getvalue()

    with unrecorded():
        for name in ("flowers", "curve"):
            code, _, told = call("run", f"{name}.yaml")
            assert code == 0, told
    return Inspector(folder, call)


class SavedEstimator(BaseEstimator):
    """The saved model of a run as an estimator of scikit-learn: a frame of raw columns in."""

    def __init__(self, network: SavedNetwork) -> None:
        self.network = network
        self.is_fitted_ = True

    def fit(self, frame: pd.DataFrame, y: object) -> SavedEstimator:
        return self

    def outputs(self, frame: pd.DataFrame) -> np.ndarray:
        """What the network gives, (rows, outputs)."""
        return self.network.outputs(self.network.features(self.network.columns(frame))).numpy()
