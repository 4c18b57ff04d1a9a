"""`annpipe run` with class weights in small batches: the saved weights and the recorded loss are those of all rows."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import Cli

A = [0.3, -1.2, 0.8, 0.1, -0.4, 1.9, -0.7, 0.6, -1.5, 0.9, 0.2, -0.1, 1.1]
B = [1.0, 0.4, -0.6, -1.3, 0.7, 0.5, -0.9, 0.2, 1.4, -0.3, 0.8, -1.1, 0.0]
KINDS = [0, 0, 1, 0, 0, 2, 0, 1, 0, 2, 1, 0, 1]
SPEC = f"""
version: 1
name: small
device: {{type: cpu, threads: 1, precision: float64}}
data:
  table:
    inputs: {{a: {json.dumps(A)}, b: {json.dumps(B)}}}
    targets: {{kind: {json.dumps(["abc"[kind] for kind in KINDS])}}}
model: [Linear: 3]
loss: {{CrossEntropyLoss: {{weight: [1, 5, 20]}}}}
optimizer: {{SGD: {{lr: 1.0}}}}
train: {{epochs: 1, shuffle: false, batch_size: 5, accumulate: 3}}
plots: []
tracking: {{wait_seconds: 280}}
"""


def recorded(project: Path) -> dict[str | None, dict[str, Any]]:
    """The last metrics of each run by its name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mlflow warns of its own code
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{project / 'mlflow.db'}")
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    return {run.info.run_name: run.data.metrics for run in runs}


@pytest.mark.slow
def test_small_batches_are_the_large_one(annpipe: Cli, tmp_path: Path) -> None:
    """Three batches a step, and three steps that change nothing, against one step of plain torch on all rows."""
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    still = ["--set", "name=still", "--set", "optimizer.SGD.lr=0", "--set", "train.accumulate=1"]
    for own in ([], still):
        said = annpipe("run", "spec.yaml", *own)
        assert said.returncode == 0, said.stderr
    small, begin = (load_file(next(tmp_path.glob(f"runs/{n}-*/model/weights.safetensors"))) for n in ("small", "still"))
    weight, bias = (begin[f"0.{name}"].requires_grad_() for name in ("weight", "bias"))
    scores = torch.nn.functional.linear(torch.tensor([A, B], dtype=torch.float64).T, weight, bias)
    weights = torch.tensor([1.0, 5.0, 20.0], dtype=torch.float64)
    loss = torch.nn.functional.cross_entropy(scores, torch.tensor(KINDS), weights)
    loss.backward()  # type: ignore[no-untyped-call]  # torch's own
    for name, own in (("weight", weight), ("bias", bias)):
        assert own.grad is not None
        assert torch.allclose(small[f"0.{name}"], own.detach() - own.grad, rtol=1e-12)
    found = {name: metrics["train/loss"] for name, metrics in recorded(tmp_path).items()}
    assert found == pytest.approx({"small": loss.item(), "still": loss.item()}, rel=1e-9)
