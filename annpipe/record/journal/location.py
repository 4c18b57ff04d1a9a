"""The store that a record goes to: of the command line, the environment, the spec, or the project's own."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from annpipe.errors import StoreError
from annpipe.errors.redact import HIDDEN, has_secret
from annpipe.errors.redact import scrub as scrub  # for all who know stores by this module

DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"
URI_VARIABLE = "ANNPIPE_TRACKING_URI"  # a store with credentials, for the processes that ship

# MLflow reads these in our own processes: no telemetry, no bars or git noise on a terminal, and an HTTP
# timeout that lets the shipper decide about retries instead of hanging for minutes inside one call.
MLFLOW_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}

_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///")


def prepare_for_mlflow() -> None:
    """Sets in this process what MLflow reads as it is imported; what the user has set stays."""
    for name, value in MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def resolve_tracking_uri(flag: str | None, project: Path, spec_value: str | None) -> str:
    """The store of a run: `--tracking-uri` > MLFLOW_TRACKING_URI > the spec > the project's own SQLite file.

    A relative SQLite path is made absolute: below the working directory when a flag or the environment says it,
    below the project when the spec does. Raises StoreError for a plain folder, which MLflow no longer takes.
    """
    if flag:
        return _absolute(flag, Path.cwd(), "--tracking-uri")
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return _absolute(os.environ["MLFLOW_TRACKING_URI"], Path.cwd(), "MLFLOW_TRACKING_URI")
    if spec_value:
        return _absolute(spec_value, project, "tracking")
    return embedded_uri(project)


def embedded_uri(project: Path) -> str:
    """The SQLite store that needs nothing started or configured."""
    return f"sqlite:///{(project.resolve() / DATABASE).as_posix()}"


def artifact_root(uri: str, project: Path) -> str | None:
    """Where a new experiment keeps its files: beside a local SQLite store; None lets a server decide."""
    if uri == embedded_uri(project):
        return folder_address(project.resolve() / ARTIFACTS)
    database = database_file(uri)
    return folder_address(database.parent / ARTIFACTS) if database else None


def folder_address(folder: Path) -> str:
    """A folder as MLflow takes it for artifacts: on Windows a URI, since `C:` would be a scheme to it."""
    return folder.as_uri() if folder.drive else str(folder)


def database_file(uri: str) -> Path | None:
    """The file behind a SQLite URI; None for every other store."""
    match = _SQLITE.match(uri)
    return Path(uri[match.end() :].partition("?")[0]) if match else None


def is_server(uri: str) -> bool:
    """Whether the store is an MLflow server that has a UI of its own."""
    return urlsplit(uri).scheme in {"http", "https"}


def has_credentials(uri: str) -> bool:
    """Whether `uri` holds something that may not be written down."""
    return has_secret(uri)


def lacks_credentials(uri: str) -> bool:
    """Whether `uri` was read from a record, which keeps `***` where the credentials stood."""
    return HIDDEN in uri and not has_secret(uri)


def same_store(uri: str, other: str) -> bool:
    """Whether two URIs name the same store, credentials and a closing slash aside."""
    return scrub(uri).rstrip("/") == scrub(other).rstrip("/")


def _absolute(uri: str, base: Path, origin: str) -> str:
    if lacks_credentials(uri):
        raise StoreError(f"{origin}: '{uri}' has {HIDDEN} where its credentials stood; write the whole address")
    scheme = uri.partition(":")[0]
    if scheme == "file" or ("://" not in uri and scheme not in {"databricks", "databricks-uc", "uc"}):
        raise StoreError(
            f"{origin}: '{scrub(uri)}' is a folder, and MLflow keeps no new records in folders; "
            f"write sqlite:///{DATABASE} or the address of a server"
        )
    match = _SQLITE.match(uri)
    if match is None:
        return uri.rstrip("/")
    path, mark, options = uri[match.end() :].partition("?")
    try:
        return f"{match.group()}{(base / path).resolve().as_posix()}{mark}{options}"
    except (OSError, RuntimeError, ValueError) as error:  # a link in a circle, a NUL
        raise StoreError(f"{origin}: '{scrub(uri)}' names no file that there can be: {error}") from error
