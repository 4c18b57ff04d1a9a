"""The params of a record: what a component is called and where it differs from its defaults; equal asks are equal."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.plan.params import run_params
from tests.training import Planned

ROOT = Path(__file__).parents[2]
SPEC = """
version: 1
name: small
data:
  formula: {rows: 8, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: x}}
model: [Linear: 4, ReLU, Linear: 1]
loss: MSELoss
optimizer: Adam
train: {epochs: 3}
"""


def test_the_main_job_has_a_page_of_params(planned: Planned) -> None:
    """The names of its layers and losses, what was asked of each, and nothing that nobody asked."""
    params = run_params(planned((ROOT / "pipelines" / "quadratic.yaml").read_text(encoding="utf-8")))
    assert len(params) <= 25
    assert params["model.1"] == "ReLU"
    assert params["model.0"] == "Linear"
    assert params["model.0.Linear.out_features"] == "100"
    assert params["optimizer"] == "Adam"
    assert params["optimizer.Adam.lr"] == "0.0002"
    assert params["data.formula.noise.y"] == "Normal"
    assert params["data.formula.noise.y.Normal.scale"] == "5.0"
    assert "null" not in params.values()


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("model.1={ReLU: {inplace: false}}", "model.1.ReLU.inplace"),
        ("model.0={Linear: {out_features: 4, bias: true}}", "model.0.Linear.bias"),
        ("optimizer={Adam: {weight_decay: 0}}", "optimizer.Adam.weight_decay"),
        ("train.batch_size=all", "train.batch_size"),
        ("train.shuffle=true", "train.shuffle"),
        ("device={precision: float32}", "device.precision"),
        ("loss={MSELoss: {reduction: mean}}", "loss.MSELoss.reduction"),
    ],
)
def test_a_default_that_is_said_is_one_that_is_left(override: str, key: str, planned: Planned) -> None:
    """Runs that say it and runs that do not compare as equal; another value is a param."""
    assert run_params(planned(SPEC, override)) == run_params(planned(SPEC))
    assert key not in run_params(planned(SPEC))


def test_the_rate_is_always_there_and_how_torch_computes_it_never(planned: Planned) -> None:
    """`lr` at the default of the class, too; `fused` is chosen by annpipe where the spec does not say it."""
    params = run_params(planned(SPEC))
    assert params["optimizer.Adam.lr"] == "0.001"
    assert run_params(planned(SPEC, "optimizer={Adam: {fused: false}}")) == params


def test_what_differs_is_there(planned: Planned) -> None:
    """Sections, layers inside layers, groups, and where a layer is another one its name alone."""
    params = run_params(planned(SPEC))
    other = run_params(
        planned(
            SPEC,
            "model.1=Tanh",
            "train.batch_size=4",
            "data.split={val: 0.25}",
            "optimizer={Adam: {lr: 0.01}, groups: [{params: '*.bias', lr: 0.02}]}",
        )
    )
    differing = {key for key in params.keys() | other.keys() if params.get(key) != other.get(key)}
    assert differing == {
        *("model.1", "train.batch_size", "data.split.val", "optimizer.Adam.lr"),
        *("optimizer.groups.0", "optimizer.groups.0.Adam.lr"),
    }
    assert other["optimizer.groups.0"] == "*.bias"


def test_what_a_sweep_varies_is_there_at_its_default_too(planned: Planned) -> None:
    """So that every trial has the axis; a path that a plan does not have is none."""
    varied = ("optimizer.Adam.weight_decay", "model.1", "train.batch_size", "optimizer.SGD.momentum")
    params = run_params(planned(SPEC), varied)
    assert params["optimizer.Adam.weight_decay"] == "0.0"
    assert params["model.1"] == "ReLU"
    assert params["train.batch_size"] == "all"
    assert params.keys() - run_params(planned(SPEC)).keys() == {"optimizer.Adam.weight_decay", "train.batch_size"}
