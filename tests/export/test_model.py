"""The saved model is plain PyTorch: where annpipe cannot be imported, it gives the same predictions."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from annpipe.export.model import described_loss, export_model, model_targets
from annpipe.saved.check import check_saved_model
from annpipe.train.loop.evaluate import predict
from tests.sampling import sample

HEAD = "version: 1\nname: exported\ndevice: {type: cpu, threads: 1, precision: PRECISION}\ntrain: {epochs: 2}\n"
COLUMNS = "data: {formula: {rows: 60, inputs: {a: {Uniform: [-1, 1]}, b: {Normal: [0, 1]}}, targets: {y: a*b}}}\n"
FIT = "loss: MSELoss\noptimizer: {Adam: {lr: 0.01}}\n"

FROM_STYLE = '''
"""A plugin with a docstring, a future import and an import over several lines."""
from __future__ import annotations

from typing import Annotated

import torch
from annpipe import (
    Dataset,
    data,
    layer as mark,
)
from annpipe import OptionError
from pydantic import Field


@mark(name="scale")
class Scale(torch.nn.Module):
    """x times a learnt factor."""

    def __init__(self, start: Annotated[float, Field(gt=0)] = 2.0, *, in_features: int) -> None:
        super().__init__()
        if start > 1e9:
            raise OptionError("start", "is too much")
        self.factor = torch.nn.Parameter(torch.full((in_features,), start))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor


@data
def waves(rows: int = 40, *, generator: torch.Generator) -> Dataset:
    """Sequences of 7 steps of 3 numbers, and the mean of the last."""
    x = torch.randn(rows, 7, 3, generator=generator)
    return Dataset({"x": x}, {"y": x[:, -1].mean(1)})
'''
MODULE_STYLE = '''
import torch
import annpipe as ap


@ap.layer
class Shift(torch.nn.Module):
    """x plus a learnt amount."""

    def __init__(self) -> None:
        super().__init__()
        self.amount = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.amount


@ap.layer()
class LastStep(torch.nn.Module):
    """(rows, time, features) -> (rows, features)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, -1]


def total(values: list[float]) -> float:
    if not values:
        raise ap.OptionError("values", "are missing")
    return sum(values)
