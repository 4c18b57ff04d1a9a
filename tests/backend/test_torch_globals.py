"""No setting of the process changes what a spec means, and the caller's settings are left as they were."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import annpipe
from annpipe.backend import torch_globals
from annpipe.backend.torch_globals import SETTINGS, torch_defaults
from annpipe.portable.network import SavedNetwork
from annpipe.record.journal import journal
from annpipe.saved.model import SavedModel
from tests.conftest import CliHere, unrecorded

# A plugin of somebody who draws from the generators of the process: its layer, its data and its callback.
PLUGIN = """
import random
from typing import Any

import numpy as np
import torch
from annpipe import Dataset, callback, data

@data
def noisy(rows: int = 24) -> Dataset:
    x = torch.stack([torch.rand(rows), torch.from_numpy(np.random.rand(rows)), torch.full((rows,), random.random())], 1)
    return Dataset({"x": x}, {"y": (3 * x.sum(1)).long() % 3})

@callback
class jitter:
    def on_look(self, look: Any) -> None:
        if look.epoch == 2:
            look.artifact("drawn.txt", f"{torch.rand(1).item()} {np.random.rand()} {random.random()}")
"""
SPEC = """
version: 1
name: settings
plugins: [./own.py]
data: {noisy: {rows: 24}, split: {val: 0.25}}
model: [Unflatten: {dim: 1, unflattened_size: [1, 3]}, Conv1d: {out_channels: 2, kernel_size: 2}, BatchNorm1d, Tanh,
  Flatten, Dropout: 0.1, Linear: 3]
