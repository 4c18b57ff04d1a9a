"""The MLflow model that `annpipe serve` serves: made of a run's own folder, or fetched from the registry."""

from __future__ import annotations

from pathlib import Path

from annpipe.errors import DataError, NotFound, NotTrusted
from annpipe.errors.redact import scrub
from annpipe.record.journal.project import run_folders
from annpipe.record.journal.seal import MODEL, check_own, is_own
from annpipe.record.journal.state import read_state
from annpipe.record.journal.summary import best_trial_of, is_sweep
from annpipe.record.store.client import Store
from annpipe.record.store.registry import Version, download, find
from annpipe.record.store.registry_names import ModelAddress
from annpipe.record.store.serving import write_model

SERVED = "mlflow-model"


def model_of_run(run: Path, scratch: Path, *, trust: bool = False) -> tuple[Path, str]:
    """The MLflow model of a run, or of a sweep's best trial, made in `scratch`; and what it is called.

    Needs no store. Raises NotFound where there is no model, DataError where its files are damaged, and NotTrusted where
    it is not known as the user's own, unless `trust` says so.
    """
    owner = best_trial_of(run) if is_sweep(run) else run
    if owner is None or not (owner / MODEL / "weights.safetensors").is_file():
        raise NotFound(f"the run {run.name} has no model: it did not finish; `annpipe resume {run.name}` goes on")
    check_own(owner, MODEL, trusted=trust)
    target = scratch / SERVED
    try:
        write_model(owner / MODEL, target)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        remedy = "its files have changed since it was saved: run its spec again"
        raise DataError(f"the model of {owner.name} cannot be served: {reason}", remedy) from error
    return target, owner.name


def registered_model(
    address: ModelAddress, uri: str, project: Path, scratch: Path, *, trust: bool = False
) -> tuple[Path, str]:
    """The MLflow model at an address of the registry, and what it is called.

    The model of a run that the user made in this project is taken from the run's folder, whose seal shows that nobody
    changed it. Any other is fetched from the store, and is code of whoever can write there: raises NotTrusted, unless
    `trust` says that it may be run. Raises NotFound where there is none, and StoreError.
    """
    store = Store(uri)
    version = find(store, address)
    called = f"{address} (version {version.number})"
    run = _own_run(version, uri, project)
    if run is not None:
        return model_of_run(run, scratch)[0], f"{called}, the model of {run.name},"
    if not trust:
        raise NotTrusted(
            f"{address} in {scrub(uri)} is not the model of a run that you made in this project, and a model is Python "
            f"code, which would be run. Look at it in MLflow's UI (`annpipe ui`); where you trust it, say --trust"
        )
    target = scratch / SERVED
    target.mkdir()
    return download(store, version, target), called


def _own_run(version: Version, uri: str, project: Path) -> Path | None:
    """The run of the project whose model a version is, where its seal is the user's."""
    for run in run_folders(project):
        state = read_state(run, uri)
        if version.run_id and state.run_id == version.run_id and state.model_id == version.model_id:
            owner = best_trial_of(run) if is_sweep(run) else run
            has_model = owner is not None and (owner / MODEL / "weights.safetensors").is_file()
            return run if owner is not None and has_model and is_own(owner, MODEL) else None
    return None
