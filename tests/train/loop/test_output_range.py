"""Targets that the last layer can never give: told when the run begins, for only the data knows their range."""

from __future__ import annotations

from typing import Any

import pytest

SPEC = """
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
    gone = go(SPEC, *overrides)
    assert gone.outcome.status == "FINISHED"
    assert gone.said == [f"warning: {line}" for line in said]
