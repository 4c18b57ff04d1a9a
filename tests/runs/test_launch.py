"""The Python door: a component added to a registry by hand, in a spec run from Python."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import annpipe
from annpipe.errors import SpecError

SPEC = """
version: 1
name: python_door
device: {threads: 1}
tracking: {wait_seconds: 120}
data: {table: {inputs: {x: [0, 1, 2, 3]}, targets: {y: [0, 2, 4, 6]}}}
model: [Doubled, Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.01}}
train: {epochs: 5}
"""


@annpipe.layer
class Doubled(torch.nn.Module):
    """2x."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


@pytest.mark.slow
def test_a_layer_added_in_python_stands_in_a_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only in the registry it was added to; the run is recorded like any other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    Path("spec.yaml").write_text(SPEC)
    threads = torch.get_num_threads()
    registry = annpipe.Registry.installed()
    registry.add(Doubled)
    try:
        finished = annpipe.run("spec.yaml", registry=registry, overrides=["train.epochs=7"], name="seven")
    finally:
        torch.set_num_threads(threads)
    assert finished.status == "FINISHED"
    assert finished.record.complete
    assert finished.plan.train.epochs == 7
    assert finished.folder.name.startswith("seven-")
    with pytest.raises(SpecError, match="there is no layer 'Doubled'"):
        annpipe.run("spec.yaml")
