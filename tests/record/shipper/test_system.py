"""System metrics: sampled beside a run, kept in its folder, shipped once, and never in the run's way."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.tracking.client import MlflowClient

from annpipe.record.journal import location
from annpipe.record.journal.events import MetricPoints, to_data
from annpipe.record.journal.lines import dump
from annpipe.record.shipper import follow, system
from annpipe.record.shipper.recorder import Recorder
from annpipe.record.shipper.retry import TrainerPipe
from annpipe.record.shipper.system import Machine, SystemSampler

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

KEYS = {
    "system/cpu_utilization_percentage",
    "system/system_memory_usage_megabytes",
    "system/system_memory_usage_percentage",
    "system/process_cpu_percentage",
    "system/process_memory_megabytes",
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples every hundredth of a second."""
    monkeypatch.setattr(system, "SECONDS_BEFORE_FIRST", 0.01)
    monkeypatch.setattr(system, "SECONDS_BETWEEN", 0.01)


def sampled(folder: Path, *, wanted: bool, seconds: float = 0.3) -> list[dict[str, float]]:
    """What a sampler writes of this process in so many seconds."""
    sampler = SystemSampler(folder, os.getpid(), wanted=wanted)
    sampler.start()
    time.sleep(seconds)
    sampler.stop()
    return samples_of(folder)


def samples_of(folder: Path) -> list[dict[str, float]]:
    """The values of each sample of a run."""
    if not (folder / system.FILE).exists():
        return []
    with open(folder / system.FILE, "rb") as file:
        return [dict(event.values) for event, _ in system.journal.lines(file) if isinstance(event, MetricPoints)]


def write_samples(folder: Path, *values: float) -> None:
    """Adds samples as a shipper does."""
    with open(folder / system.FILE, "ab") as file:
        for number, value in enumerate(values):
            values_of = {"system/cpu_utilization_percentage": value, "elsewhere": value}
            file.write(dump(to_data(MetricPoints(step=5 * number, values=values_of, time=1_700_000_000_000 + number))))


def ship(folder: Path, project: Path) -> tuple[Any, Any, list[float]]:
    """The state after a shipment, the run in MLflow, and the values of its processor series."""
    uri = location.embedded_uri(project)
    with follow.logging_to(folder):
        state = follow.ship(folder, uri, TrainerPipe(None), 5.0)
    client = MlflowClient(tracking_uri=uri)
    points = client.get_metric_history(str(state.run_id), "system/cpu_utilization_percentage")
    return state, client.get_run(str(state.run_id)), [point.value for point in sorted(points, key=lambda p: p.step)]


@pytest.mark.usefixtures("quick")
def test_the_figures_are_those_of_the_machine_and_of_the_trainer(begin: Any) -> None:
    run = begin()
    found = sampled(run.folder, wanted=True)
    assert found
    assert all(set(one) == KEYS for one in found)
    for one in found:
        assert 0 <= one["system/cpu_utilization_percentage"] <= 100
        assert 0 < one["system/system_memory_usage_percentage"] <= 100
        assert 10 < one["system/process_memory_megabytes"] < one["system/system_memory_usage_megabytes"] * 2
        assert 0 <= one["system/process_cpu_percentage"] <= 150 * (os.cpu_count() or 1)
    assert stat.S_IMODE((run.folder / system.FILE).stat().st_mode) == 0o600


def test_the_processor_time_is_that_of_the_trainer(begin: Any) -> None:
    """Held against the time that this process knows of itself."""
    machine = Machine(os.getpid())
    before, began = time.process_time(), time.monotonic()
    while time.process_time() - before < 0.5:
        sum(range(1000))
    used, passed = time.process_time() - before, time.monotonic() - began
    assert machine.sample()["system/process_cpu_percentage"] == pytest.approx(100 * used / passed, rel=0.25)


def test_a_trainer_that_is_gone_has_no_figures() -> None:
    assert {key for key in Machine(2**22 + 1).sample() if "process" in key} == set()


