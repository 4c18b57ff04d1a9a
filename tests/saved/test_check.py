"""No run is FINISHED whose saved model was not loaded once and did not give the answers that the run has."""

from __future__ import annotations

from typing import Any

import pytest

from annpipe.record.journal.journal import read

SPEC = """
version: 1
name: checked
plugins: [./hidden.py]
device: {type: cpu, threads: 1}
data: {formula: {rows: 40, inputs: {a: {Uniform: [-1, 1]}}, targets: {y: 2*a}}}
model: [Linear: 4, LAYER, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 3}
"""
LAYERS = '''
import pathlib
import torch
from annpipe import layer

TABLE


@layer
class Running(torch.nn.Module):
    """Divides by a running mean that is a plain attribute: no state dict has it."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.ones(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.mean = 0.5 * self.mean + 0.5 * (1 + x.detach().abs().mean())
        return x / self.mean


@layer
class Kept(Running):
    """The same with a buffer."""

    def __init__(self) -> None:
        super().__init__()
        del self.mean
        self.register_buffer("mean", torch.ones(1))


@layer
class Noisy(torch.nn.Module):
    """Draws in evaluation mode too, so that no two answers are the same."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.randn_like(x)
'''


def ran(go: Any, layer: str, table: str = "") -> Any:
    return go(SPEC.replace("LAYER", layer), hidden=LAYERS.replace("TABLE", table))


def events(gone: Any) -> list[str]:
    return [event.kind for event in read(gone.folder)]


def test_a_model_that_answers_differently_fails_the_run(go: Any) -> None:
    """The run says where its state must be, and ships no model."""
    gone = ran(go, "Running")
    assert gone.outcome.status == "FAILED"
    assert "does not give the run's answers: they differ by" in str(gone.outcome.error)
    assert "register_buffer" in str(gone.outcome.error)
    assert "model" not in events(gone)


@pytest.mark.parametrize("layer", ["Kept", "Noisy"])
def test_a_model_that_answers_alike_or_at_random_finishes(go: Any, layer: str) -> None:
    """A network that draws anew for each answer has none to compare."""
    gone = ran(go, layer)
    assert (gone.outcome.status, gone.outcome.error) == ("FINISHED", None)
    assert "model" in events(gone)


def test_a_model_that_cannot_be_loaded_fails_the_run(go: Any) -> None:
    """The copy of a plugin file that reads a file beside itself finds none beside the model."""
    table = "SIZE = int(pathlib.Path(__file__).with_name('spec.yaml').read_text()[10:11])"
    gone = ran(go, "Kept", table)
    assert gone.outcome.status == "FAILED"
    assert "cannot be used: FileNotFoundError" in str(gone.outcome.error)
