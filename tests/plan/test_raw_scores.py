"""Which outputs are raw scores, told by the loss and the last layer."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.draft.draft import draft
from annpipe.plan.raw_scores import last_layer, raw_targets
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec

SPEC = """
version: 1
name: scores
data: {table: {inputs: {x: [0, 1, 2]}, targets: {a: [0, 1, 1], b: [1, 0, 1]}}}
model: [MODEL]
loss: LOSS
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
"""


@pytest.mark.parametrize(
    ("model", "loss", "raw", "last"),
    [
        ("Linear: 2", "BCEWithLogitsLoss", {"a", "b"}, "Linear"),
        ("Linear: 2, Identity", "{weighted_sum: [[MSELoss, BCEWithLogitsLoss]]}", {"a", "b"}, "Linear"),
        ("Linear: 2", "{per_target: {losses: {a: BCEWithLogitsLoss, b: MSELoss}}}", {"a"}, "Linear"),
        ("Linear: 2, Sigmoid, Flatten", "BCEWithLogitsLoss", set(), "Sigmoid"),
        ("Linear: 2, Sigmoid", "BCELoss", set(), "Sigmoid"),
        ("Linear: 2", "MSELoss", set(), "Linear"),
    ],
)
def test_raw_scores_are_what_a_loss_makes_probabilities_of(
    model: str, loss: str, raw: set[str], last: str, tmp_path: Path, registry_entries: Registry
) -> None:
    """Each target by its own loss; none behind a layer that gives probabilities already."""
    (tmp_path / "spec.yaml").write_text(SPEC.replace("MODEL", model).replace("LOSS", loss), encoding="utf-8")
    plan = resolve(draft(load_spec(tmp_path / "spec.yaml"), registry_entries.copy()))
    assert raw_targets(plan.model, plan.loss, ["a", "b"]) == raw
    found = last_layer(plan.model)
    assert found is not None
    assert found.name == last
