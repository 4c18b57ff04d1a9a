"""What a transform makes of rows is looked at by the plan, at the transform's line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import CliHere

OWN = """
import torch
from annpipe import transform

class Base(torch.nn.Module):
    def fit(self, x): ...

@transform
class drops(Base):
    def forward(self, x): return x[:, :0]

@transform
class halves(Base):
    def forward(self, x): return x[: len(x) // 2]

@transform
class counts(Base):
    def forward(self, x): return len(x)

@transform
class keeps(Base):
    def forward(self, x): return x
"""
SPEC = """
version: 1
name: rows
plugins: [./own.py]
data: {table: {inputs: {x: [0, 1, 2, 3], z: [3, 2, 1, 0]}, targets: {y: [0, 1, 2, 3]}}, transforms: TRANSFORMS}
model: [Linear: 1]
loss: L1Loss
optimizer: SGD
train: {epochs: 1}
"""


@pytest.mark.parametrize(
    ("transforms", "words"),
    [
        ("{number: drops}", "drops leaves no column: the model would have no input"),
        ("{number: [keeps, drops, keeps]}", "drops leaves no column: the model would have no input"),
        ("{x: drops, z: drops}", "drops leaves no column: the model would have no input"),
        ("{x: drops}", None),
        ("{number: keeps}", None),
        ("{number: halves}", "halves makes a tensor of shape (2, 2) of 4 rows of x, z"),
        ("{number: counts}", "counts makes an int of 4 rows of x, z"),
    ],
)
def test_a_transform_gives_the_same_rows_and_the_model_gets_a_column(
    transforms: str, words: str | None, annpipe_here: CliHere, tmp_path: Path
) -> None:
    """Some columns may go as long as one is left."""
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    (tmp_path / "spec.yaml").write_text(SPEC.replace("TRANSFORMS", transforms), encoding="utf-8")
    code, _, said = annpipe_here("validate", "spec.yaml")
    assert code == (3 if words else 0), said
    if words:
        assert f"error[wrong-value]: {words}\n" in said
        line = SPEC.replace("TRANSFORMS", transforms).splitlines()[4]
        name = words.split()[0]
        assert f"spec.yaml:5:{line.index(name) + 1}\n" in said