loss: CrossEntropyLoss
optimizer: {Adam: {lr: 0.01}}
scheduler: {StepLR: {step_size: 2}}
train: {epochs: 3, batch_size: 7}
metrics: [Accuracy]
callbacks: [jitter]
device: {type: cpu, threads: 1, compile: "off"}
"""
Read = dict[str, Any]


@contextmanager
def as_attribute(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def called(put: Callable[[Any], Any], value: Any, before: Any) -> Iterator[None]:
    put(value)
    try:
        yield
    finally:
        put(before)


@contextmanager
def drawn() -> Iterator[None]:
    """The generators of the process stand elsewhere."""
    torch.manual_seed(77)
    random.seed(78)
    np.random.seed(79)
    yield


@contextmanager
def strict_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


backends = torch.backends
CALLERS: dict[str, Callable[[], Any]] = {
    "default dtype": lambda: called(torch.set_default_dtype, torch.float64, torch.float32),
    "half precision": lambda: called(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "default device": lambda: called(torch.set_default_device, "meta", None),
    "with a device": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic": lambda: called(torch.use_deterministic_algorithms, True, False),
    "generators": drawn,
    "threads": lambda: called(torch.set_num_threads, 3, torch.get_num_threads()),
    "flush denormal": lambda: called(torch.set_flush_denormal, True, False),
    "matmul precision": lambda: called(torch.set_float32_matmul_precision, "medium", "highest"),
    "benchmark": lambda: as_attribute(backends.cudnn, "benchmark", True),
    "without oneDNN": lambda: as_attribute(backends.mkldnn, "enabled", False),
    "anomaly mode": lambda: torch.autograd.set_detect_anomaly(True),
    "warnings": strict_warnings,
    "print options": lambda: called(lambda one: torch.set_printoptions(profile=one), "full", "default"),
    "numpy's errors": lambda: np.errstate(all="raise"),
    "numpy's print options": lambda: np.printoptions(precision=2, threshold=3),
    "fast path": lambda: called(backends.mha.set_fastpath_enabled, False, True),
}


def settings() -> Read:
    """Everything that a caller could find changed."""
    return {
        **{one.name: copy.deepcopy(one.get()) for one in SETTINGS},
        "device": torch.get_default_device(),
        "inference": torch.is_inference_mode_enabled(),
        "threads": torch.get_num_threads(),
        "torch's generator": torch.random.default_generator.get_state().cpu().numpy().tobytes()
        if torch.get_default_device().type == "cpu"
        else None,
        "python's generator": random.getstate(),
        "numpy's generator": str(np.random.get_state()),
        "filters": list(warnings.filters),
        "numpy": (np.geterr(), np.get_printoptions()),
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(PLUGIN, encoding="utf-8")
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    with unrecorded():
        yield tmp_path


def trained() -> tuple[str, list[Any], str]:
    """A run of the spec: the digest of its plan, its points but for their times, and what its callback drew."""
    ended = annpipe.run("spec.yaml")
    assert ended.status == "FINISHED", ended.outcome.error
    points = [point[:3] for event in journal.read(ended.folder) for point in journal.points(event)]
    return ended.plan.digest, points, (ended.folder / "artifacts" / "looks" / "drawn.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Any], str]:
    """What the spec gives where nobody changed anything."""
    folder = tmp_path_factory.mktemp("usual")
    (folder / "own.py").write_text(PLUGIN, encoding="utf-8")
    (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
    with unrecorded(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return trained()


@pytest.mark.parametrize("name", CALLERS)
def test_no_setting_of_the_caller_changes_a_run(
    name: str, project: Path, usual: tuple[str, list[Any], str], real_warnings: None
) -> None:
    """The same digest, every loss bit for bit, the same draws of a plugin; the setting is as the caller left it."""
    with CALLERS[name]():
        before = settings()
        result = trained()
        after = settings()
    assert result == usual
    assert {key: value for key, value in after.items() if value != before[key]} == {}


@torch_defaults()
def failing() -> None:
    """Changes settings, as a run does, and ends with an error."""
    torch.set_num_threads(2)
    torch.set_default_dtype(torch.float64)
    raise ZeroDivisionError


@pytest.mark.parametrize("name", CALLERS)
def test_settings_come_back_after_an_error(name: str, real_warnings: None) -> None:
    with CALLERS[name]():
        before = settings()
        with pytest.raises(ZeroDivisionError):
            failing()
        after = settings()
    assert {key: value for key, value in after.items() if value != before[key]} == {}


def test_inside_every_setting_is_its_default() -> None:
    """The defaults that are written down are those that torch begins with."""
    with torch_defaults():
        assert {one.name: one.get() for one in SETTINGS} == {one.name: one.default for one in SETTINGS}
    with torch.no_grad(), torch.autocast("cpu"), torch.device("meta"), torch_defaults():
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
        assert torch.empty(1).device.type == "cpu"
    with torch.inference_mode(), torch_defaults():
        assert not torch.empty(1).is_inference()


@pytest.mark.slow
def test_a_sweep_and_an_evaluation_are_the_same_too(
    project: Path, usual: tuple[str, list[Any], str], real_warnings: None
) -> None:
    """Trials, alone and stacked, and predictions in a process whose defaults are all others."""
    from annpipe.saved.predict import predict

    def swept() -> list[Any]:
        for folder in Path("runs").glob("*"):
            folder.rename(project / f"kept-{folder.name}-{len(list(project.glob('kept-*')))}")
        ended = annpipe.run_sweep("spec.yaml", over={"optimizer.Adam.lr": [0.01, 0.02]}, unset=["callbacks"])
        return [dict(one.finals) for one in ended.swept.results]

    def answered() -> str:
        run = annpipe.run("spec.yaml", unset=["callbacks", "metrics"]).folder
        np.savetxt("rows.csv", np.arange(9.0).reshape(3, 3) / 7, delimiter=",", header="x_0,x_1,x_2", comments="")
        np.savez("rows.npz", x=np.arange(9.0, dtype=np.float32).reshape(3, 3) / 7)
        predict(run, "rows.npz", Path("answers.csv"))
        return Path("answers.csv").read_text(encoding="utf-8")

    expected = swept(), answered()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(5)
        try:
            assert (swept(), answered()) == expected
        finally:
            torch.set_default_dtype(torch.float32)


def test_a_saved_network_is_built_in_its_own_precision(project: Path) -> None:
    """As MLflow's model loads it, in the process of whoever asks it."""
    run = annpipe.run("spec.yaml", unset=["callbacks", "metrics"]).folder
    x = [np.arange(9, dtype=np.float32).reshape(3, 3) / 7]
    expected = SavedModel(run).outputs(x)
    with called(torch.set_default_dtype, torch.float64, torch.float32), torch.device("meta"):
        network = SavedNetwork(run / "model")
    assert torch.equal(network.outputs(network.features(x)), expected)


@pytest.fixture
def real_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite takes warnings inside runs for errors; here runs do with them as they do elsewhere."""
    monkeypatch.setattr(torch_globals, "_warnings_shown", REAL_WARNINGS)


REAL_WARNINGS = torch_globals._warnings_shown


def test_distributions_are_checked_whatever_the_caller_says(
    project: Path, monkeypatch: pytest.MonkeyPatch, annpipe_here: CliHere
) -> None:
    """Torch's compiler turns the checks off for its process: a second run in it would take any numbers."""
    monkeypatch.setattr(torch.distributions.Distribution, "_validate_args", False)
    (project / "wrong.yaml").write_text(
        "version: 1\nname: wrong\nmodel: [Linear: 1]\nloss: MSELoss\noptimizer: SGD\ntrain: {epochs: 1}\n"
        "data: {formula: {rows: 4, inputs: {x: {Uniform: [1, 0]}}, targets: {y: x}}}\n"
    )
    code, _, err = annpipe_here("validate", str(project / "wrong.yaml"))
    assert (code, "Uniform refuses its options" in err) == (3, True)
    assert torch.distributions.Distribution._validate_args is False
