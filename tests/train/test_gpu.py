"""On an accelerator: the same run, and exact resume. `python -m pytest -m gpu` runs these where there is one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
Cli = Callable[..., subprocess.CompletedProcess[str]]

SPEC = """
version: 1
name: gpu
seed: 1
data:
  formula:
    rows: 512
    inputs: {x: {Uniform: [-1, 1]}}
    targets: {y: sin(3*x)}
  split: {val: 0.25}
model: [Linear: 32, Tanh, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 40, batch_size: 64}
metrics: [R2Score]
plots: [predictions]
"""


def test_a_run_on_cuda_ends_near_the_same_run_on_the_cpu(annpipe: Cli, tmp_path: Path) -> None:
    """The streams are drawn on the CPU, so both see the same data, weights and order of rows."""
    (tmp_path / "gpu.yaml").write_text(SPEC)
    values = {}
    for device in ("cpu", "cuda"):
        done = annpipe("run", "gpu.yaml", "--device", device, "--json")
        assert done.returncode == 0, done.stderr
        values[device] = json.loads(done.stdout)["values"]
    assert values["cuda"]["val/loss"] == pytest.approx(values["cpu"]["val/loss"], rel=1e-2)
