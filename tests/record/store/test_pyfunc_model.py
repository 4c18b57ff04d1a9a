"""The recorded model: no pickle, no annpipe, inputs and outputs by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.tracking.client import MlflowClient

from annpipe.record.journal import location
from annpipe.record.journal.events import ModelSaved
from annpipe.record.shipper import follow
from annpipe.record.shipper.retry import TrainerPipe

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

NETWORK = """
import torch
from swish import Swish

def build():
    return torch.nn.Sequential(torch.nn.Linear(2, 3), Swish(), torch.nn.Dropout(0.9), torch.nn.Linear(3, {outputs}))
"""
SWISH = """
import torch

class Swish(torch.nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)
"""
EMBEDDING = """
import torch
from .parts import layers

def build():
    return torch.nn.Sequential(*layers())
"""
PARTS = """
import torch

def layers():
    return [torch.nn.Embedding(7, 4), torch.nn.Flatten(), torch.nn.Linear(12, 5)]
"""

# Predicts in a fresh process where annpipe cannot be imported, out of the working directory's reach.
PREDICT = """
import json, sys, warnings
warnings.simplefilter("ignore")
sys.modules["annpipe"] = None
import mlflow.pyfunc, numpy as np, pandas as pd
addresses, inputs, kind = json.loads(sys.argv[1])
data = pd.DataFrame(inputs) if kind == "frame" else np.array(inputs)
for address in addresses:
    answer = mlflow.pyfunc.load_model(address).predict(data)
    print(json.dumps(answer.to_dict("list") if hasattr(answer, "to_dict") else answer.tolist()))
assert not [name for name in sys.modules if name.startswith("annpipe.")]
"""


def write_model(folder: Path, sources: dict[str, str], network: Any, description: dict[str, Any]) -> None:
    """A model folder as the trainer writes it."""
    from safetensors.torch import save_file

    folder.mkdir()
    for name, text in sources.items():
        (folder / name).write_text(text)
    save_file(network.state_dict(), folder / "weights.safetensors")
    (folder / "model.json").write_text(json.dumps(description))


def column(name: str, type: str = "double", shape: tuple[int, ...] = ()) -> dict[str, Any]:
    """An input or output in model.json."""
    return {"name": name, "type": type, "shape": list(shape)}


def shipped_run(run: Any) -> str:
    """Ships a run with its model; gives the MLflow run id."""
    run.journal.write(ModelSaved(folder="model"))
    folder = run.end()
    with follow.logging_to(folder):
        state = follow.ship(folder, follow.store_of(folder), TrainerPipe(None), 1.0)
    assert (state.complete, state.problem) == (True, None)
    assert state.run_id
    return state.run_id


def predictions(project: Path, addresses: list[str], inputs: Any, kind: str) -> list[Any]:
    """What the model at each address answers without annpipe."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["MLFLOW_TRACKING_URI"] = location.embedded_uri(project)
    command = [sys.executable, "-P", "-c", PREDICT, json.dumps([addresses, inputs, kind])]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_a_model_answers_without_annpipe(project: Path, begin: Any) -> None:
    """Both of its addresses; several named outputs; dropout is off; equal to plain torch."""
    import torch

    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.SiLU(), torch.nn.Identity(), torch.nn.Linear(3, 2))
    run = begin()
    description = {
        "inputs": [column("a"), column("b")],
        "outputs": [column("y"), column("z")],
        "precision": "float32",
        "requirements": ["torch==2.13.0", "safetensors==0.5.0"],
        "inputs_example": {"a": [1, 2], "b": [0.5, 1.5]},
    }
    sources = {"network.py": NETWORK.format(outputs=2), "swish.py": SWISH}
    write_model(run.folder / "model", sources, plain, description)
    run_id = shipped_run(run)
    client: Any = MlflowClient(tracking_uri=location.embedded_uri(project))
    (output,) = client.get_run(run_id).outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert (model.name, model.source_run_id, str(model.status)) == ("quadratic", run_id, "READY")
    addresses = [f"runs:/{run_id}/quadratic", f"models:/{output.model_id}"]
    a, b = [0.5, -1.0, 3.0], [1.0, 2.0, -2.0]
    with torch.no_grad():
        expected = plain(torch.tensor([a, b]).T).double()
    # The columns are found by name, in whatever order they come.
    for answer in predictions(project, addresses, {"b": b, "a": a}, "frame"):
        assert list(answer) == ["y", "z"]
        np.testing.assert_allclose(np.array([answer["y"], answer["z"]]).T, expected, rtol=1e-6)
    files = {path.name: path for path in Path(project, "mlartifacts").rglob("*") if path.is_file()}
    assert {"weights.safetensors", "network.py", "swish.py", "pyfunc_model.py", "MLmodel"} <= set(files)
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".pt", ".pyc"))]
    listed = client.list_logged_model_artifacts(output.model_id, "artifacts/model")
    assert "artifacts/model/weights.safetensors" in {item.path for item in listed}