@pytest.mark.usefixtures("quick")
def test_a_short_run_gets_none_unless_it_asks(begin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is no longer short, those of its beginning are written too."""
    run = begin()
    assert sampled(run.folder, wanted=False) == []
    monkeypatch.setattr(system, "SECONDS_OF_SHORT_RUN", 0.15)
    assert len(sampled(run.folder, wanted=False)) > 2


@pytest.mark.usefixtures("quick")
def test_a_torn_line_is_left_out_and_nothing_else(begin: Any) -> None:
    run = begin()
    write_samples(run.folder, 1.0)
    with open(run.folder / system.FILE, "ab") as file:
        file.write(b'{"event":"metrics","st')
    found = sampled(run.folder, wanted=True)
    assert found[0]["elsewhere"] == 1.0
    assert set(found[1]) == KEYS


@pytest.mark.usefixtures("quick")
def test_a_sampler_that_fails_is_silent(begin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a link in the place of its file nor a machine that does not tell does more than cost the figures."""
    run = begin()
    elsewhere = run.folder.parent / "elsewhere"
    elsewhere.write_text("mine")
    (run.folder / system.FILE).symlink_to(elsewhere)
    sampler = SystemSampler(run.folder, os.getpid(), wanted=True)
    sampler.start()
    time.sleep(0.1)
    sampler.stop()
    assert elsewhere.read_text() == "mine"


def test_they_are_shipped_once_and_again_where_the_store_lost_them(begin: Any, project: Path) -> None:
    run = begin()
    write_samples(run.folder, 10.0, 20.0, 30.0)
    folder = run.end()
    state, found, values = ship(folder, project)
    assert state.complete, state.problem
    assert values == [10.0, 20.0, 30.0]
    assert "elsewhere" not in found.data.metrics
    assert state.sampled == (folder / system.FILE).stat().st_size
    assert ship(folder, project)[2] == values
    with sqlite3.connect(project / "mlflow.db") as database:
        database.execute("DELETE FROM metrics WHERE key LIKE 'system/%' AND value = 20")
    state, _, values = ship(folder, project)
    assert (state.complete, values) == (True, [10.0, 20.0, 30.0])


def test_every_gpu_has_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """By NVIDIA's own library; what a card does not tell is left out."""

    class NVMLError(Exception):
        pass

    def power(card: int) -> int:
        if card:
            raise NVMLError
        return 71_500

    library = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetMemoryInfo=lambda card: SimpleNamespace(used=2_000_000_000, total=8_000_000_000),
        nvmlDeviceGetUtilizationRates=lambda card: SimpleNamespace(gpu=40 + card),
        nvmlDeviceGetPowerUsage=power,
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    found = {key: value for key, value in Machine(os.getpid()).sample().items() if "gpu" in key}
    assert found == {
        "system/gpu_0_memory_usage_megabytes": 2000.0,
        "system/gpu_0_memory_usage_percentage": 25.0,
        "system/gpu_0_utilization_percentage": 40.0,
        "system/gpu_0_power_usage_watts": 71.5,
        "system/gpu_1_memory_usage_megabytes": 2000.0,
        "system/gpu_1_memory_usage_percentage": 25.0,
        "system/gpu_1_utilization_percentage": 41.0,
    }


@pytest.mark.slow
def test_a_real_shipper_samples_until_its_trainer_ends(begin: Any, project: Path) -> None:
    run = begin()
    recorder = Recorder.start_shipper()
    recorder.attach(run.folder, system=True)
    deadline = time.monotonic() + 120
    while not (run.folder / system.FILE).exists() or not samples_of(run.folder):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    run.end()
    state = recorder.finish(300)
    assert state.complete, state.problem
    assert len(ship(run.folder, project)[2]) == len(samples_of(run.folder))


@pytest.mark.slow
def test_a_run_asks_by_its_spec(annpipe_here: Any, tmp_path: Path) -> None:
    """`tracking: {system: true}`; a short run without it has no such file."""
    spec = """
version: 1
name: s
device: {type: cpu, threads: 1}
data: {formula: {rows: 500, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: x**2}}}
model: [Linear: 64, Tanh, Linear: 1]
loss: MSELoss
optimizer: SGD
train: {epochs: 50000}
plots: []
"""
    (tmp_path / "spec.yaml").write_text(spec)
    assert annpipe_here("run", "spec.yaml", "--set", "train.epochs=2")[0] == 0
    assert not list(tmp_path.glob("runs/*/system.jsonl"))
    assert annpipe_here("run", "spec.yaml", "--set", "tracking.system=true")[0] == 0
    (file,) = tmp_path.glob("runs/*/system.jsonl")
    assert samples_of(file.parent)
