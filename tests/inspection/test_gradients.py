"""Gradient norms: as the callback recorded them, of kept checkpoints, and refused where there is neither."""

from __future__ import annotations

import json
import math

import pytest
import torch

from annpipe.contract import norms_by_layer
from annpipe.record.journal.project import find_run
from annpipe.runs.trained import trained_run
from tests.inspection.conftest import Inspector
from tests.training import Fit

SPEC = """
version: 1
name: line
data: {formula: {rows: 8, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: 2*x}}}
model: [Linear: 3, Tanh, Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 4}
plots: []
callbacks: [{gradient_norms: 2}]
"""


def test_norms_are_of_all_that_a_layer_has() -> None:
    tensors = {"0.weight": torch.tensor([[3.0]]), "0.bias": torch.tensor([4.0]), "scale": torch.tensor(2.0)}
    assert norms_by_layer(tensors) == {"0": 5.0, "scale": 2.0}


def test_the_callback_records_the_norm_that_plain_torch_computes(fit: Fit) -> None:
    """At the second and the fourth epoch, of the gradient that the step followed: from the weights before it."""
    reports = fit(SPEC).told.series
    assert sorted(reports["gradient_norm/0"]) == [2, 4]
    before = fit(SPEC, "train.epochs=3")
    parts, rows = before.parts, before.parts.rows["train"]
    last_layer = list(parts.model.parameters())[2:]
    gradients = torch.autograd.grad(parts.loss(parts.model(rows.x), rows.y), last_layer)
    expected = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
    assert reports["gradient_norm/2"][4] == pytest.approx(expected, rel=1e-5)


def test_what_a_run_recorded_is_shown(project: Inspector) -> None:
    """Also beside the rows of a file: it stands in the run's journal."""
    for data in ([], ["rows_of_gradients.csv"]):
        for file in data:
            (project.folder / file).write_text("length,soil,noise\n1,clay,2\n", encoding="utf-8")
        code, printed, said = project.call("inspect", "flowers", *data, "--gradients", "--json")
        assert code == 0, said
        gradients = json.loads(printed)["gradients"]
        assert gradients["source"] == "recorded"
        assert list(gradients["layers"]) == ["0", "2", "4"]
        assert gradients["layers"]["4"]["epochs"] == [5, 10, 15, 20]


def test_norms_of_kept_checkpoints_are_computed(project: Inspector) -> None:
    """The last checkpoint has the weights of the model: their gradient over the train rows, by plain torch."""
    folder = find_run(project.folder, "curve")
    code, printed, said = project.call("inspect", "curve", "--gradients", "--json")
    assert code == 0, said
    gradients = json.loads(printed)["gradients"]
    assert (gradients["source"], gradients["rows"]) == ("checkpoints", 120)
    assert gradients["layers"]["0"]["epochs"] == [10, 20, 30]
    with pytest.MonkeyPatch.context() as patch, trained_run(folder) as run:
        patch.chdir(project.folder)
        rows = run.parts.rows["train"]
        run.parts.loss(run.parts.model(rows.x), rows.y).backward()
        norms = [float(torch.cat([p.grad.flatten() for p in run.parts.model[at].parameters()]).norm()) for at in (0, 2)]
    assert [gradients["layers"][layer]["norms"][-1] for layer in ("0", "2")] == pytest.approx(norms)
    code, _, said = project.call("inspect", "curve", "curve.csv", "--gradients")
    assert code == 3
    assert "callbacks: [gradient_norms]" in said
