"""The first losses of every spec of the gallery are those of the version that `losses.json` was recorded with."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT
from tests.training import Fit

PIPELINES = ROOT / "pipelines"
RECORDED = json.loads(Path(__file__).with_name("losses.json").read_text(encoding="utf-8"))
EPOCHS = 3
FAR = 1e-3  # of what other processors make of the same steps


def of_this_machine() -> dict[str, str]:
    """What bits depend on beside the code: kernels are chosen by the processor, sums are ordered by the kernels."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "machine": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "processor": names[0] if names else platform.processor(),
        "torch": torch.__version__,
    }


def overrides(name: str) -> list[str]:
    """One thread, no compiler, a few epochs without figures."""
    precision = ", precision: float64" if name == "diabetes" else ""
    return [f"device={{type: cpu, threads: 1, compile: off{precision}}}", f"train.epochs={EPOCHS}", "plots=[]"]


def losses(name: str, folder: Path, fit: Fit) -> dict[str, list[float]]:
    """The losses of each epoch, of the train split and of the others that are evaluated."""
    shutil.copytree(PIPELINES, folder, dirs_exist_ok=True)
    ran = fit((PIPELINES / f"{name}.yaml").read_text(encoding="utf-8"), *overrides(name))
    return {key: list(points.values()) for key, points in ran.told.series.items() if key in ("train/loss", "val/loss")}


def test_every_spec_has_its_losses() -> None:
    """A spec that is added is recorded, too."""
    assert list(RECORDED["losses"]) == sorted(path.stem for path in PIPELINES.glob("*.yaml"))


@pytest.mark.skipif(
    torch.__version__ != RECORDED["recorded_on"]["torch"],
    reason=f"the losses were recorded with torch {RECORDED['recorded_on']['torch']}",
)
@pytest.mark.parametrize("name", RECORDED["losses"])
def test_losses_are_those_recorded(name: str, tmp_path: Path, fit: Fit) -> None:
    """Bit for bit on the processor of the recording; nearly on others, whose kernels add up in another order."""
    recorded = {key: list(map(float.fromhex, values)) for key, values in RECORDED["losses"][name].items()}
    found = losses(name, tmp_path, fit)
    assert all(len(values) == EPOCHS for values in found.values())
    if of_this_machine() == RECORDED["recorded_on"]:
        assert {key: [value.hex() for value in values] for key, values in found.items()} == RECORDED["losses"][name]
    else:
        assert found == {key: pytest.approx(values, rel=FAR) for key, values in recorded.items()}
