"""The trainer's end of the pipe: whatever dies or hangs, the journal is complete and the record follows."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from mlflow.tracking.client import MlflowClient

from annpipe.record.journal import location
from annpipe.record.journal.events import ArtifactKept, RunBegun, RunEnded
from annpipe.record.journal.journal import Journal, status
from annpipe.record.journal.project import new_run_folder
from annpipe.record.journal.state import read_state
from annpipe.record.shipper import follow
from annpipe.record.shipper.recorder import Recorder
from annpipe.record.shipper.retry import TrainerPipe
from annpipe.record.store.keys import mlflow_key
from annpipe.record.store.ui import serve
from tests.conftest import unused_port

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

BEGAN = 1_700_000_000_000

TRAINER = """
import sys, time
from pathlib import Path
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.project import new_run_folder
from annpipe.record.shipper.recorder import Recorder

recorder = Recorder.start_shipper()
journal = Journal.reopen(Path(sys.argv[1]))
recorder.attach(Path(sys.argv[1]))
step = 1
while True:
    journal.series("train/loss", step, [1.0 / (step + i) for i in range(10)], step, step + 10)
    step += 10
    print(step - 1, flush=True)
    time.sleep(0.2)
"""

T = TypeVar("T")


def client(uri: str) -> Any:
    """MLflow's own client, explicitly on one store."""
    return MlflowClient(tracking_uri=uri)


def losses(uri: str, run_id: str | None) -> list[int]:
    """The steps of train/loss in the store, in order."""
    return sorted(point.step for point in client(uri).get_metric_history(run_id, "train/loss"))


def wait_for(condition: Any, seconds: float = 300) -> None:
    """Waits until the condition holds: on a busy machine the shipper, which steps aside for others, imports MLflow for
    minutes as long as its trainer lives."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def shipper_of(pid: int) -> int:
    """The process id of a trainer's shipper."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def steps_aside(pid: int) -> bool:
    """Whether another thread than the first, which finishes the record, leaves the processor to others."""
    threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    niceness = {thread: os.getpriority(os.PRIO_PROCESS, thread) for thread in threads}
    here = os.getpriority(os.PRIO_PROCESS, 0)
    return niceness.pop(pid) == here < max(niceness.values())


