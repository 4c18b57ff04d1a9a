"""Raw scores and probabilities: one rule for metrics, figures and saved models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import annpipe
from annpipe.draft.draft import draft
from annpipe.plan.checks.thresholds import raw_targets_of
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec
from annpipe_std.plots.classes import class_targets
from tests.conftest import unrecorded

SPEC = """
version: 1
name: scores
device: {type: cpu, threads: 1}
data: {table: {inputs: {x: [0, 1, 2, 3, 4, 5, 6, 7]}, targets: {y: [0, 0, 0, 1, 0, 1, 1, 1]}}}
model: [MODEL]
loss: LOSS
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 3}
metrics: [METRIC]
tracking: {wait_seconds: 0}
"""
TWO_HEADS = """
version: 1
name: heads
device: {type: cpu, threads: 1}
data: {table: {inputs: {x: [0, 1, 2]}, targets: {a: [0, 1, 1], b: [1, 0, 1]}}}
model:
  layers: [Linear: 2]
  outputs:
    a: {layers: [Linear: 1], loss: BCEWithLogitsLoss, metrics: [Accuracy]}
    b: {layers: [Linear: 1, Sigmoid], loss: BCELoss, metrics: [Accuracy, F1Score: {threshold: 0.2}]}
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
"""


def planned(folder: Path, registry: Registry, text: str) -> Plan:
    """The plan of a spec."""
    (folder / "spec.yaml").write_text(text, encoding="utf-8")
    return resolve(draft(load_spec(folder / "spec.yaml"), registry.copy()))


def filled(model: str, loss: str, metric: str) -> str:
    return SPEC.replace("MODEL", model).replace("LOSS", loss).replace("METRIC", metric)


@pytest.mark.parametrize(
    ("model", "loss", "threshold"),
    [
        ("Linear: 1", "BCEWithLogitsLoss", 0.0),
        ("Linear: 1, Identity", "{weighted_sum: [[MSELoss, BCEWithLogitsLoss]]}", 0.0),
        ("Linear: 1, Sigmoid", "BCEWithLogitsLoss", 0.5),
        ("Linear: 1, Sigmoid", "BCELoss", 0.5),
        ("Linear: 1", "MSELoss", 0.5),
        ("Linear: 2", "CrossEntropyLoss", 0.5),
    ],
)
def test_a_threshold_is_filled_in_by_what_outputs_are(
    model: str, loss: str, threshold: float, tmp_path: Path, registry_entries: Registry
) -> None:
    """The plan is complete, and reads as the same plan; one that the spec gives stays."""
    text = filled(model, loss, "Accuracy")
    plan = planned(tmp_path, registry_entries, text)
    assert plan.to_data()["metrics"] == [{"Accuracy": {"threshold": threshold}}]
    assert raw_targets_of(plan) == (frozenset({"y"}) if threshold == 0 else frozenset())
    assert planned(tmp_path, registry_entries, plan.to_yaml()).digest == plan.digest
    for given in (0.0, 0.5):
        explicit = planned(tmp_path, registry_entries, filled(model, loss, f"Accuracy: {{threshold: {given}}}"))
        assert explicit.to_data()["metrics"] == [{"Accuracy": {"threshold": given}}]
        assert (explicit.digest == plan.digest) == (given == threshold)


def test_each_head_has_its_own_rule(tmp_path: Path, registry_entries: Registry) -> None:
    """One gives raw scores and the other probabilities."""
    plan = planned(tmp_path, registry_entries, TWO_HEADS)
    thresholds = [[metric.options["threshold"] for metric in head.metrics] for head in plan.outputs]
    assert thresholds == [[0.0], [0.5, 0.2]]
    assert raw_targets_of(plan) == {"a"}


@pytest.mark.parametrize("metric", ["Accuracy", "F1Score", "MatthewsCorrCoef"])
@pytest.mark.parametrize(("model", "loss"), [("Linear: 1", "BCEWithLogitsLoss"), ("Linear: 1, Sigmoid", "BCELoss")])
def test_metric_and_figure_call_the_same_rows(
    metric: str, model: str, loss: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorded metric is the one of the labels that the confusion matrix counts."""
    seen: list[Any] = []

    def keep(view: Any, **options: Any) -> Any:
        seen.append(class_targets(view))
        return None

    monkeypatch.setattr("annpipe_std.plots.confusion_matrix.confusion_matrix", keep)
    text = filled(model, loss, metric) + "plots: [confusion_matrix]\n"
    (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with unrecorded():
        values = annpipe.run("spec.yaml").values
    (shown,) = seen[0].targets
    import sklearn.metrics as reference  # type: ignore[import-untyped]  # scikit-learn has no types

    of = {
        "Accuracy": reference.accuracy_score,
        "F1Score": reference.f1_score,
        "MatthewsCorrCoef": reference.matthews_corrcoef,
    }[metric]
    (recorded,) = [value for key, value in values.items() if key.startswith("train/") and key != "train/loss"]
    assert recorded == pytest.approx(of(shown.labels.numpy(), shown.predicted.numpy()))
    assert torch.equal(shown.predicted, shown.probability.argmax(1))
