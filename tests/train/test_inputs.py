"""Models with several inputs: as plain torch trains them, resumed, behind transforms, saved as plain PyTorch."""

from __future__ import annotations

import copy
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
from annpipe.portable.heads import Inputs
from annpipe.train.parts import build_model
from tests.sampling import sample

HEAD = """
version: 1
name: several
device: {type: cpu, threads: 1}
data:
  npz: {file: rows.npz, inputs: [image, age, words, cost], targets: [y], tokens: [words]}
"""
MODEL = """
model:
  inputs:
    facts: {columns: [cost, "a*"], layers: [Linear: 6, ReLU]}
    picture: {columns: image, layers: [Conv2d: [4, 3], ReLU, Flatten]}
    words: {layers: [Embedding: [9, 3], Flatten]}
  join: JOIN
  layers: [Linear: 8, Tanh, Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.05}}
train: {epochs: 10, batch_size: all}
"""
CONCAT = MODEL.replace("JOIN", "concat")
TRANSFORMS = """
  transforms: {age: standardize, image: [normalize, random_flip], cost: min_max, y: standardize}
  split: {val: 0.25}
"""


@pytest.fixture(autouse=True)
def rows(tmp_path: Path) -> None:
    """48 rows with an image, two numbers, a sentence of five words, and a number to predict."""
    draw = np.random.default_rng(0)
    arrays = {"image": draw.normal(size=(48, 1, 5, 5)), "age": draw.normal(size=48), "cost": draw.uniform(1, 9, 48)}
    np.savez(tmp_path / "rows.npz", **arrays, words=draw.integers(0, 9, (48, 5)), y=draw.normal(size=48))


