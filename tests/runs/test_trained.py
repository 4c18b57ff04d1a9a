"""A finished run that is opened again has its data and its trained weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from annpipe.errors import NotFound, NotTrusted, RunError
from annpipe.files.whole import Damaged
from annpipe.record.journal.journal import points, read
from annpipe.runs.trained import trained_run
from annpipe.train.loop.evaluate import evaluate

SPEC = """
version: 1
name: parabola
seed: 3
data: {csv: {files: rows.csv, target: y}, transforms: {number: standardize}, split: {val: 0.25}}
model: [{Linear: 4}, Tanh, {Linear: 1}]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 3, batch_size: 8}
plots: []
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, annpipe_here) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = "\n".join(f"{a},{a * a + 1}" for a in range(40))
    Path("rows.csv").write_text(f"a,y\n{rows}\n")
    Path("spec.yaml").write_text(SPEC)
    assert annpipe_here("run", "spec.yaml")[0] == 0
    return next(Path("runs").iterdir())


def test_a_run_is_opened_with_its_weights(run: Path) -> None:
    recorded = {key: value for event in read(run) for key, _, value, _ in points(event)}
    with trained_run(run) as trained:
        measured = evaluate(trained.plan, trained.parts, trained.parts.rows["val"])
    assert measured["loss"] == recorded["final/val/loss"]
    assert torch.get_default_dtype() == torch.float32


def test_other_data_are_refused(run: Path) -> None:
    Path("rows.csv").write_text(Path("rows.csv").read_text() + "40,3\n")
    with pytest.raises(RunError, match="data changed"), trained_run(run):
        pass


def test_a_run_of_others_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    with pytest.raises(NotTrusted), trained_run(run):
        pass


def test_a_run_without_a_model_says_so(run: Path) -> None:
    (run / "model" / "weights.safetensors").unlink()
    with pytest.raises(NotFound, match="has no model"), trained_run(run):
        pass


def test_weights_that_were_cut_are_told(run: Path) -> None:
    file = run / "model" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises((Damaged, NotTrusted)), trained_run(run, trust=True):
        pass
