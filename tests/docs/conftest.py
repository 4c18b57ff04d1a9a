"""A project in which something has been trained, for the commands on the pages that need it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import annpipe
from tests.conftest import unrecorded
from tests.docs.pages import ROOT, the_block

LINES = """
version: 1
name: lines
device: {type: cpu, threads: 1}
data: {table: {inputs: {x: [0, 1, 2, 3]}, targets: {y: [1, 3, 5, 7]}}}
model: [Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.1}}
train: {epochs: 2}
tracking: {wait_seconds: 60}
"""
IMAGES = """
version: 1
name: images
device: {type: cpu, threads: 1}
data: {npz: {file: images.npz, inputs: [image], targets: [y]}}
model: [Conv2d: [2, 3], ReLU, Flatten, Linear: 1]
loss: MSELoss
optimizer: Adam
train: {epochs: 1}
"""


@pytest.fixture(scope="module")
def used_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working directory: a recorded run `lines`, the sweep of docs/sweeps.md, and the runs penguins and images."""
    folder = tmp_path_factory.mktemp("used")
    shutil.copytree(ROOT / "pipelines" / "tables", folder / "tables")
    shutil.copy(ROOT / "pipelines" / "penguins.yaml", folder)
    shutil.copy(folder / "tables" / "penguins.csv", folder / "new.csv")
    shutil.copy(folder / "tables" / "penguins.csv", folder / "labelled.csv")
    (folder / "spec.yaml").write_text(LINES, encoding="utf-8")
    (folder / "images.yaml").write_text(IMAGES, encoding="utf-8")
    np.savez(folder / "images.npz", image=np.ones((6, 1, 8, 8)), y=np.arange(6.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert annpipe.run("spec.yaml").status == "FINISHED"
        with unrecorded():
            exec(the_block("docs/sweeps.md", "python", "run_sweep"), {})
            annpipe.run("penguins.yaml", overrides=["train.epochs=2", "plots=[]", "device.threads=1"])
            annpipe.run("images.yaml")
        yield folder
