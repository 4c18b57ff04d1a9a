"""Models with several outputs: as plain torch trains them, measured by head, resumed, saved as plain PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from annpipe.export.model import export_model, saved_model
from annpipe.train.loop.evaluate import evaluate
from annpipe.train.loop.figures import run_view
from annpipe.train.parts import build_model
from tests.sampling import sample

HEAD = """
version: 1
name: heads
device: {type: cpu, threads: 1}
data:
  npz: {file: rows.npz, inputs: [a, b, c], targets: [mass, kind], labels: [kind]}
"""
MODEL = """
model:
  layers: [Linear: 8, Tanh]
  outputs:
    kind: {layers: [Linear: 5, ReLU, Linear: 3], loss: CrossEntropyLoss, metrics: [Accuracy]}
    mass: {layers: [Linear: 1], loss: L1Loss, weight: 0.25, metrics: [MeanAbsoluteError, R2Score]}
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 10, batch_size: all}
"""
SPLIT = "  split: {val: 0.25}\n"
SCALED = "  transforms: {number: standardize, mass: standardize}\n"


@pytest.fixture(autouse=True)
def rows(tmp_path: Path) -> None:
    """60 rows of three numbers, a kind out of three, and a mass."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(60, 3))
    kind = np.arange(60) % 3
    columns = dict(zip("abc", x.T, strict=True))
    np.savez(tmp_path / "rows.npz", **columns, kind=kind, mass=100 + 20 * x[:, 0] + 10 * kind)


class Plain(nn.Module):
    """The model of the spec by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(3, 8), nn.Tanh())
        self.mass = nn.Linear(8, 1)
        self.kind = nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.trunk(x)
        return self.kind(hidden), self.mass(hidden)


def copied(plain: nn.Module, model: nn.Module) -> None:
    for its, mine in zip(plain.parameters(), model.parameters(), strict=True):
        its.data.copy_(mine.detach())


def test_several_outputs_train_as_in_plain_torch(fit: Any, tmp_path: Path) -> None:
    """Ten steps of SGD on the weighted sum of both losses, from the same weights on the same rows."""
    run = fit(HEAD + MODEL)
    found = np.load(tmp_path / "rows.npz")
    x = torch.stack([torch.from_numpy(found[name]).float() for name in "abc"], 1)
    kind, mass = torch.from_numpy(found["kind"]), torch.from_numpy(found["mass"]).float()
    plain = Plain()
    copied(plain, build_model(run.plan))
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        scores, amount = plain(x)
        loss = nn.functional.cross_entropy(scores, kind) + 0.25 * nn.functional.l1_loss(amount[:, 0], mass)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert run.losses == pytest.approx(losses, rel=1e-6)
    for mine, its in zip(run.parameters, plain.parameters(), strict=True):
        assert torch.allclose(mine, its, atol=1e-6)


def test_heads_stand_in_the_order_of_their_targets_under_their_names(fit: Any) -> None:
    """Parameters are called by their targets, whatever the order in the spec."""
    run = fit(HEAD + MODEL)
    assert [name for name, _ in run.parts.model.named_parameters()] == [
        *("0.weight", "0.bias", "outputs.mass.0.weight", "outputs.mass.0.bias"),
        *("outputs.kind.0.weight", "outputs.kind.0.bias", "outputs.kind.2.weight", "outputs.kind.2.bias"),
    ]
    assert [*run.plan.to_data()["model"]["outputs"]] == ["mass", "kind"]
    assert "loss" not in run.plan.to_data()


@pytest.mark.parametrize("transforms", ["", SCALED], ids=["raw", "scaled"])
def test_each_head_is_measured_in_the_units_of_its_target(transforms: str, fit: Any) -> None:
    """Accuracy, errors and losses by head, against the same by hand."""
    run = fit(HEAD + transforms + SPLIT + MODEL)
    val = run.parts.splits.val
    view = run_view(run.plan, run.parts, {})
    given = view.predict(val.inputs)
    assert given["kind"].shape == (15, 3)
    assert given["mass"].shape == (15,)
    values = evaluate(run.plan, run.parts, run.parts.rows["val"])
    accuracy = (given["kind"].argmax(1) == val.targets["kind"]).double().mean()
    error = (given["mass"] - val.targets["mass"]).abs().mean()
    assert values["kind/accuracy"] == pytest.approx(float(accuracy))
    assert values["mass/mean_absolute_error"] == pytest.approx(float(error), rel=1e-5)
    cross = nn.functional.cross_entropy(given["kind"].double(), val.targets["kind"])
    assert values["kind/loss"] == pytest.approx(float(cross), rel=1e-5)
    spread = run.parts.splits.train.targets["mass"].std(correction=0) if transforms else 1.0
    assert values["mass/loss"] == pytest.approx(float(error / spread), rel=1e-5)
    assert values["loss"] == pytest.approx(values["kind/loss"] + 0.25 * values["mass/loss"], rel=1e-6)
    assert {*run.told.series} == {"train/loss", *(f"val/{key}" for key in values)}


def test_classes_may_be_balanced_and_a_head_be_watched(fit: Any, tmp_path: Path) -> None:
    """Weights of classes come from the labels of that head; a callback follows its metric."""
    arrays = dict(np.load(tmp_path / "rows.npz"))
    arrays["kind"] = np.repeat([0, 1, 2], [30, 20, 10])
    np.savez(tmp_path / "rows.npz", **arrays)
    text = HEAD + SPLIT + MODEL.replace("CrossEntropyLoss", "{CrossEntropyLoss: {weight: balanced}}")
    run = fit(text + "callbacks: [early_stopping: {monitor: val/kind/accuracy, patience: 2}]\n")
    labels = run.parts.splits.train.targets["kind"]
    expected = [len(labels) / (3 * int((labels == n).sum())) for n in range(3)]
    assert run.parts.loss.kind.weight.tolist() == pytest.approx(expected)
    assert "val/kind/accuracy" in run.told.series


@pytest.mark.parametrize("transforms", ["", SCALED], ids=["raw", "scaled"])
def test_a_resumed_run_is_the_run_that_never_was_interrupted(transforms: str, fit: Any) -> None:
    """Bit for bit, the values of heads too."""
    text = HEAD + transforms + SPLIT + MODEL.replace("batch_size: all", "batch_size: 8")
    whole = fit(text)
    fit(text, stop_at=11)
    resumed = fit(text, resume=True)
    for name, tensor in whole.parts.model.state_dict().items():
        assert torch.equal(resumed.parts.model.state_dict()[name], tensor), name
    assert resumed.told.series["val/mass/r2_score"][10] == whole.told.series["val/mass/r2_score"][10]


LOAD = """
import sys
sys.modules["annpipe"] = sys.modules["annpipe_std"] = None
sys.path.insert(0, sys.argv[1])
import network, torch
from safetensors.torch import load_file
model = network.build()
model.load_state_dict(load_file(sys.argv[1] + "/weights.safetensors"))
given = load_file(sys.argv[2])
with torch.no_grad():
    assert torch.allclose(model.eval()(given["x"]), given["y"], atol=1e-5)
