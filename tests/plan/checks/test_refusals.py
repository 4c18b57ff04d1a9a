"""What components refuse when they are built is said of the spec, before a run begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import CliHere

SPEC = """\
version: 1
name: small
data: {formula: {rows: 8, inputs: {x: {Uniform: [0, 1]}}, targets: {y: x}}}
model: [Linear: 4, ReLU, Linear: 1]
loss: L1Loss
optimizer: SGD
train: {epochs: 1}
"""


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("{Uniform: [0, 1]}", "{Uniform: [1, 0]}", "3:40", "Uniform refuses its options"),
        ("optimizer: SGD", "optimizer: {SGD: {nesterov: true}}", "6:13", "SGD refuses its options"),
        ("optimizer: SGD", "optimizer: Muon", "6:12", "only supports 2D parameters"),
        ("train:", "scheduler: {OneCycleLR: {max_lr: 1, epochs: 3}}\ntrain:", "7:13", "OneCycleLR refuses its options"),
        ("train:", "callbacks: [checkpoint]\ntrain:", "7:13", "nothing to keep"),
    ],
)
def test_a_refusal_stands_at_its_component(
    annpipe_here: CliHere, tmp_path: Path, old: str, new: str, place: str, words: str
) -> None:
    """Distributions, optimizers over the model's own parameters, schedulers and callbacks."""
    (tmp_path / "spec.yaml").write_text(SPEC.replace(old, new), encoding="utf-8")
    code, _, said = annpipe_here("validate", "spec.yaml")
    assert code == 3
    assert f"spec.yaml:{place}\n" in said
    assert words in said


def test_refusals_and_a_fault_of_shape_come_in_one_report(annpipe_here: CliHere, tmp_path: Path) -> None:
    """They are independent, and stand in file order."""
    wrong = SPEC.replace("Linear: 4", "Conv2d: [4, 3]").replace("SGD", "{SGD: {nesterov: true}}")
    (tmp_path / "spec.yaml").write_text(wrong, encoding="utf-8")
    _, _, said = annpipe_here("validate", "spec.yaml")
    assert said.index("error[shape]") < said.index("error[wrong-value]")
    assert said.endswith("2 errors\n")


def test_classes_compared_as_numbers_are_warned_of(annpipe_here: CliHere, tmp_path: Path) -> None:
    """The third class would be twice as wrong as the second; two classes are 0 and 1 for good."""
    table = "{table: {inputs: {x: [0, 1, 2]}, targets: {kind: [cat, dog, owl]}}}"
    data = "{formula: {rows: 8, inputs: {x: {Uniform: [0, 1]}}, targets: {y: x}}}"
    for text, warned in ((table, True), (table.replace("owl", "dog"), False)):
        (tmp_path / "spec.yaml").write_text(SPEC.replace(data, text), encoding="utf-8")
        code, _, said = annpipe_here("validate", "spec.yaml")
        assert code == 0
        assert ("warning[loss-mismatch]: L1Loss compares the 3 classes of 'kind'" in said) == warned


BATCHES = """\
version: 1
name: small
data: {table: {inputs: {x: [0, 1, 2, 3, 4]}, targets: {y: [0, 1, 2, 3, 4]}}}
model: [Linear: 4, BatchNorm1d, Linear: 1]
loss: L1Loss
optimizer: SGD
train: {epochs: 1, batch_size: BATCH}
"""


@pytest.mark.parametrize(
    ("batch", "refused"),
    [("all", False), ("1", True), ("2", True), ("2, drop_last: true", False), ("3", False), ("4", True), ("9", False)],
)
def test_a_batch_of_one_row_is_refused_where_a_layer_cannot_learn_from_it(
    annpipe_here: CliHere, tmp_path: Path, batch: str, refused: bool
) -> None:
    """Batch normalization of five rows; what validates also runs."""
    (tmp_path / "spec.yaml").write_text(BATCHES.replace("BATCH", batch), encoding="utf-8")
    code, _, said = annpipe_here("validate", "spec.yaml")
    assert code == (3 if refused else 0), said
    assert ("BatchNorm1d cannot learn from one" in said) == refused


def test_early_stopping_takes_the_direction_of_its_metric(annpipe_here: CliHere, tmp_path: Path) -> None:
    """R² rises from epoch to epoch: a run that took small values for good ones would stop after five."""
    spec = """\
version: 1
name: small
data: {table: {inputs: {x: [0, 1, 2, 3]}, targets: {y: [0, 1, 2, 3]}, repeat: 10}, split: {val: 0.5}}
model: [Linear: 1]
loss: L1Loss
optimizer: {SGD: {lr: 0.01}}
train: {epochs: 20}
metrics: [R2Score]
callbacks: [early_stopping: {monitor: val/r2_score, patience: 5}]
tracking: {wait_seconds: 0}
"""
    (tmp_path / "spec.yaml").write_text(spec, encoding="utf-8")
    code, out, said = annpipe_here("run", "spec.yaml", "--json")
    assert code == 0, said
    assert "epoch 20/20" in said, out