@pytest.mark.slow
def test_a_model_takes_and_gives_tensors(project: Path, begin: Any) -> None:
    """Whole numbers stay whole for an embedding; an output with a shape comes as an array."""
    import torch

    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Embedding(7, 4), torch.nn.Flatten(), torch.nn.Linear(12, 5))
    run = begin()
    description = {
        "inputs": [column("tokens", "long", (3,))],
        "outputs": [column("logits", "double", (5,))],
        "precision": "float32",
        "requirements": [],
        "inputs_example": {"tokens": [[0, 1, 2]]},
    }
    write_model(run.folder / "model", {"network.py": EMBEDDING, "parts.py": PARTS}, plain, description)
    run_id = shipped_run(run)
    tokens = [[1, 2, 3], [6, 5, 0]]
    with torch.no_grad():
        expected = plain(torch.tensor(tokens)).double()
    (answer,) = predictions(project, [f"runs:/{run_id}/quadratic"], tokens, "array")
    np.testing.assert_allclose(np.array(answer), expected, rtol=1e-6)


def test_a_model_that_cannot_be_saved_costs_only_itself(project: Path, begin: Any) -> None:
    """A broken model.json: the run is recorded but for it, which is named, and its record is not called complete."""
    run = begin()
    (run.folder / "model").mkdir()
    (run.folder / "model" / "model.json").write_text('{"inputs": []}')
    run.journal.write(ModelSaved(folder="model"))
    folder = run.end()
    with follow.logging_to(folder):
        state = follow.ship(folder, follow.store_of(folder), TrainerPipe(None), 1.0)
    assert not state.complete
    assert [refused.partition(":")[0] for refused in state.refused] == ["model"]
    assert (
        MlflowClient(tracking_uri=location.embedded_uri(project)).get_run(str(state.run_id)).info.status == "FINISHED"
    )


@pytest.mark.slow
def test_a_column_without_a_name_goes_in(project: Path, begin: Any) -> None:
    """MLflow's schema cannot say one; pandas calls it `Unnamed: 0` when it reads the file."""
    import torch

    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.SiLU(), torch.nn.Identity(), torch.nn.Linear(3, 1))
    run = begin()
    description = {
        "inputs": [column(""), column("b")],
        "outputs": [column("y")],
        "precision": "float32",
        "requirements": ["torch==2.13.0", "safetensors==0.5.0"],
        "inputs_example": {"": [1, 2], "b": [0.5, 1.5]},
    }
    write_model(run.folder / "model", {"network.py": NETWORK.format(outputs=1), "swish.py": SWISH}, plain, description)
    address = f"runs:/{shipped_run(run)}/quadratic"
    a, b = [0.5, -1.0, 3.0], [1.0, 2.0, -2.0]
    with torch.no_grad():
        expected = plain(torch.tensor([a, b]).T).double().flatten()
    for name in ("", "Unnamed: 0"):
        (answer,) = predictions(project, [address], {name: a, "b": b}, "frame")
        np.testing.assert_allclose(answer["y"], expected, rtol=1e-6)
