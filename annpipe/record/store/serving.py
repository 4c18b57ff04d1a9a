"""MLflow's scoring server for one model, and the request that asks it about the model's own example row."""

from __future__ import annotations

import json
import logging
import shlex
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow.pyfunc import scoring_server

from annpipe.record.store.local_server import HOST, Launch, Server, ending_politely, running
from annpipe.record.store.model import save_mlflow_model

USUAL_PORT = 5001  # beside that of `annpipe ui`
EXAMPLE = "serving_input_example.json"  # MLflow writes it into a model folder
LONGEST_IN_LINE = 2000  # characters of a request that a person still copies


@contextmanager
def serve_model(folder: Path, port: int | None, host: str = HOST) -> Iterator[Server]:
    """MLflow's scoring server for the MLflow model in `folder`, answering; Ctrl-C ends the block and the server.

    It runs the code of the model. Raises StoreError where it does not start.
    """
    app = f"{scoring_server.__name__}.app:app"
    launch = Launch(
        called="MLflow's scoring server",
        arguments=lambda chosen: ["-m", "uvicorn", "--host", host, "--port", str(chosen), "--workers", "1", app],
        environment={scoring_server._SERVER_MODEL_PATH: str(folder)},
        usual_port=USUAL_PORT,
        host=host,
    )
    with ending_politely(), running(launch, port) as server:
        yield server


def write_model(source: Path, target: Path) -> None:
    """Writes the MLflow model of a run's model folder to the new folder `target`, as the record has it."""
    log = logging.getLogger("mlflow")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(record=True):  # MLflow shows some whatever the filters are
            save_mlflow_model(source, target, model_id=None, run_id=None)
    finally:
        log.setLevel(before)


def curl_line(address: str, folder: Path) -> str | None:
    """A command that asks the server at `address` about the first row of the model's example; None without an example.

    A request too long for a line lies in a file beside the model.
    """
    file = folder / EXAMPLE
    if not file.is_file():
        return None
    request = json.dumps(_first_row(json.loads(file.read_text(encoding="utf-8"))))
    if len(request) > LONGEST_IN_LINE:
        file = folder / "request.json"
        file.write_text(request, encoding="utf-8", newline="\n")
        request = f"@{file}"
    return f"curl -s {address}/invocations -H 'Content-Type: application/json' -d {shlex.quote(request)}"


def _first_row(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """A request about one row in place of several, where it is one of the forms that MLflow writes."""
    (form, content), *others = request.items()
    if others:
        return request
    if form == "dataframe_split":
        return {form: {"columns": content["columns"], "data": content["data"][:1]}}
    if form == "inputs" and isinstance(content, Mapping):
        return {form: {name: values[:1] if isinstance(values, list) else values for name, values in content.items()}}
    return {form: content[:1]} if isinstance(content, list) else request
