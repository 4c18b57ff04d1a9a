"""MLflow's model registry: versions of named models, made of logged models, and found by alias or number."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from annpipe.errors import NotFound, StoreError
from annpipe.errors.redact import scrub
from annpipe.record.store.client import MODEL_NAME, Store
from annpipe.record.store.faults import first_line
from annpipe.record.store.registry_names import ModelAddress

VERSIONS_TAG = "mlflow.modelVersions"  # by which MLflow's page of a logged model shows its versions
_GONE = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")
_THERE = ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS")


@dataclass(frozen=True)
class Version:
    """A version of a registered model; `is_new` where it was made just now."""

    name: str
    number: str
    run_id: str | None
    model_id: str | None
    source: str
    is_new: bool = False


def register(
    store: Store, name: str, run_id: str, model_id: str | None, aliases: Sequence[str], tags: Mapping[str, str]
) -> Version:
    """Makes the run's logged model a version of the registered model `name`, or finds the one that it is already.

    Aliases then mean this version, and tags are set on it. Raises StoreError, and NotFound where the model is gone.
    """
    with _asked(store.uri):
        client = store.client
        if model_id is not None:
            _check_there(client, model_id)
        version = _known(client, name, run_id, model_id) or _made(client, name, run_id, model_id)
        for key, value in tags.items():
            client.set_model_version_tag(name, version.number, key, scrub(value))
        for alias in aliases:
            client.set_registered_model_alias(name, alias, version.number)
    return version


def find(store: Store, address: ModelAddress) -> Version:
    """The version at an address; raises NotFound with what there is, and StoreError."""
    with _asked(store.uri):
        client = store.client
        try:
            if address.alias:
                version = client.get_model_version_by_alias(address.name, address.alias)
            else:
                version = client.get_model_version(address.name, str(address.version))
        except MlflowException as error:
            if error.error_code not in (*_GONE, "INVALID_PARAMETER_VALUE"):
                raise
            raise NotFound(
                f"there is no model {address} in {scrub(store.uri)}: {_there_is(client, address.name)}"
            ) from error
        return _version(version)


def download(store: Store, version: Version, folder: Path) -> Path:
    """Fetches the files of a version into an empty folder; raises StoreError."""
    with _asked(store.uri):
        source = f"models:/{version.model_id}" if version.model_id else version.source
        return Path(download_artifacts(source, dst_path=str(folder), tracking_uri=store.uri, registry_uri=store.uri))


def _known(client: Any, name: str, run_id: str, model_id: str | None) -> Version | None:
    """The latest version of that name which is this model."""
    versions = client.search_model_versions(f"run_id = '{run_id}'")
    same = [version for item in versions if (version := _version(item)).name == name and version.model_id == model_id]
    return max(same, key=lambda version: int(version.number)) if same else None


def _made(client: Any, name: str, run_id: str, model_id: str | None) -> Version:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code not in _THERE:
            raise
    source = f"models:/{model_id}" if model_id else f"runs:/{run_id}/{MODEL_NAME}"
    made = client.create_model_version(name, source, run_id=run_id, model_id=model_id)
    if model_id:
        known = json.loads(client.get_logged_model(model_id).tags.get(VERSIONS_TAG, "[]"))
        versions = [*known, {"name": name, "version": made.version}]
        client.set_logged_model_tags(model_id, {VERSIONS_TAG: json.dumps(versions)})
    return _version(made, is_new=True)


def _check_there(client: Any, model_id: str) -> None:
    try:
        client.get_logged_model(model_id)
    except MlflowException as error:
        if error.error_code not in _GONE:
            raise
        remedy = "`annpipe sync` sends it again"
        raise NotFound(f"the run's model was deleted from the store after it was recorded: {remedy}") from error


def _there_is(client: Any, name: str) -> str:
    """What the registry has of a name, or which names it has."""
    try:
        model = client.get_registered_model(name)
    except MlflowException:
        names = [item.name for item in client.search_registered_models(max_results=5)]
        more = f"it has {', '.join(names)}" if names else "no model is registered"
        return f"{more}; `annpipe register RUN NAME` registers one"
    aliases = ", ".join(f"@{alias} (version {number})" for alias, number in sorted(model.aliases.items()))
    return f"'{name}' has {aliases or 'no alias'}; `annpipe register RUN {name} --alias ALIAS` sets one"


def _version(version: Any, *, is_new: bool = False) -> Version:
    """The version as MLflow tells it; a database keeps the logged model in its source alone."""
    of_source = re.fullmatch(r"models:/(m-\w+)", version.source or "")
    model_id = version.model_id or (of_source[1] if of_source else None)
    return Version(version.name, str(version.version), version.run_id or None, model_id, version.source, is_new=is_new)


@contextmanager
def _asked(uri: str) -> Iterator[None]:
    """Inside, MLflow's own registry, which looks for logged models in the store of the whole process, finds this one.

    What MLflow refuses or cannot reach is a StoreError.
    """
    in_environment = os.environ.get("MLFLOW_TRACKING_URI")
    is_set: bool = mlflow.is_tracking_uri_set()  # type: ignore[no-untyped-call]
    before = mlflow.get_tracking_uri() if is_set else None
    mlflow.set_tracking_uri(uri)
    try:
        yield
    except MlflowException as error:
        raise StoreError(f"the store {scrub(uri)} refuses this: {first_line(error)}") from error
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # which takes it back, and out of the environment
        if before != in_environment and before is not None:
            mlflow.set_tracking_uri(before)
        if in_environment is not None:
            os.environ["MLFLOW_TRACKING_URI"] = in_environment