print("same")
"""


@pytest.mark.slow
@pytest.mark.parametrize("transforms", sample(["", SCALED], 2, first=1), ids=["raw", "scaled"])
def test_the_saved_model_is_plain_torch_and_the_same(transforms: str, fit: Any, tmp_path: Path) -> None:
    """Where annpipe cannot be imported it gives what the trained model gives, in the units of the targets."""
    run = fit(HEAD + transforms + MODEL)
    folder = tmp_path / "model"
    export_model(run.plan, run.parts, folder)
    train = run.parts.splits.train
    x = torch.stack([tensor.double() for tensor in train.inputs.values()], 1)
    x = x if transforms else x.float()
    with torch.no_grad():
        given = saved_model(run.parts).eval()(x)
    predicted = run_view(run.plan, run.parts, {}).predict(train.inputs)
    assert torch.allclose(given[:, 0].double(), predicted["mass"].double(), rtol=1e-5)
    assert torch.allclose(given[:, 1:].double(), predicted["kind"].double(), atol=1e-5)
    save_file({"x": x, "y": given.contiguous()}, tmp_path / "given.safetensors")
    command = [sys.executable, "-c", LOAD, str(folder), str(tmp_path / "given.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout == "same\n", done.stderr
    outputs = json.loads((folder / "model.json").read_text(encoding="utf-8"))["outputs"]
    assert [item["name"] for item in outputs] == ["mass", "kind_0", "kind_1", "kind_2"]


def test_heads_may_read_taps_and_freeze_and_have_groups(fit: Any) -> None:
    """What is tapped in the trunk, or before it, reaches a head; patterns reach its parameters."""
    text = HEAD + MODEL.replace("[Linear: 8, Tanh]", "[tap: given, Linear: 8, Tanh]").replace(
        "mass: {layers: [Linear: 1]", "mass: {layers: [join: given, Linear: 1]"
    ).replace("loss: L1Loss, weight", "loss: L1Loss, weight")
    text = text.replace("optimizer:", '  freeze: ["1"]\noptimizer:').replace(
        "{lr: 0.1}", '{lr: 0.1}, groups: [{params: "outputs.kind.*", lr: 0.0}]'
    )
    run = fit(text)
    start = dict(build_model(run.plan).named_parameters())
    moved = {name for name, one in run.parts.model.named_parameters() if not torch.equal(one, start[name])}
    assert moved == {"outputs.mass.1.weight", "outputs.mass.1.bias"}
    assert start["outputs.mass.1.weight"].shape == (1, 11)


def test_labels_of_a_head_must_be_labels(fit: Any, tmp_path: Path) -> None:
    """A number in between is no class."""
    arrays = dict(np.load(tmp_path / "rows.npz"))
    np.savez(tmp_path / "rows.npz", **{**arrays, "kind": arrays["kind"] + 0.5})
    with pytest.raises(Exception, match="'kind' has values that are not whole numbers"):
        fit(HEAD.replace(", labels: [kind]", "") + MODEL)
