"""MLflow's own server for `annpipe ui`, at 127.0.0.1; everything that it starts is ended again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from annpipe.errors import StoreError
from annpipe.files.processes import apart, end_group, listens, stop_signals, wait_for_end
from annpipe.record.journal.location import ARTIFACTS, MLFLOW_ENVIRONMENT, artifact_root, folder_address, scrub
from annpipe.record.journal.project import run_folders
from annpipe.record.journal.state import read_state
from annpipe.record.store.new_database import first_open
from annpipe.record.store.view import KEY, latest_experiments, prepare_views

HOST = "127.0.0.1"
USUAL_PORT = 5000
SECONDS_TO_START = 120.0
SECONDS_TO_STOP = 5.0


@dataclass(frozen=True)
class Server:
    """A running MLflow server and the address it answers at."""

    address: str
    process: subprocess.Popen[bytes]

    def wait(self) -> NoReturn:
        """Stays until Ctrl-C, SIGTERM or a closed terminal; raises StoreError when the server ends by itself."""
        code = wait_for_end(self.process)
        raise StoreError(f"MLflow's server ended by itself with code {code}")


@contextmanager
def serve(
    uri: str, project: Path, port: int | None, notify: Callable[[str], None] = lambda _: None
) -> Iterator[Server]:
    """MLflow's server on the store `uri`, answering; Ctrl-C ends the block, and it and its children end with that.

    `notify` hears what is waited for, and what is done to a local database first.
    """
    if port and not _is_free(port):
        raise StoreError(f"port {port} is taken; leave --port out and a free one is found")
    # A file, not a pipe: nobody reads it unless the server fails, and a full pipe would stop the server.
    with _ending_politely(), tempfile.TemporaryFile() as output:
        with first_open(uri, notify, waits=True):
            notify("starting MLflow's server: it takes some seconds …")
            server = _started(uri, project, port, output)
        try:
            with suppress(KeyboardInterrupt):
                yield server
        finally:
            end_group(server.process, SECONDS_TO_STOP)


def latest_page(project: Path, uri: str, address: str | None = None) -> str:
    """The place, below the UI's address, of the project's latest experiment in this store; empty when there is none.

    Where the address of its server is given, the page opens in the view that is prepared for its runs; so do the
    pages of the other experiments, by their lists of views.
    """
    states = (read_state(folder, uri).experiment_id for folder in reversed(run_folders(project)))
    experiment = next(filter(None, states), None) or (
        next(iter(latest_experiments(address)), None) if address else None
    )
    if experiment is None:
        return ""
    return _runs_page(experiment, is_prepared=address is not None and experiment in prepare_views(address))


def _runs_page(experiment_id: str, *, is_prepared: bool) -> str:
    """The page of runs. MLflow 3 chooses by the address alone, or by what a browser last chose, whether it shows its
    pages for training or those for language-model applications; the experiment's own kind does not count.
    """
    view = f"&viewStateShareKey={KEY}&compareRunsMode=CHART" if is_prepared else ""
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning{view}"


def free_port() -> int:
    """MLflow's usual port where it is free, so that a bookmark keeps working; otherwise any."""
    if _is_free(USUAL_PORT):
        return USUAL_PORT
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        if sys.platform != "win32":  # where it would take the port from whoever has it
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _started(uri: str, project: Path, port: int | None, output: IO[bytes]) -> Server:
    """A server that answers; on another free port where somebody else took the one that was found."""
    while True:
        chosen = port or free_port()
        process = _start(uri, project, chosen, output)
        try:
            _wait_until_it_answers(process, chosen, output)
        except BaseException as error:
            end_group(process, SECONDS_TO_STOP)
            if port or not isinstance(error, StoreError) or _is_free(chosen):
                raise
        else:
            return Server(f"http://{HOST}:{chosen}", process)


def _start(uri: str, project: Path, port: int, output: IO[bytes]) -> subprocess.Popen[bytes]:
    root = artifact_root(uri, project) or folder_address(project / ARTIFACTS)
    command = [sys.executable, "-P", "-m", "mlflow", "server"]
    command += ["--host", HOST, "--port", str(port), "--workers", "1", "--artifacts-destination", root]
    # The store goes by the environment: a command line is there for everybody's `ps` to read.
    store = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_REGISTRY_STORE_URI": uri, "MLFLOW_TRACKING_URI": uri}
    environment = {**MLFLOW_ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **os.environ, **store}
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        env=environment, **apart(),
    )  # fmt: skip


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, output: IO[bytes]) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=2):
            if listens(process.pid, port):  # and not one that was quicker
                return
        time.sleep(0.1)
    output.seek(0)
    last = scrub(output.read().decode(errors="replace")).strip().splitlines()[-5:]
    raise StoreError("\n".join(["MLflow's server did not start; its last words:", *last]))


@contextmanager
def _ending_politely() -> Iterator[None]:
    """Makes SIGTERM and a closed terminal end the block as Ctrl-C does, so that no server is left behind."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in stop_signals() if number != signal.SIGINT}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
