"""Finished runs to ask: one of classes from a raw table, one of numbers, one of arrays with two answers a row."""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import torch
from safetensors.torch import load_file

import annpipe
from annpipe.cli import outcome
from annpipe.record.journal.location import embedded_uri
from annpipe.record.store.client import Store
from annpipe.runs.finished import Finished
from tests.conftest import unrecorded

ROWS = 240
TABLE = """
version: 1
name: shops
seed: 3
device: {type: cpu, threads: 1}
data:
  csv: {files: shops.csv, target: kind, ignore: id, drop_missing: kind}
  transforms:
    number: [{impute: median}, standardize]
    category: one_hot
    boolean: {impute: most_frequent}
  split: {by: part}
model: [Linear: 8, Tanh, Linear: 3]
loss: {CrossEntropyLoss: {weight: balanced}}
optimizer: {Adam: {lr: 0.03}}
train: {epochs: 12, batch_size: 32}
metrics: [Accuracy, F1Score, AUROC]
plots: [learning_curve, confusion_matrix, columns]
tracking: {wait_seconds: 0}
"""
NUMBERS = """
version: 1
name: lines
device: {type: cpu, threads: 1}
data:
  csv: {files: lines.csv, target: [up, down], delimiter: ";", decimal: ","}
  transforms: {up: standardize, down: [log, standardize], "x*": standardize}
  split: {val: 0.25}
model: [Linear: 6, ReLU, Linear: 2]
loss: L1Loss
optimizer: {Adam: {lr: 0.05}}
train: {epochs: 10}
metrics: [R2Score, MeanAbsoluteError]
tracking: {wait_seconds: 0}
"""
ARRAYS = """
version: 1
name: squares
device: {type: cpu, threads: 1}
data: {npz: {file: squares.npz, inputs: [image], targets: [bright, wide]}, split: {val: 0.2}}
model: [Conv2d: [2, 3], ReLU, Flatten, Linear: 2]
loss: BCEWithLogitsLoss
optimizer: {Adam: {lr: 0.02}}
train: {epochs: 5, batch_size: 16}
metrics: [{Accuracy: {threshold: 0.0}}]
tracking: {wait_seconds: 0}
"""
ENDS = """
version: 1
name: ends
device: {type: cpu, threads: 1}
data:
  csv: {files: shops.csv, target: [kind, rooms], ignore: [id, part], drop_missing: "*"}
  transforms: {number: standardize, category: one_hot, rooms: standardize}
  split: {val: 0.25}
model:
  inputs:
    numbers: {columns: [size], layers: [Linear: 4, Tanh]}
    words: {columns: [open, town], layers: [Linear: 4, Tanh]}
  layers: [Linear: 8, ReLU]
  outputs:
    rooms: {layers: [Linear: 1], loss: L1Loss, weight: 0.5, metrics: [MeanAbsoluteError]}
    kind: {layers: [Linear: 3], loss: {CrossEntropyLoss: {weight: balanced}}, metrics: [Accuracy]}
optimizer: {Adam: {lr: 0.02}}
train: {epochs: 10, batch_size: 32}
plots: [confusion_matrix]
tracking: {wait_seconds: 0}
"""


@dataclass(frozen=True)
class Project:
    """A folder with finished runs by name."""

    folder: Path
    runs: dict[str, Finished]

    def network(self, name: str) -> torch.nn.Module:
        """The saved network of a run, loaded with plain torch."""
        model = self.runs[name].folder / "model"
        spec = importlib.util.spec_from_file_location(f"network_{name}", model / "network.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(model))
            spec.loader.exec_module(module)
            network: torch.nn.Module = module.build()
        network.load_state_dict(load_file(model / "weights.safetensors"))
        return network.eval()


def shops() -> pd.DataFrame:
    """A table as people bring it: words, a boolean, missing cells, a column for the split."""
    random = np.random.default_rng(5)
    size, open_ = random.normal(50, 12, ROWS).round(2), random.random(ROWS) < 0.5
    town = random.choice(["Bern", "Köln", "Wien"], ROWS, p=[0.5, 0.3, 0.2])
    score = size / 12 + 2 * open_ + (town == "Wien") + random.normal(0, 0.6, ROWS)
    frame = pd.DataFrame({"id": np.arange(ROWS), "size": size, "open": np.where(open_, "yes", "no"), "town": town})
    frame["rooms"] = random.integers(1, 9, ROWS)
    frame["kind"] = np.array(["café", "bar", "hotel"])[np.digitize(score, [4.5, 6.0])]
    frame["part"] = np.array(["train", "val", "test"])[np.digitize(random.random(ROWS), [0.6, 0.8])]
    frame.loc[[4, 9, 30], "size"] = np.nan
    frame.loc[[7, 12], "town"] = None
    return frame


def lines() -> pd.DataFrame:
    random = np.random.default_rng(6)
    frame = pd.DataFrame({"x1": random.normal(3, 2, 80).round(3), "x2": random.normal(-100, 30, 80).round(1)})
    frame["up"] = (1000 + 20 * frame.x1 + frame.x2).round(2)
    frame["down"] = np.exp(frame.x2 / 60).round(4)
    return frame


def squares() -> dict[str, Any]:
    random = np.random.default_rng(7)
    image = random.normal(size=(60, 1, 5, 5))
    return {"image": image, "bright": image.mean((1, 2, 3)) > 0, "wide": image[:, 0, 2].mean(1) > 0}


@pytest.fixture(scope="package")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("saved")
    assert Store(embedded_uri(folder)).answers()  # the store is made here, before anything trains beside it
    shops().to_csv(folder / "shops.csv", index=False)
    lines().to_csv(folder / "lines.csv", index=False, sep=";", decimal=",")
    np.savez(folder / "squares.npz", **{name: array * 1.0 for name, array in squares().items()})
    runs = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for variable in ("MLFLOW_TRACKING_URI", "ANNPIPE_TRACKING_URI"):
            patch.delenv(variable, raising=False)
        for name, text in (("shops", TABLE), ("lines", NUMBERS), ("squares", ARRAYS), ("ends", ENDS)):
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
            with unrecorded():
                runs[name] = annpipe.run(folder / f"{name}.yaml")
            assert runs[name].status == "FINISHED", runs[name].outcome.error
        yield Project(folder, runs)


class Typed:
    """`annpipe …` typed in the project, within this process."""

    def __init__(self, project: Project, patch: pytest.MonkeyPatch, caught: pytest.CaptureFixture[bytes]) -> None:
        self.project, self._patch, self._caught = project, patch, caught
        self.is_recorded = False

    def __call__(self, *words: str | Path, stdin: bytes = b"") -> tuple[int, str, str]:
        self._patch.chdir(self.project.folder)
        self._patch.setattr(sys, "argv", ["annpipe", *map(str, words)])
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        self._caught.readouterr()
        with nullcontext() if self.is_recorded else unrecorded():
            code = outcome()
        printed = self._caught.readouterr()
        return code, printed.out.decode(), printed.err.decode()

    def table(self, *words: str | Path, stdin: bytes = b"") -> pd.DataFrame:
        """What `predict` prints."""
        code, printed, said = self("predict", *words, stdin=stdin)
        assert code == 0, said
        return pd.read_csv(io.StringIO(printed))


@pytest.fixture
def typed(project: Project, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Typed:
    return Typed(project, monkeypatch, capfdbinary)
