"""Heads of mean and variance, quantiles and counts predict what they mean: closed forms, torch, scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import torch
from sklearn.metrics import mean_pinball_loss

from annpipe.portable.network import SavedNetwork
from annpipe.portable.predictions import prediction_columns
from annpipe.saved.model import SavedModel
from annpipe.train.loop.evaluate import evaluate
from annpipe.train.loop.figures import predictor
from annpipe_std.distribution_layers import MeanVariance, Quantiles
from annpipe_std.losses import GaussianNLLLoss, QuantileLoss

HEAD = """
version: 1
name: roles
device: {type: cpu, threads: 1, precision: float64}
"""
NOISY = (
    HEAD
    + """
data:
  formula: {rows: 2000, inputs: {x: {Uniform: [0, 1]}}, targets: {y: 1000 + 0*x, z: -x}, noise: {y: {Normal: [0, 40]}}}
  transforms: {y: SCALE}
model: [Linear: WIDTH, LAYER]
loss: LOSS
optimizer: {Adam: {lr: 0.05}}
train: {epochs: 400}
metrics: [MeanAbsoluteError]
"""
)
COUNTS = (
    HEAD
    + """
data: {table: {inputs: {x: [0, 0, 0, 1, 1, 1]}, targets: {n: [1, 2, 3, 9, 10, 14]}}}
model: [Linear: 1]
loss: PoissonNLLLoss
optimizer: {Adam: {lr: 0.1}}
train: {epochs: 800}
metrics: [MeanAbsoluteError]
"""
)
HEADS = (
    HEAD
    + """
data:
  formula: {rows: 500, inputs: {x: {Uniform: [0, 1]}}, targets: {y: 5*x, n: floor(3 + 0*x)}}
  transforms: {y: standardize}
model:
  layers: [Linear: 8, Tanh]
  outputs:
    n: {layers: [Linear: 1], loss: PoissonNLLLoss, metrics: [MeanAbsoluteError]}
    y: {layers: [Linear: 3, quantiles: 3], loss: {QuantileLoss: {quantiles: [0.1, 0.5, 0.9]}}, metrics: [R2Score]}
optimizer: {Adam: {lr: 0.02}}
train: {epochs: 500}
"""
)


def asked(gone: Any, rows: Mapping[str, list[float]]) -> dict[str, Any]:
    """The answers of the run's saved model, as `annpipe predict` writes them."""
    assert gone.outcome.status == "FINISHED", gone.outcome.error
    model = SavedModel(gone.folder)
    columns = [np.array(rows[item.name], dtype=float) for item in model.inputs]
    return prediction_columns(model.targets, model.outputs(columns))


@pytest.mark.parametrize("scale", ["standardize", "min_max", "robust"])
def test_a_variance_is_that_of_the_data_in_its_units(go: Any, scale: str) -> None:
    """The maximum of the likelihood is the mean and the variance of the rows, on whatever scale they are learnt."""
    spec = NOISY.replace("SCALE", scale).replace("WIDTH", "4").replace("LAYER", "mean_variance")
    found = asked(go(spec.replace("LOSS", "GaussianNLLLoss")), {"x": [0.2, 0.8]})
    assert list(found) == ["y", "y_mean", "y_variance", "z", "z_mean", "z_variance"]
    assert found["y"] == pytest.approx([1000, 1000], abs=6)
    assert found["y_variance"] == pytest.approx([1600, 1600], rel=0.12)
    assert found["z_mean"] == pytest.approx([-0.2, -0.8], abs=0.05)


@pytest.mark.parametrize("scale", ["standardize", "[log, standardize]"])
def test_quantiles_are_those_of_the_data_in_its_units(go: Any, scale: str) -> None:
    """Of a normal distribution: its mean, and 1.2816 deviations to both sides."""
    spec = NOISY.replace("SCALE", scale).replace("WIDTH", "6").replace("LAYER", "quantiles: 3")
    found = asked(go(spec.replace("LOSS", "{QuantileLoss: {quantiles: [0.1, 0.5, 0.9]}}")), {"x": [0.5]})
    assert list(found)[:4] == ["y", "y_q0.1", "y_q0.5", "y_q0.9"]
    assert found["y"] == found["y_q0.5"]
    assert [float(found[f"y_q{q}"][0]) for q in (0.1, 0.5, 0.9)] == pytest.approx([948.7, 1000, 1051.3], abs=8)


