"""A finished run that is opened again has its data and its trained weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import annpipe
from annpipe.errors import NotFound, NotTrusted, RunError
from annpipe.files.whole import Damaged
from annpipe.record.journal.journal import points, read
from annpipe.runs.trained import trained_run
from annpipe.train.loop.evaluate import evaluate
from tests.training import KeepingObserver

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
tracking: {wait_seconds: 0}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a finished run."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = "\n".join(f"{a},{a * a + 1}" for a in range(40))
        Path("rows.csv").write_text(f"a,y\n{rows}\n")
        Path("spec.yaml").write_text(SPEC)
        annpipe.run("spec.yaml")
    return folder


@pytest.fixture
def run(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run, in a project that was moved."""
    shutil.copytree(project, tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    return next(Path("runs").iterdir()).absolute()


def test_a_run_is_opened_with_its_weights(run: Path) -> None:
    recorded = {key: value for event in read(run) for key, _, value, _ in points(event)}
    with trained_run(run) as trained:
        measured = evaluate(trained.plan, trained.parts, trained.parts.rows["val"])
    assert measured["loss"] == recorded["final/val/loss"]
    assert torch.get_default_dtype() == torch.float32


def test_other_data_are_refused(run: Path, project: Path) -> None:
    """The plan names the file by its whole path."""
    file = project / "rows.csv"
    text = file.read_text()
    file.write_text(text + "40,3\n")
    try:
        with pytest.raises(RunError, match="data changed"), trained_run(run):
            pass
    finally:
        file.write_text(text)


def test_damaged_lines_of_the_journal_are_told(run: Path) -> None:
    lines = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if b"train/loss" in line)
    lines[at] = lines[at].replace(b"train/loss", b"train/lost")
    (run / "journal.jsonl").write_bytes(b"".join(lines))
    heard = KeepingObserver()
    with trained_run(run, heard, trust=True):
        pass
    assert any("line" in event and "damaged" in event for event in heard.events), heard.events


def test_a_run_of_others_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    with pytest.raises(NotTrusted), trained_run(run):
        pass


def test_a_run_without_a_model_says_so(run: Path) -> None:
    (run / "model" / "weights.safetensors").unlink()
    with pytest.raises(NotFound, match="has no model"), trained_run(run):
        pass


def test_a_bit_that_has_changed_is_told(run: Path) -> None:
    file = run / "model" / "weights.safetensors"
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    with pytest.raises(Damaged, match=r"weights\.safetensors"), trained_run(run, trust=True):
        pass


def test_weights_that_were_cut_are_told(run: Path) -> None:
    file = run / "model" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises((Damaged, NotTrusted)), trained_run(run, trust=True):
        pass