class Plain(nn.Module):
    """The model of the spec by hand."""

    def __init__(self, join: str) -> None:
        super().__init__()
        same = [nn.Flatten(), nn.LazyLinear(6)] if join != "concat" else [nn.Flatten()]
        self.facts = nn.Sequential(nn.Linear(2, 6), nn.ReLU())
        self.picture = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), *same)
        self.words = nn.Sequential(nn.Embedding(9, 3), *copy.deepcopy(same))
        self.join = join
        self.rest = nn.Sequential(nn.LazyLinear(8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, image: Any, facts: Any, words: Any) -> torch.Tensor:
        given = [self.facts(facts), self.picture(image), self.words(words)]
        if self.join == "concat":
            return self.rest(torch.cat(given, 1))
        together = given[0] + given[1] + given[2] if self.join == "add" else given[0] * given[1] * given[2]
        return self.rest(together)


@pytest.mark.parametrize("join", ["concat", "add", "mul"])
def test_several_inputs_train_as_in_plain_torch(join: str, fit: Any, tmp_path: Path) -> None:
    """Ten steps of SGD from the same weights on the same rows."""
    text = HEAD + MODEL.replace("JOIN", join)
    if join != "concat":
        text = text.replace("Flatten]", "Flatten, Linear: 6]")
    run = fit(text)
    found = np.load(tmp_path / "rows.npz")
    tensors = {name: torch.from_numpy(found[name]).float() for name in ("image", "age", "cost", "y")}
    words, facts = torch.from_numpy(found["words"]), torch.stack([tensors["cost"], tensors["age"]], 1)
    plain = Plain(join)
    plain(tensors["image"], facts, words)  # its sizes
    for its, mine in zip(plain.parameters(), build_model(run.plan).parameters(), strict=True):
        its.data.copy_(mine.detach())
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(plain(tensors["image"], facts, words)[:, 0], tensors["y"])
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert run.losses == pytest.approx(losses, abs=1e-6)
    for mine, its in zip(run.parameters, plain.parameters(), strict=True):
        assert torch.allclose(mine, its, atol=1e-6)


def test_parameters_are_called_by_their_stacks(fit: Any) -> None:
    """`init`, `freeze` and groups reach them."""
    more = "  init: {inputs.picture.0.weight: ones_}\n  freeze: [inputs.words]\n"
    text = HEAD + CONCAT.replace("loss:", f"{more}loss:").replace(
        "{lr: 0.05}}", '{lr: 0.0}, groups: [{params: "inputs.facts.*", lr: 0.1}]}'
    )
    run = fit(text)
    parameters = dict(run.parts.model.named_parameters())
    assert [*parameters][:5] == [
        *("inputs.facts.0.weight", "inputs.facts.0.bias", "inputs.picture.0.weight", "inputs.picture.0.bias"),
        "inputs.words.0.weight",
    ]
    assert bool((parameters["inputs.picture.0.weight"] == 1).all())
    assert not parameters["inputs.words.0.weight"].requires_grad
    start = dict(build_model(run.plan).named_parameters())
    moved = {name for name, parameter in parameters.items() if not torch.equal(parameter, start[name])}
    assert moved == {"inputs.facts.0.weight", "inputs.facts.0.bias"}


@pytest.mark.parametrize("transforms", ["", TRANSFORMS], ids=["raw", "transformed"])
def test_a_resumed_run_is_the_run_that_never_was_interrupted(transforms: str, fit: Any) -> None:
    """Bit for bit."""
    text = (
        HEAD + transforms + CONCAT.replace("batch_size: all", "batch_size: 8").replace("ReLU]", "ReLU, Dropout: 0.2]")
    )
    whole = fit(text)
    fit(text, stop_at=11)
    resumed = fit(text, resume=True)
    for name, tensor in whole.parts.model.state_dict().items():
        assert torch.equal(resumed.parts.model.state_dict()[name], tensor), name
    assert resumed.losses[-1] == whole.losses[-1]


def test_transforms_fit_each_column_and_stacks_take_them_apart(fit: Any, tmp_path: Path) -> None:
    """Each column scaled by the train split as by hand, and an image normalized by its channels."""
    run = fit(HEAD + TRANSFORMS + CONCAT)
    train = run.parts.splits.train
    x = run.parts.rows["train"].x.double()
    age, image = train.inputs["age"], train.inputs["image"]
    cost = train.inputs["cost"]
    stack = run.plan.model[0].component.options
    assert (stack["spans"], stack["shapes"]) == ([[[0, 2]], [[2, 27]], [[27, 32]]], [[2], [1, 5, 5], [5]])
    assert torch.allclose(x[:, 0], (age - age.mean()) / age.std(correction=0), atol=1e-6)
    assert torch.allclose(x[:, 1], (cost - cost.min()) / (cost.max() - cost.min()), atol=1e-6)
    normal = (image - image.mean()) / image.std(correction=0)
    assert torch.allclose(x[:, 2:27], normal.flatten(1), atol=1e-6)
    assert torch.equal(x[:, 27:].long(), train.inputs["words"])


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
    assert torch.allclose(model.eval()(given["x"]), given["y"], atol=1e-6)
print("same")
"""


@pytest.mark.parametrize("transforms", sample(["", TRANSFORMS], 2, first=1), ids=["raw", "transformed"])
def test_the_saved_model_is_plain_torch_and_the_same(transforms: str, fit: Any, tmp_path: Path) -> None:
    """Where annpipe cannot be imported it gives what the trained model gives."""
    run = fit(HEAD + transforms + CONCAT)
    folder = tmp_path / "model"
    export_model(run.plan, run.parts, folder)
    inputs = run.parts.splits.train.inputs.values()
    x = torch.cat([tensor.reshape(len(tensor), -1).double() for tensor in inputs], 1)
    x = x if transforms else x.float()
    with torch.no_grad():
        save_file({"x": x, "y": saved_model(run.parts).eval()(x).contiguous()}, tmp_path / "given.safetensors")
    command = [sys.executable, "-c", LOAD, str(folder), str(tmp_path / "given.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout == "same\n", done.stderr


@pytest.mark.parametrize("name", ["train", "type", "picture.of.it", "join", "stacks"])
def test_a_stack_may_have_the_name_of_anything(name: str, fit: Any) -> None:
    """What torch's modules have already gets a `_` behind it, and dots are none in the names of parameters."""
    run = fit(HEAD + CONCAT.replace("picture:", f"{name}:"))
    own = {"picture.of.it": "picture_of_it"}.get(name, f"{name}_")
    assert isinstance(run.parts.model.inputs, Inputs)
    assert [key for key, _ in run.parts.model.inputs.named_children()] == ["facts", own, "words"]


def test_whole_numbers_that_float32_cannot_hold_are_refused(fit: Any, tmp_path: Path) -> None:
    """They would be other tokens."""
    arrays = dict(np.load(tmp_path / "rows.npz"))
    arrays["words"][3, 2] = 2**24 + 1
    np.savez(tmp_path / "rows.npz", **arrays)
    with pytest.raises(Exception, match="'words' has whole numbers above 16,777,216"):
        fit(HEAD + CONCAT)
