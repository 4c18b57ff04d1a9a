"""MLflow's own server for `annpipe ui`, at 127.0.0.1; everything that it starts is ended again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from annpipe.record.journal.location import ARTIFACTS, artifact_root, folder_address
from annpipe.record.journal.project import run_folders
from annpipe.record.journal.state import read_state
from annpipe.record.store.local_server import HOST, Launch, Server, check_port, ending_politely, running
from annpipe.record.store.new_database import first_open
from annpipe.record.store.view import KEY, latest_experiments, prepare_views

USUAL_PORT = 5000
JOBS = "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"


@contextmanager
def serve(
    uri: str, project: Path, port: int | None, notify: Callable[[str], None] = lambda _: None
) -> Iterator[Server]:
    """MLflow's server on the store `uri`, answering; Ctrl-C ends the block, and it and its children end with that.

    `notify` hears what is waited for, and what is done to a local database first.
    """
    check_port(port)
    with ending_politely(), ExitStack() as stack:
        with first_open(uri, notify, waits=True):
            notify("starting MLflow's server: it takes some seconds …")
            server = stack.enter_context(running(_launch(uri, project), port))
        yield server


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


def _launch(uri: str, project: Path) -> Launch:
    root = artifact_root(uri, project) or folder_address(project / ARTIFACTS)
    command = ["-m", "mlflow", "server", "--host", HOST, "--workers", "1", "--artifacts-destination", root]
    # The store goes by the environment: a command line is there for everybody's `ps` to read.
    store = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_REGISTRY_STORE_URI": uri, "MLFLOW_TRACKING_URI": uri}
    return Launch(
        called="MLflow's server",
        arguments=lambda port: [*command, "--port", str(port)],
        environment={JOBS: os.environ.get(JOBS, "false"), **store},
        usual_port=USUAL_PORT,
    )