@pytest.fixture
def trainer(project: Path, begin: Any) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A process that journals 50 points a second, for ever: a busy machine has minutes before any is thinned."""
    run = begin(expected_points=10_000)  # minutes of it: nothing is thinned
    run.journal.close()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINER, str(run.folder)], stdout=subprocess.PIPE, text=True, env=environment
    )
    with process:
        yield run.folder, process
        with suppress(ProcessLookupError):
            process.kill()


@pytest.mark.slow
def test_a_trainer_that_is_killed_leaves_a_true_record(
    project: Path, trainer: tuple[Path, subprocess.Popen[str]]
) -> None:
    """kill -9: the shipper, which stepped aside, ships all that was flushed and sets KILLED; shown while it ran."""
    folder, process = trainer
    uri = location.embedded_uri(project)
    wait_for(lambda: read_state(folder).offset > 1000)
    assert steps_aside(shipper_of(process.pid))
    assert status(folder) == "RUNNING"
    assert client(uri).get_run(read_state(folder).run_id).info.status == "RUNNING"
    process.kill()
    written = int(process.communicate()[0].split()[-1])
    wait_for(lambda: read_state(folder).complete)
    assert status(folder) == "KILLED"
    found = client(uri).get_run(read_state(folder).run_id)
    assert found.info.status == "KILLED"
    steps = losses(uri, found.info.run_id)
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) >= written


@pytest.mark.slow
def test_a_shipper_that_is_killed_loses_and_doubles_nothing(
    project: Path, trainer: tuple[Path, subprocess.Popen[str]]
) -> None:
    """Training goes on without it; shipping by hand afterwards completes the record."""
    folder, process = trainer
    wait_for(lambda: read_state(folder).offset > 1000)
    os.kill(shipper_of(process.pid), signal.SIGKILL)
    assert process.stdout is not None
    seen = int(process.stdout.readline())
    while (written := int(process.stdout.readline())) < seen + 50:
        pass
    process.kill()
    process.wait()
    assert not read_state(folder).complete
    with follow.logging_to(folder):
        state = follow.ship(folder, follow.store_of(folder), TrainerPipe(None), 1.0)
    assert state.complete
    steps = losses(location.embedded_uri(project), state.run_id)
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) >= written


@pytest.mark.slow
def test_ctrl_c_in_the_terminal_does_not_reach_the_shipper(
    project: Path, trainer: tuple[Path, subprocess.Popen[str]]
) -> None:
    """It has a session of its own and takes neither SIGINT nor SIGTERM."""
    folder, process = trainer
    wait_for(lambda: read_state(folder).offset > 0)
    shipper = shipper_of(process.pid)
    assert os.getsid(shipper) != os.getsid(process.pid)
    os.kill(shipper, signal.SIGINT)
    os.kill(shipper, signal.SIGTERM)
    before = read_state(folder).offset
    wait_for(lambda: read_state(folder).offset > before)
    assert not any(name in os.readlink(f"/proc/{shipper}/fd/{number}") for number in (1, 2) for name in ("tty", "pts"))


def test_a_shipper_without_a_run_goes_quietly() -> None:
    """The spec was wrong: no run came of it."""
    recorder = Recorder.start_shipper()
    state = recorder.finish(300)
    assert not state.complete
    assert not state.shipping
    assert recorder.finish(0) == state


@pytest.mark.slow
def test_a_run_may_be_named_before_its_journal_begins(project: Path) -> None:
    """The shipper waits for the first line; a trainer that goes without one leaves nothing to record."""
    folder = new_run_folder(project, "quadratic")
    recorder = Recorder.start_shipper()
    recorder.attach(folder)
    time.sleep(0.5)
    journal = Journal.create(folder)
    uri = location.embedded_uri(project)
    root = location.artifact_root(uri, project)
    journal.write(RunBegun(id=folder.name, name="q", experiment="q", tracking_uri=uri, artifact_root=root, time=BEGAN))
    journal.write(RunEnded(status="FINISHED", time=BEGAN + 1, error=None))
    journal.close()
    assert recorder.finish(300).complete
    empty = new_run_folder(project, "quadratic")
    idle = Recorder.start_shipper()
    idle.attach(empty)
    state = idle.finish(300)
    assert (state.complete, state.shipping, state.run_id) == (False, False, None)


@pytest.mark.slow
def test_a_server_that_hangs_holds_nobody(begin: Any) -> None:
    """It accepts and never answers: finish() returns within its bound, the journal is whole."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(16)
        uri = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        run = begin(tracking_uri=uri, artifact_root=None)
        recorder = Recorder.start_shipper()
        recorder.attach(run.folder)
        deaf.settimeout(30)
        with ExitStack() as connections:
            with suppress(TimeoutError):  # on a busy machine the shipper, which steps aside, still imports MLflow
                connections.enter_context(deaf.accept()[0])
            folder = run.end()
            before = time.monotonic()
            state = recorder.finish(1.0)
            assert time.monotonic() - before < 60  # and not the hours that the server would take
        assert (state.complete, state.shipping) == (False, True)
        assert status(folder) == "FINISHED"
        os.kill(recorder.pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_server_that_was_away_is_shipped_to_later(project: Path, begin: Any) -> None:
    """A real server: first it is away, then it takes the whole run through its REST interface."""
    port = unused_port()
    uri = f"http://127.0.0.1:{port}"
    run = begin(tracking_uri=uri, artifact_root=None, params={"a": "1", "bad\nname": "x"}, expected_points=3000)
    run.journal.series("train/loss", 1, [float("nan"), float("inf"), *range(3, 3001)], BEGAN, BEGAN + 3000)
    plot = run.folder / "artifacts" / "plot.svg"
    plot.parent.mkdir()
    plot.write_text("<svg/>")
    run.journal.write(ArtifactKept(file="artifacts/plot.svg", to="plots"))
    folder = run.end()
    with follow.logging_to(folder):
        away = follow.ship(folder, uri, TrainerPipe(None), 0.5)
        assert not away.complete
        assert away.problem
        with serve(location.embedded_uri(project), project, port) as server:
            state = follow.ship(folder, uri, TrainerPipe(None), 5.0)
            assert state.complete, state
            found = client(server.address).get_run(state.run_id)
            files = client(server.address).list_artifacts(state.run_id, "plots")
    assert found.info.status == "FINISHED"
    assert found.data.params == {"a": "1", mlflow_key("bad\nname"): "x"}
    assert [file.path for file in files] == ["plots/plot.svg"]
    assert losses(location.embedded_uri(project), state.run_id) == list(range(1, 3001))
    assert json.loads((folder / "shipped.json").read_text())["store"] == uri


def test_what_is_left_when_the_trainer_is_gone_is_not_done_aside(project: Path, begin: Any) -> None:
    """The shipper leaves the processor to the training, and not to others after it."""
    run = begin()
    for step in range(20):
        run.journal.metrics(step, {"train/loss": 1.0}, 1_700_000_000_000 + step)
    folder = run.end()
    reading, writing = os.pipe()
    offsets = []

    def aside(action: Callable[[], T]) -> T:
        os.close(writing)  # the trainer goes while this begins
        result = action()
        offsets.append(read_state(folder).offset)
        return result

    with follow.logging_to(folder):
        state = follow.ship(folder, follow.store_of(folder), TrainerPipe(reading), 1.0, aside)
    os.close(reading)
    assert state.complete
    assert offsets == [0]
    assert losses(state.store, state.run_id) == list(range(20))