def test_counts_are_predicted_and_measured_as_counts(go: Any, fit: Any) -> None:
    """The most likely rates are the means of the groups; metrics and answers see rates, not logarithms."""
    gone = go(COUNTS)
    assert asked(gone, {"x": [0, 1]})["n"] == pytest.approx([2, 11], rel=1e-3)
    of_mlflow = SavedNetwork(gone.folder / "model")
    given = of_mlflow.columns(pd.DataFrame({"x": [0.0, 1.0]}))
    assert list(of_mlflow.named(of_mlflow.outputs(of_mlflow.features(given)))["n"]) == pytest.approx([2, 11], rel=1e-3)
    run = fit(COUNTS)
    errors = [1, 0, 1, 2, 1, 3]
    assert evaluate(run.plan, run.parts, run.parts.rows["train"])["mean_absolute_error"] == pytest.approx(
        sum(errors) / 6, rel=1e-3
    )
    assert predictor(run.plan, run.parts)({"x": torch.tensor([1.0])})["n"].tolist() == pytest.approx([11], rel=1e-3)


def test_heads_have_roles_of_their_own(go: Any) -> None:
    """Each head's metric sees its prediction; every output of a head is in the answers."""
    gone = go(HEADS)
    found = asked(gone, {"x": [0.5]})
    assert list(found) == ["y", "y_q0.1", "y_q0.5", "y_q0.9", "n"]
    assert found["n"] == pytest.approx([3], rel=0.05)
    assert found["y"] == pytest.approx([2.5], abs=0.2)
    values = gone.outcome.values
    assert values["train/y/r2_score"] > 0.98
    assert values["train/n/mean_absolute_error"] < 0.2
    described = json.loads((gone.folder / "model" / "model.json").read_text())
    assert [item["name"] for item in described["outputs"]] == ["y_q0.1", "y_q0.5", "y_q0.9", "n"]


def test_the_losses_are_torch_and_scikit_learn() -> None:
    """On two targets, whose outputs stand side by side."""
    generator = torch.Generator().manual_seed(0)
    target, raw = (torch.randn(50, n, generator=generator, dtype=torch.float64) for n in (2, 6))
    pairs = MeanVariance(in_features=4)(raw[:, :4])
    expected = torch.nn.GaussianNLLLoss(full=True)(pairs[:, [0, 2]], target, pairs[:, [1, 3]])
    assert float(GaussianNLLLoss(full=True)(pairs, target)) == pytest.approx(float(expected), rel=1e-12)
    levels = [0.1, 0.5, 0.9]
    ordered = Quantiles(3, in_features=6)(raw)
    of_each = [
        mean_pinball_loss(target[:, t], ordered[:, 3 * t + q], alpha=level)
        for t in range(2)
        for q, level in enumerate(levels)
    ]
    assert float(QuantileLoss(levels)(ordered, target)) == pytest.approx(sum(of_each) / 6, rel=1e-12)
    assert float(QuantileLoss(levels, "sum")(ordered, target)) == pytest.approx(sum(of_each) * 50, rel=1e-12)


def test_quantiles_never_cross_and_variances_are_positive() -> None:
    """For any numbers that may arrive, in single precision too."""
    raw = torch.randn(1000, 9) * torch.logspace(-3, 6, 1000)[:, None]
    ordered = Quantiles(3, in_features=9)(raw).reshape(1000, 3, 3)
    assert bool((ordered.diff(dim=-1) >= 0).all())
    assert bool((MeanVariance(in_features=8)(raw[:, :8])[:, 1::2] > 0).all())
