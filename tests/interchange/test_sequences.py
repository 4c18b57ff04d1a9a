"""A network of sequences leaves for rows of any length, by the exporter of torch's that can, and says which it was."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import annpipe
from annpipe.portable.network import SavedNetwork
from annpipe.runs.export import Exported, export_run
from tests.conftest import unrecorded

WAVES = Path(__file__).parents[2] / "pipelines" / "waves.py"
SPEC = """
version: 1
name: waves
plugins: [./waves.py]
device: {{precision: {precision}}}
data: {{waves: {{rows: 60, steps: 20}}}}
model: [output_of: {{layer: {{{layer}: 6}}, part: last_step}}, Linear: 1]
loss: MSELoss
optimizer: {{Adam: {{lr: 5.0e-3}}}}
train: {{epochs: 1}}
plots: []
tracking: {{wait_seconds: 0}}
"""
LONGER = np.random.default_rng(4).normal(size=(5, 35, 1))


def trained(layer: str, precision: str) -> Path:
    """The folder of a run on waves of twenty steps."""
    shutil.copy(WAVES, "waves.py")
    Path("spec.yaml").write_text(SPEC.format(layer=layer, precision=precision), encoding="utf-8")
    return annpipe.run("spec.yaml").folder


def own_answers(run: Path) -> Any:
    """Of the saved network, for rows of 35 steps."""
    network = SavedNetwork(run / "model")
    return network.outputs(torch.as_tensor(LONGER).to(network.dtype)).numpy()[:, 0]


def onnx_answers(exported: Exported) -> Any:
    session = onnxruntime.InferenceSession(exported.path)
    assert session.get_inputs()[0].shape == ["rows", "length_1", 1]
    return session.run(["next"], {"wave": LONGER})[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "precision", "note"),
    [
        ("LSTM", "float32", None),
        ("GRU", "float64", "in single precision, since in double"),
        ("RNN", "float32", "exporter of TorchScript, since that of torch.export fails here: for rows of length 35"),
    ],
)
def test_exported_at_twenty_steps_it_runs_at_thirty_five(
    layer: str, precision: str, note: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch's newer exporter writes an RNN that is wrong there, and onnxruntime has no such layers of doubles."""
    monkeypatch.chdir(tmp_path)
    with unrecorded():
        run = trained(layer, precision)
        exported = export_run(run, "onnx", Path("waves.onnx"))
    assert exported.parity.holds
    np.testing.assert_allclose(onnx_answers(exported), own_answers(run), rtol=1e-5, atol=1e-6)
    assert bool(exported.notes) == bool(note)
    assert not note or note in exported.notes[0]


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["LSTM", "RNN"])
def test_torch_export_keeps_what_it_can(layer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An LSTM of any length; an RNN of one, which is said."""
    monkeypatch.chdir(tmp_path)
    with unrecorded():
        run = trained(layer, "float64")
        exported = export_run(run, "torch", Path("waves.pt2"))
    assert exported.parity.holds
    program: Any = torch.export.load(io.BytesIO(exported.path.read_bytes())).module()
    if layer == "RNN":
        assert "since with any length" in exported.notes[0]
        assert exported.description["inputs"][0]["shape"] == [20, 1]
        return
    got = program({"wave": torch.as_tensor(LONGER)})["next"].detach().numpy()
    np.testing.assert_allclose(got, own_answers(run), rtol=1e-12)
    assert not exported.notes
