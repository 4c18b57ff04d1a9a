"""Warnings where last layer, loss and metrics contradict each other or the targets, and none where they go together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annpipe.draft.draft import draft
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec

SPEC = """
version: 1
name: warned
data: {table: {inputs: {x: [0, 1, 2, 3]}, targets: TARGETS, repeat: 20}, split: {val: 0.5}}
model: MODEL
loss: LOSS
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
metrics: METRICS
scheduler: SCHEDULER
"""
CLASSES, ONES, NUMBERS = "{y: [a, b, c, a]}", "{y: [0, 1, 1, 0]}", "{y: [-1, 0, 2, 3]}"
Warned = Callable[..., list[tuple[str, str]]]


@pytest.fixture
def warned(tmp_path: Path, registry_entries: Registry) -> Warned:
    """The code and the help of each warning."""

    def warned(
        targets: str, model: str, loss: str, metrics: str = "[]", scheduler: str = "null"
    ) -> list[tuple[str, str]]:
        text = SPEC.replace("TARGETS", targets).replace("MODEL", model).replace("LOSS", loss)
        file = tmp_path / "spec.yaml"
        file.write_text(text.replace("METRICS", metrics).replace("SCHEDULER", scheduler), encoding="utf-8")
        plan = resolve(draft(load_spec(file), registry_entries.copy()))
        assert all(warning.severity == "warning" and warning.place for warning in plan.warnings)
        return [(warning.code, warning.help or "") for warning in plan.warnings]

    return warned


@pytest.mark.parametrize(
    ("targets", "model", "loss"),
    [
        (CLASSES, "[Linear: 3]", "CrossEntropyLoss"),
        (CLASSES, "[Linear: 3, Tanh, Linear: 3]", "CrossEntropyLoss"),
        (CLASSES, "[Linear: 3, Softmax, Linear: 3]", "CrossEntropyLoss"),
        (CLASSES, "[Linear: 3, LogSoftmax]", "NLLLoss"),
        (ONES, "[Linear: 1]", "BCEWithLogitsLoss"),
        (ONES, "[Linear: 1, Sigmoid]", "BCELoss"),
        (ONES, "[Linear: 1, Hardsigmoid, Flatten]", "BCELoss"),
        (ONES, "[Linear: 1, Sigmoid]", "MSELoss"),
        (NUMBERS, "[Linear: 1]", "{weighted_sum: [[MSELoss, L1Loss]]}"),
    ],
)
def test_what_goes_together_is_not_warned_of(warned: Warned, targets: str, model: str, loss: str) -> None:
    """The pairs of torch's own documentation."""
    assert warned(targets, model, loss) == []


@pytest.mark.parametrize(
    ("targets", "model", "loss", "remedy"),
    [
        (CLASSES, "[Linear: 3, Softmax]", "CrossEntropyLoss", "leave Softmax out"),
        (CLASSES, "[Linear: 3, LogSoftmax]", "CrossEntropyLoss", "leave LogSoftmax out"),
        (CLASSES, "[Linear: 3, Sigmoid]", "CrossEntropyLoss", "leave Sigmoid out"),
        (CLASSES, "[Linear: 3, Softmax]", "NLLLoss", "write LogSoftmax in its place"),
        (CLASSES, "[Linear: 3]", "NLLLoss", "write LogSoftmax after it"),
        (ONES, "[Linear: 1, Sigmoid]", "BCEWithLogitsLoss", "leave Sigmoid out"),
        (ONES, "[Linear: 1]", "BCELoss", "end with Sigmoid"),
        (ONES, "[Linear: 1, ReLU]", "BCELoss", "end with Sigmoid"),
        (ONES, "[Linear: 1, LogSigmoid]", "BCELoss", "end with Sigmoid"),
    ],
)
def test_a_contradiction_has_its_remedy(warned: Warned, targets: str, model: str, loss: str, remedy: str) -> None:
    """One warning, and following it makes another warning of none of these."""
    ((code, help_),) = warned(targets, model, loss)
    assert code == "activation-and-loss"
    assert help_.startswith(remedy)


def test_metrics_of_classes_are_for_classes(warned: Warned) -> None:
    """Labels, or 0 and 1 whatever the loss; no metric has a value that means nothing without a word."""
    for metric in ("Accuracy", "F1Score: {average: micro}", "AUROC"):
        (found,) = warned(NUMBERS, "[Linear: 1]", "MSELoss", f"[R2Score, {metric}]")
        assert found[0] == "metric-of-classes"
        assert "MeanAbsoluteError" in found[1]
        assert warned(ONES, "[Linear: 1]", "MSELoss", f"[{metric}]") == []
        assert warned(CLASSES, "[Linear: 3]", "CrossEntropyLoss", f"[{metric}]") == []
    assert warned(NUMBERS, "[Linear: 1]", "MSELoss", "[R2Score]") == []


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("monitor: val/r2_score", "max"),
        ("monitor: val/mean_squared_error, mode: max", "min"),
        ("mode: max", "min"),
        ("monitor: val/r2_score, mode: max", None),
        ("monitor: val/mean_squared_error", None),
        ("patience: 3", None),
    ],
)
def test_a_scheduler_waits_for_its_metric_to_improve(warned: Warned, options: str, wanted: str | None) -> None:
    """Which way that is the metric's class says."""
    found = warned(
        NUMBERS, "[Linear: 1]", "MSELoss", "[R2Score, MeanSquaredError]", f"{{ReduceLROnPlateau: {{{options}}}}}"
    )
    assert found == ([("goal-of-scheduler", f"write `mode: {wanted}`")] if wanted else [])


RANGED = """
version: 1
name: reach
device: {type: cpu, threads: 1}
data: {table: {inputs: {x: [0, 1, 2, 3]}, targets: {y: [-1, 0, 2, 3.5], z: [0, 0.5, 0.5, 1]}}}
model: [Linear: 2, ReLU]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 2}
"""


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([], ["ReLU, the last layer, gives no number below 0, and 'y' goes down to -1"]),
        (["model.1=Softplus"], ["Softplus, the last layer, gives no number below 0, and 'y' goes down to -1"]),
        (["model.1=Tanh"], ["Tanh, the last layer, gives no number above 1, and 'y' goes up to 3.5"]),
        (
            ["model=[Linear: 2, Sigmoid, Identity]"],
            [
                "Sigmoid, the last layer, gives no number below 0, and 'y' goes down to -1",
                "Sigmoid, the last layer, gives no number above 1, and 'y' goes up to 3.5",
            ],
        ),
        (["model=[Linear: 2]"], []),
        (["model=[Linear: 4, ReLU, Linear: 2]"], []),
        (["data.table.targets.y=[0, 0, 2, 3]"], []),
        (["loss=BCEWithLogitsLoss", "data.table.targets.y=[0, 1, 0, 1]"], []),
    ],
)
def test_targets_out_of_reach_are_told_once(overrides: list[str], said: list[str], go: Any) -> None:
    """Each with the layer, its end and the target's; nothing where all can be reached."""
    gone = go(RANGED, *overrides)
    assert gone.outcome.status == "FINISHED"
    assert gone.said == [f"warning: {line}" for line in said]
