"""A plot that gives no figure costs its figure: what it gave is said, and no folder is left."""

from __future__ import annotations

import pytest

from tests.training import Go

OWN = """
from annpipe import RunView, plot

@plot
def odd(view: RunView, number: bool = False):
    return 3 if number else None
"""
SPEC = """
version: 1
name: odd
plugins: [./own.py]
device: {type: cpu, threads: 1}
data: {table: {inputs: {x: [0, 1, 2, 3]}, targets: {y: [0, 1, 2, 3]}}}
model: [Linear: 1]
loss: L1Loss
optimizer: SGD
train: {epochs: 1}
"""


@pytest.mark.parametrize(
    ("number", "gave"), [("true", "an int, and no matplotlib.figure.Figure"), ("false", "nothing")]
)
def test_what_a_plot_returned_is_said(go: Go, number: str, gave: str) -> None:
    gone = go(f"{SPEC}plots: [odd: {{number: {number}}}]\n", own=OWN)
    assert gone.outcome.status == "FINISHED"
    assert any(f"it returned {gave}: end it with `return figure`" in event for event in gone.said), gone.said
    assert not (gone.folder / "artifacts" / "plots").exists()
