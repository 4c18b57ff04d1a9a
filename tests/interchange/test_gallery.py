"""Every spec of the gallery leaves as ONNX and as .pt2, and answers there as `annpipe predict` does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import annpipe
from annpipe.interchange.parity import TOLERANCE
from annpipe.runs.export import ONNX, TORCH, export_run
from tests.conftest import unrecorded

PIPELINES = Path(__file__).parents[2] / "pipelines"
SPECS = sorted(PIPELINES.glob("*.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_a_spec_of_the_gallery_answers_the_same_in_both_formats(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained for an epoch; `pytest -s` prints the table."""
    shutil.copytree(PIPELINES, tmp_path / "pipelines")
    monkeypatch.chdir(tmp_path)
    with unrecorded():
        run = annpipe.run(f"pipelines/{spec.name}", overrides=["train.epochs=1", "plots=[]", "tracking.wait_seconds=0"])
        for to in (ONNX, TORCH):
            exported = export_run(run.folder, to)
            parity = exported.parity
            print(f"{spec.stem:20} {to:6} {parity.rows:6} rows {parity.largest:9.2g} {parity.relative:9.2g}")
            assert parity.rows >= 4
            assert parity.relative <= TOLERANCE
            assert not exported.notes