'''
CLASSES = "data: {table: {inputs: {a: [0, 0, 1, 1], b: [0, 1, 0, 1]}, targets: {label: [0, 1, 1, 2]}}}\n"

MODELS: dict[str, str] = {
    "torch_only": HEAD + COLUMNS + FIT + "model: [Linear: {out_features: 8, bias: false}, BatchNorm1d, Tanh, "
    "Dropout: 0.5, Linear: 1]\n",
    "from_annpipe_import": HEAD + COLUMNS + FIT + "plugins: [./scaling.py]\n"
    "model: [Linear: 8, scale: 3.0, Tanh, Linear: 1]\n",
    "import_annpipe": HEAD + COLUMNS + FIT + "plugins: [./shifting.py]\nmodel: [Linear: 8, Shift, Tanh, Linear: 1]\n",
    "lstm": HEAD + FIT + "data: {waves: 40}\nplugins: [./scaling.py, ./shifting.py]\n"
    "model: [LSTM: {hidden_size: 5, batch_first: true}, LastStep, Linear: 1]\n",
    "containers": HEAD + COLUMNS + FIT + "plugins: [./scaling.py]\n"
    "model: [Linear: 8, residual: [Linear: 6, scale, ReLU, Linear: 5], repeat: {times: 2, layers: [Linear: 4, Tanh]}, "
    "parallel: [[Linear: 3], [residual: [Tanh]]], Linear: 1]\n",
    "shared": HEAD + COLUMNS + FIT + "blocks: {inner: [Linear: 4], encoder: [shared: inner, BatchNorm1d, Tanh]}\n"
    "model: [Linear: 4, shared: encoder, residual: [encoder, shared: encoder], "
    "repeat: {times: 2, layers: [shared: encoder], share: true}, Linear: 1]\n",
    "containers_of_sequences": HEAD + FIT + "data: {waves: 40}\nplugins: [./scaling.py, ./shifting.py]\n"
    "model: [residual: [LSTM: 5], repeat: {times: 2, layers: [GRU: 4]}, LastStep, Linear: 1]\n",
    "taps": HEAD + COLUMNS + FIT + "blocks: {mixed: [tap: own, Linear: 6, Tanh, join: {taps: own, by: add}]}\n"
    "model: [Linear: 6, tap: wide, residual: [mixed, tap: deep, Tanh], repeat: {times: 2, layers: [shared: mixed]}, "
    "tap: last, take: wide, Linear: 3, join: {taps: [last, deep], dim: 1}, Linear: 1]\n",
    "taps_of_sequences": HEAD + FIT + "data: {waves: 40}\nplugins: [./scaling.py, ./shifting.py]\n"
    "model: [tap: given, GRU: 4, join: given, LastStep, Linear: 1]\n",
    "parts_of_outputs": HEAD + FIT + "data: {waves: 40}\nplugins: [./scaling.py, ./shifting.py]\n"
    "model: [tap: given, output_of: [{LSTM: {hidden_size: 4, bidirectional: true}}, cell], tap: cell, take: given, "
    "MultiheadAttention: 1, output_of: [{GRU: 4}, last_step], join: cell, Linear: 1]\n",
    "classification": HEAD + CLASSES + "model: [Linear: 8, Tanh, Linear: 3]\n"
    "loss: CrossEntropyLoss\noptimizer: {Adam: {lr: 0.01}}\n",
}
ALONE = """
import importlib.util, json, os, sys
import torch
from safetensors.torch import load_file, save_file
for name in ("annpipe", "annpipe_std", "pydantic" if sys.argv[1].endswith("containers") else "annpipe"):
    sys.modules[name] = None
for folder in sys.argv[1:]:
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0, folder
        continue
    sys.path.insert(0, folder)
    import network
    model = network.build()
    model.load_state_dict(load_file(folder + "/weights.safetensors"))
    model.eval()
    with torch.no_grad():
        save_file({"y": model(load_file(folder + "/x.safetensors")["x"])}, folder + "/y.safetensors")
    os._exit(0)
"""


@pytest.fixture
def answered_alone(fit: Any, tmp_path: Path) -> Any:
    """Trains and exports models; gives each one's predictions, its own and those made without annpipe."""

    def answered_alone(specs: Mapping[str, str]) -> dict[str, tuple[Any, torch.Tensor, torch.Tensor, Path]]:
        runs = {}
        for name, text in specs.items():
            run = fit(text, scaling=FROM_STYLE, shifting=MODULE_STYLE)
            folder = tmp_path / name
            export_model(run.plan, run.parts, folder)
            x = run.parts.rows["train"].x.contiguous()
            save_file({"x": x}, folder / "x.safetensors")
            runs[name] = (run, predict(run.parts.model, x), folder)
        done = subprocess.run(
            [sys.executable, "-c", ALONE, *(str(folder) for _, _, folder in runs.values())],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return {
            name: (run, mine, load_file(folder / "y.safetensors")["y"], folder)
            for name, (run, mine, folder) in runs.items()
        }

    return answered_alone


@pytest.mark.parametrize("precision", sample(["float32", "float64"], 2))
def test_every_saved_model_predicts_the_same_without_annpipe(precision: str, answered_alone: Any) -> None:
    """Torch's own layers, layers of both plugin styles, an LSTM whose first output flows on, a classifier."""
    found = answered_alone({name: text.replace("PRECISION", precision) for name, text in MODELS.items()})
    assert set(found) == set(MODELS)
    for name, (run, mine, alone, folder) in found.items():
        assert torch.equal(alone, mine), name
        assert alone.dtype == getattr(torch, precision)
        assert run.parts.model[0].training
        for file in folder.glob("*.py"):
            source = file.read_text(encoding="utf-8")
            assert "from annpipe" not in source, name
            assert "import annpipe" not in source, name


@pytest.mark.slow
def test_only_torch_is_needed_beside_a_file_of_the_built_in_library(answered_alone: Any) -> None:
    """Its class travels as source, without pydantic's bounds."""
    found = answered_alone({"containers": MODELS["containers"].replace("PRECISION", "float32")})
    folder = found["containers"][-1]
    assert sorted(file.name for file in folder.glob("*.py")) == [
        "network.py", "plugin_scaling.py", "plugin_structure.py", "stand_ins_of_annpipe.py"
    ]  # fmt: skip
    assert "pydantic" not in (folder / "plugin_structure.py").read_text(encoding="utf-8")
    assert json.loads((folder / "model.json").read_text())["requirements"] == sorted(
        f"{name}=={version(name).partition('+')[0]}" for name in ("numpy", "pandas", "safetensors", "torch")
    )


@pytest.mark.slow
def test_the_description_names_what_goes_in_and_comes_out(answered_alone: Any) -> None:
    """Columns by name and type, a tensor by its shape, scores by class; three rows as an example."""
    wanted = ("torch_only", "lstm", "classification")
    found = answered_alone({name: MODELS[name].replace("PRECISION", "float32") for name in wanted})
    told = {name: json.loads((folder / "model.json").read_text()) for name, (*_, folder) in found.items()}
    number = {"type": "double", "shape": []}
    assert told["torch_only"]["inputs"] == [{"name": "a", **number}, {"name": "b", **number}]
    assert told["torch_only"]["outputs"] == [{"name": "y", **number}]
    assert told["lstm"]["inputs"] == [{"name": "x", "type": "double", "shape": [7, 3]}]
    assert told["classification"]["outputs"] == [{"name": f"label_{index}", **number} for index in range(3)]
    assert [len(told["torch_only"]["inputs_example"][name]) for name in "ab"] == [3, 3]


def test_two_plugin_files_of_one_name_travel_as_two(fit: Any, tmp_path: Path) -> None:
    """Each layer keeps its own file."""
    for folder, amount in (("one", "1.0"), ("two", "2.0")):
        (tmp_path / folder).mkdir()
        name = f"Add{folder.capitalize()}"
        source = MODULE_STYLE.replace("Shift", name).replace("0.5", amount).replace("LastStep", f"Last{name}")
        (tmp_path / folder / "layers.py").write_text(source, encoding="utf-8")
    spec = HEAD.replace("PRECISION", "float32") + COLUMNS + FIT + "plugins: [./one/layers.py, ./two/layers.py]\n"
    run = fit(spec + "model: [Linear: 4, AddOne, Tanh, AddTwo, Linear: 1]\n")
    export_model(run.plan, run.parts, tmp_path / "model")
    files = [path.read_text(encoding="utf-8") for path in (tmp_path / "model").glob("plugin_*.py")]
    assert sorted("class AddOne" in source for source in files) == [False, True]
    assert sorted("class AddTwo" in source for source in files) == [False, True]


WITH_FILE = """
from pathlib import Path

import torch
from annpipe import layer


@layer
class scaled(torch.nn.Module):
    def __init__(self, file: Path, bounds: dict[str, float]) -> None:
        super().__init__()
        self.scale, self.most = float(file.read_text()), bounds["most"]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.scale).clamp(max=self.most)
"""


def test_an_option_that_is_a_file_and_one_without_a_bound_are_written(fit: Any, tmp_path: Path) -> None:
    """Python writes PosixPath and inf for them, which no file of source knows."""
    (tmp_path / "scale.txt").write_text("2.5")
    model = "plugins: [./own.py]\nmodel: [{scaled: {file: ./scale.txt, bounds: {most: .inf}}}, Linear: 1]\n"
    run = fit(HEAD.replace("PRECISION", "float32") + COLUMNS + FIT + model, own=WITH_FILE)
    export_model(run.plan, run.parts, tmp_path / "model")
    check_saved_model(run.parts, tmp_path / "model")


def test_the_libraries_that_a_plugin_file_imports_are_required(fit: Any, tmp_path: Path) -> None:
    """With their versions; those of Python itself and annpipe are not."""
    plugin = MODULE_STYLE.replace("import torch\n", "import math\nimport torch\nfrom yaml import safe_load\n")
    run = fit(MODELS["import_annpipe"].replace("PRECISION", "float32"), shifting=plugin)
    export_model(run.plan, run.parts, tmp_path / "model")
    required = json.loads((tmp_path / "model" / "model.json").read_text())["requirements"]
    names = ["PyYAML", "numpy", "pandas", "safetensors", "torch"]
    assert required == [f"{name}=={version(name).partition('+')[0]}" for name in names]


BEGINNING = "version: 1\nname: t\ndevice: {type: cpu, threads: 1}\ntrain: {epochs: 1}\noptimizer: {Adam: {lr: 0.01}}\n"
DATA = "data: {formula: {rows: 40, inputs: {a: {Uniform: [-1, 1]}}, targets: {y: a > 0, z: a*2}}}\n"
HEADS = """model:
  layers: [Linear: 4]
  outputs:
    y: {layers: [Linear: 1], loss: BCEWithLogitsLoss}
    z: {layers: [Linear: 1], loss: MSELoss, weight: 0.5}
"""


def test_each_head_has_its_span_and_what_its_loss_takes(fit: Any) -> None:
    """A probability has two classes, a number none."""
    run = fit(BEGINNING + DATA + HEADS)
    y, z = model_targets(run.plan, run.parts.splits.train)
    assert (y.name, y.span, y.labels, y.gives, y.classes) == ("y", (0, 1), False, "logits", ("0", "1"))
    assert (z.name, z.span, z.labels, z.gives, z.classes) == ("z", (1, 2), False, None, None)
    assert list(described_loss(run.plan, run.parts)) == ["model.outputs.y.loss", "model.outputs.z.loss"]


@pytest.mark.parametrize("has_roles", [True, False])
def test_roles_are_those_of_the_loss(has_roles: bool, fit: Any) -> None:
    """A mean and a variance have names; the target's own value needs none."""
    data = DATA.replace("y: a > 0, ", "")
    layers = "[Linear: 2, mean_variance]" if has_roles else "[Linear: 1]"
    run = fit(f"{BEGINNING}{data}model: {layers}\nloss: {'GaussianNLLLoss' if has_roles else 'MSELoss'}\n")
    (target,) = model_targets(run.plan, run.parts.splits.train)
    assert (target.roles is not None, target.span) == (has_roles, (0, 2) if has_roles else (0, 1))
    if target.roles:
        assert target.roles.names == ("mean", "variance")
