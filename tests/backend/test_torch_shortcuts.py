"""What torch's compiler is needed for is done without it, and with the same results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from annpipe.backend.torch_shortcuts import SHAPE_KEEPING, LeanShapes, lean_step, step_first
from tests.sampling import sample

SPEC = """
version: 1
name: lean
data:
  formula: {rows: 40, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: x**2}}
  split: {val: 0.25}
model: [Linear: 8, Tanh, Dropout, Linear: 4, ReLU, Linear: 1]
loss: L1Loss
optimizer: {OPTIMIZER: {lr: 0.001}}
scheduler: {StepLR: {step_size: 2}}
train: {epochs: 4, batch_size: 8}
metrics: [R2Score]
tracking: {wait_seconds: 0}
"""
RUN = """
import sys
from annpipe.runs.launch import complete, launch
from annpipe.runs.spec_source import SpecSource
from annpipe.observer import SILENT
launch(SpecSource(__import__("pathlib").Path("spec.yaml")).draft(), SILENT)
print(sorted({"torch._dynamo", "torch._inductor", "sympy", "mlflow"} & set(sys.modules)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", sample(["Adam", "SGD"], 2))
def test_a_run_loads_no_compiler(optimizer: str, tmp_path: Path) -> None:
    """Two seconds of each command: from the spec to the saved model nothing imports torch's compiler."""
    (tmp_path / "spec.yaml").write_text(SPEC.replace("OPTIMIZER", optimizer), encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", RUN], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"


PATCH = """
import torch
from annpipe.backend.torch_shortcuts import KEPT, OPTIMIZER_METHODS, lean_optimizers

def patched():
    return [name for name in OPTIMIZER_METHODS if hasattr(getattr(torch.optim.Optimizer, name).__wrapped__, KEPT)]

assert patched() == []
with lean_optimizers():
    with lean_optimizers():
        torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1).state_dict()
    assert patched() == list(OPTIMIZER_METHODS)
assert patched() == []
import sys
assert "torch._dynamo" not in sys.modules
torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1)
assert "torch._dynamo" in sys.modules  # torch's own way; where this fails, the shortcut is needed no more
"""


@pytest.mark.slow
def test_optimizers_are_torchs_own_afterwards() -> None:
    """What keeps their methods from loading the compiler is undone where it was made, by the outermost of several."""
    done = subprocess.run([sys.executable, "-c", PATCH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("function", sorted(SHAPE_KEEPING, key=lambda one: one.__name__))
def test_shapes_are_those_of_torch(function: object) -> None:
    """Held against torch's own results on the CPU."""
    options = {"dim": -1} if "softmax" in function.__name__ else {}  # type: ignore[attr-defined]
    for dtype in (torch.float32, torch.float64):
        x = torch.ones(3, 4, 5, dtype=dtype)
        with torch.no_grad():
            real = function(x, **options)  # type: ignore[operator]
            with LeanShapes():
                lean = function(x.to("meta"), **options)  # type: ignore[operator]
        assert lean.is_meta
        assert (lean.shape, lean.dtype) == (real.shape, real.dtype)


def test_a_linear_map_that_does_not_fit_is_refused() -> None:
    """By torch, in its words."""
    layer = torch.nn.Linear(4, 2, device="meta")
    with torch.no_grad(), LeanShapes():
        assert layer(torch.empty(7, 3, 4, device="meta")).shape == (7, 3, 2)
        with pytest.raises(RuntimeError):
            layer(torch.empty(7, 3, device="meta"))


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "RMSprop", "Adagrad", "NAdam", "Rprop", "Adamax"])
def test_lean_steps_are_those_of_torch(name: str) -> None:
    """Bit for bit, with a scheduler that sees them; a hook is heard."""
    kind = getattr(torch.optim, name)
    found = []
    for is_lean in (True, False):
        parameter = torch.nn.Parameter(torch.linspace(-1, 1, 6))
        optimizer = kind([parameter], lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
        for number in range(5):
            parameter.grad = torch.linspace(0, 1, 6) * number
            if not is_lean:
                optimizer.step()
            elif number == 0:
                step_first(optimizer)
            else:
                lean_step(optimizer)()
            scheduler.step()  # warns, which is an error here, where it saw no step before its own
        found.append(parameter.detach())
    assert torch.equal(*found)
    heard: list[object] = []
    optimizer.register_step_post_hook(lambda *_: heard.append(1))
    lean_step(optimizer)()
    assert heard == [1]
