"""On an accelerator: the same run, by itself or graphed. `python -m pytest -m gpu` runs these where there is one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from annpipe.backend.device import computing
from annpipe.plan.plan import Plan
from annpipe.train.gears.compiled.cuda_graph import cuda_graph
from annpipe.train.gears.compiled.gearbox import Shift
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.shifting import Shifting, gear_for
from annpipe.train.gears.stack import Member, StackedRuns
from annpipe.train.parts import Parts, build
from annpipe.train.schedule import Schedule, schedule
from tests.training import Planned

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
Cli = Callable[..., subprocess.CompletedProcess[str]]
QUADRATIC = Path(__file__).parents[3] / "pipelines" / "quadratic.yaml"
DEVICE = "cuda"

SPEC = """
version: 1
name: gpu
seed: 1
data:
  formula:
    rows: 512
    inputs: {x: {Uniform: [-1, 1]}}
    targets: {y: sin(3*x)}
  split: {val: 0.25}
model: [Linear: 32, Tanh, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 40, batch_size: 64}
metrics: [R2Score]
plots: [predictions]
"""


def test_a_run_on_cuda_ends_near_the_same_run_on_the_cpu(annpipe: Cli, tmp_path: Path) -> None:
    """The streams are drawn on the CPU, so both see the same data, weights and order of rows."""
    (tmp_path / "gpu.yaml").write_text(SPEC)
    values = {}
    for device in ("cpu", "cuda"):
        done = annpipe("run", "gpu.yaml", "--device", device, "--json")
        assert done.returncode == 0, done.stderr
        values[device] = json.loads(done.stdout)["values"]
    assert values["cuda"]["val/loss"] == pytest.approx(values["cpu"]["val/loss"], rel=1e-2)


def built(plan: Plan) -> tuple[Plan, Parts, Schedule]:
    parts = build(plan, torch.device(DEVICE), torch.get_default_dtype())
    return plan, parts, schedule(plan, len(parts.rows["train"]))


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """How fast things are decides nothing, and what is learnt of it is no other test's."""
    monkeypatch.setattr("annpipe.train.gears.compiled.verify.NEEDED_GAIN", 0.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("batch", ["64", "all"])
@pytest.mark.usefixtures("always")
def test_the_seed_network_graphed_is_the_eager_one(batch: str, precision: str, planned: Planned) -> None:
    """Captured by CUDA itself: losses and parameters after some hundred steps, with a rate that moves at each."""
    own = [f"device={{type: {DEVICE}, compile: on, precision: {precision}}}", f"train.batch_size={batch}"]
    moving = ["scheduler={ExponentialLR: {gamma: 0.999}}", "train.scheduler_each=step"]
    plan, told = planned(QUADRATIC.read_text(), *own, *moving), list[Shift]()
    with computing(precision, deterministic=False):
        gear, other = gear_for(*built(plan), told.append), Eager(*built(plan))
        assert isinstance(gear, Shifting)
        losses = torch.cat([gear.advance(gear.pause_after(n)) for n in (1, 70, 130, 3)])
        assert [one.tags.get("annpipe.gear") for one in told] == ["graphed"], told
        close = {"float32": 1e-2, "float64": 1e-8}[precision]
        assert torch.allclose(losses, other.advance(len(losses)), rtol=close, atol=0)
        pairs = zip(gear.solo.parts.parameters, other.parts.parameters, strict=True)
        assert all(torch.allclose(*pair, rtol=close, atol=close) for pair in pairs)


@pytest.mark.usefixtures("always")
def test_a_stack_of_seeds_is_graphed(planned: Planned) -> None:
    """Each member has the losses of its own eager run."""
    own = [f"device={{type: {DEVICE}, compile: on, precision: float64}}", "train.epochs=300"]
    plans, told = [planned(QUADRATIC.read_text(), *own, f"seed={seed}") for seed in range(3)], list[Shift]()
    with computing("float64", deterministic=False):
        runs = [built(plan) for plan in plans]
        stack = StackedRuns(plans, [parts for _, parts, _ in runs], [steps for *_, steps in runs], told.append)

        def work(member: Member) -> torch.Tensor:
            return torch.cat([member.advance(1), member.advance(200)])

        for plan, losses in zip(plans, stack.together(work), strict=True):
            assert isinstance(losses, torch.Tensor), losses
            assert torch.allclose(losses, Eager(*built(plan)).advance(201), rtol=1e-8, atol=0)
    assert [one.tags.get("annpipe.gear") for one in told] == ["stacked, graphed"], told


def test_what_cannot_be_captured_leaves_the_device_as_it_was() -> None:
    """It raises; the stream is the one before, waiting is allowed again, and another function is captured."""
    x, before = torch.ones(3, device=DEVICE), torch.cuda.current_stream()
    with pytest.raises(RuntimeError, match="synchroniz"):
        cuda_graph(lambda: x * x.sum().item())
    assert torch.cuda.current_stream() == before
    assert x.sum().item() == 3.0
    replay = cuda_graph(lambda: x * 2)
    x.fill_(5.0)
    assert replay().tolist() == [10.0] * 3


def test_a_run_on_cuda_records_that_it_was_graphed(annpipe: Cli, tmp_path: Path) -> None:
    """Where that is not faster, it says so."""
    (tmp_path / "gpu.yaml").write_text(SPEC)
    done = annpipe("run", "gpu.yaml", "--device", DEVICE, "--set", "device.compile=on", "--json")
    assert done.returncode == 0, done.stderr
    assert ("captured the steps as a CUDA graph in " in done.stderr) != ("it is not faster: " in done.stderr)
