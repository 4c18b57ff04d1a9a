"""Client for an MLflow store: experiments, runs, points, params, tags, artifacts, models.

Each failure is sorted: refused for good, or to be tried again (see `faults`).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Run
from mlflow.exceptions import MlflowException
from mlflow.tracking.client import MlflowClient

from annpipe.files.descriptors import stand_in
from annpipe.record.journal.events import RunBegun
from annpipe.record.journal.location import database_file
from annpipe.record.store.faults import ItemRefused, RunDeleted, RunGone, first_line, refusals
from annpipe.record.store.items import Item, Metric, ModelFacts, Param, RunTag
from annpipe.record.store.keys import MAX_EXPERIMENT_NAME, MAX_RUN_NAME, cut_name
from annpipe.record.store.logged_models import new_model, show_model
from annpipe.record.store.new_database import first_open
from annpipe.record.store.sql_points import write_points
from annpipe.record.store.transaction import one_transaction

RUN_ID_TAG = "annpipe.run_id"
RUN_OF_TAG = """SELECT run_uuid FROM runs JOIN tags USING (run_uuid)
WHERE experiment_id = ? AND lifecycle_stage = 'active' AND key = ? AND value = ?"""
MODEL_NAME = "model"
MAX_NAME, MAX_DIGEST, MAX_SOURCE, MAX_SCHEMA, MAX_PROFILE = 500, 36, 65_535, 1_048_575, 16_777_215

log = logging.getLogger("annpipe.record")

# MLflow's UI then shows the pages made for training runs.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


class Store:
    """One MLflow store, opened at the first call; raises ItemRefused, or whatever says that it is away."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._client: MlflowClient | None = None
        self._experiments: dict[str, str] | None = None
        self._connection: Any = None  # of a transaction
        self._file: tuple[int, int] | None = None  # which one was opened: a path may get another one
        self.notices: list[str] = []  # what was done to the store that people should know

    @property
    def client(self) -> MlflowClient:
        """The client; a local database is made by the first shipper that comes, and again where it was moved away."""
        if self._client is not None and self._connection is None and self._file != _identity(self.uri):
            self._client = None
        if self._client is None:
            with first_open(self.uri, self.notices.append):
                client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
                _dispose(client)
                client.search_experiments(max_results=1)
                self._file = _identity(self.uri)
            self._client = client
        return self._client

    @property
    def database(self) -> Any:
        """MLflow's own store, where it is one on a database that this process has open; else None."""
        store = getattr(getattr(self.client, "_tracking_client", None), "store", None)
        return store if hasattr(store, "engine") and hasattr(store, "ManagedSessionMaker") else None

    @contextmanager
    def connected(self, database: Any) -> Iterator[Any]:
        """A connection to read from: that of the transaction, or one of its own."""
        if self._connection is not None:
            yield self._connection
        else:
            with database.engine.connect() as connection:
                yield connection

    def answers(self) -> bool:
        """Whether the store is there at all."""
        try:
            self.client.search_experiments(max_results=1)
        except Exception:  # whatever it is, the store gave no answer
            return False
        return True

    def experiment(self, name: str, artifact_root: str | None) -> str:
        """The id of the experiment `name`; made, or brought back from MLflow's bin, where need be."""
        known = {} if self._experiments is None else self._experiments
        if name not in known:
            known[name] = self._experiment(name, artifact_root)
        return known[name]

    def _experiment(self, name: str, artifact_root: str | None) -> str:
        name = cut_name(name, MAX_EXPERIMENT_NAME)
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            try:
                return str(self.client.create_experiment(name, artifact_location=artifact_root, tags=EXPERIMENT_TAGS))
            except MlflowException as error:
                experiment = self.client.get_experiment_by_name(name)
                if experiment is None:
                    with refusals():
                        raise
                # somebody else has made it at the same time, or the answer to us was lost
                log.info("experiment %s was there: %s", name, first_line(error))
        if experiment.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def run(self, experiment_id: str, begun: RunBegun, parent: str | None = None) -> str:
        """The id of the MLflow run of a journal: the one that carries its tag, or a new one, below its `parent`."""
        assert begun.id is not None
        assert begun.name is not None
        known = self._known_run(experiment_id, begun.id)
        if known is not None:
            return known
        # No more tags than MLflow itself needs here: one that it refuses would cost the whole run.
        tags = {key: value for key, value in begun.tags.items() if key == "mlflow.user"}
        tags |= {"mlflow.parentRunId": parent} if parent else {}
        with refusals():
            made = self.client.create_run(
                experiment_id,
                start_time=begun.time,
                run_name=cut_name(begun.name, MAX_RUN_NAME),
                tags={RUN_ID_TAG: begun.id, **tags},
            )
        return self._known_run(experiment_id, begun.id) or str(made.info.run_id)

    def _known_run(self, experiment_id: str, run: str) -> str | None:
        if self._connection is not None:  # MLflow's search reads all of a run to tell its id
            row = self._connection.exec_driver_sql(RUN_OF_TAG, (int(experiment_id), RUN_ID_TAG, run)).first()
            return None if row is None else str(row[0])
        same = self.client.search_runs([experiment_id], f"tags.`{RUN_ID_TAG}` = '{run}'", max_results=10)
        runs = sorted(same, key=lambda info: -len(info.data.metrics))
        for double in runs[1:]:  # a network may bring a call twice; what became more than that is not ours
            if double.info.status == "RUNNING" and not double.data.metrics:
                self.client.delete_run(double.info.run_id)
        return str(runs[0].info.run_id) if runs else None

    @contextmanager
    def all_at_once(self) -> Iterator[None]:
        """What is called within is kept whole or not at all; raises Unfit for a store that is no local database."""
        with one_transaction(self.client) as connection:
            self._experiments = {}  # nobody else changes them meanwhile
            self._connection = connection
            try:
                yield
            finally:
                self._experiments = self._connection = None

    def _run(self, run_id: str) -> Run | None:
        """The run, in MLflow's bin or not; None when it is gone for good."""
        try:
            return self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def check(self, run_id: str, journal_id: str | None = None) -> None:
        """Raises RunDeleted or RunGone where nothing can be written to the run, whatever it is.

        With `journal_id`, a run that carries the id of another journal is not the one that is looked for.
        """
        run = self._run(run_id)
        if run is None:
            raise RunGone(f"MLflow run {run_id} is gone")
        carried = run.data.tags.get(RUN_ID_TAG)
        if journal_id is not None and carried != journal_id:
            raise RunGone(f"MLflow run {run_id} is that of {carried or 'nothing that annpipe shipped'}")
        if run.info.lifecycle_stage == "deleted":
            raise RunDeleted(f"MLflow run {run_id} was deleted; restore it in MLflow's UI, then `annpipe sync`")

    def log(self, run_id: str, items: Sequence[Item]) -> None:
        """Points, params and tags in one call, see `items.first_call`; what the store holds already is not doubled."""
        metrics = [item for item in items if isinstance(item, Metric)]
        params = [item for item in items if isinstance(item, Param)]
        tags = [item for item in items if isinstance(item, RunTag)]
        if metrics and self._connection is not None and write_points(self._connection, run_id, metrics):
            metrics = []
        with refusals():
            self.client.log_batch(run_id, metrics=metrics, params=params, tags=tags)

    def dataset(self, run_id: str, facts: Mapping[str, Any]) -> None:
        """The data of a run: name, digest, source, schema, profile."""
        schema, profile = facts.get("schema"), facts.get("profile")
        data = Dataset(
            name=cut_name(facts["name"], MAX_NAME),
            digest=facts["digest"][:MAX_DIGEST],
            source_type=facts.get("source_type") or "local",
            source=(facts.get("source") or "")[:MAX_SOURCE],
            schema=schema if schema and len(schema) <= MAX_SCHEMA else None,
            profile=profile if profile and len(profile) <= MAX_PROFILE else None,
        )
        tags = [InputTag("mlflow.data.context", facts.get("context") or "training")]
        with refusals():
            self.client.log_inputs(run_id, [DatasetInput(data, tags)])

    def artifact(self, run_id: str, path: Path, to: str) -> None:
        """A file or a folder, as the artifact `to`."""
        if not path.exists():
            raise ItemRefused(f"{path} is not there")
        folder, _, name = to.rpartition("/")
        with refusals(), _called(path, name) as source:
            if source.is_dir():
                self.client.log_artifacts(run_id, str(source), to)
            else:
                self.client.log_artifact(run_id, str(source), folder or None)

    def model(
        self, run_id: str, experiment_id: str, model_id: str | None, folder: Path, facts: ModelFacts
    ) -> str | None:
        """The run's model, logged and ready; gives its id, or None on a server from before logged models."""
        from annpipe.record.store.model import save_mlflow_model  # mlflow.pyfunc warns as it is imported: into the log

        model_id = model_id or new_model(self.client, run_id, experiment_id, facts)
        with tempfile.TemporaryDirectory(prefix="annpipe-model-") as scratch:
            saved = Path(scratch, MODEL_NAME)
            try:
                save_mlflow_model(folder, saved, model_id=model_id, run_id=run_id)
            except (OSError, ValueError, KeyError, TypeError, MlflowException) as error:
                raise ItemRefused(f"the model in {folder} cannot be saved: {error}") from error
            if model_id is None:
                self.artifact(run_id, saved, MODEL_NAME)
                return None
            with refusals():
                self.client.log_model_artifacts(model_id, str(saved))
                self.client.finalize_logged_model(model_id, "READY")
                show_model(self.client, run_id, model_id, facts)
        return model_id

    def reopen(self, run_id: str) -> None:
        """Shows the run as running again."""
        with refusals():
            self.client.update_run(run_id, status="RUNNING")

    def end(self, run_id: str, status: str, time_ms: int) -> None:
        """Closes the run with its true status."""
        with refusals():
            self.client.set_terminated(run_id, status, time_ms)


@contextmanager
def _called(path: Path, name: str) -> Iterator[Path]:
    """The path under another name, which MLflow takes from it."""
    if path.name == name or path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="annpipe-artifact-") as scratch:
        link = Path(scratch, name)
        stand_in(link, path.resolve())
        yield link


def _identity(uri: str) -> tuple[int, int] | None:
    """Which file is behind a SQLite URI; None for another store, and where there is none."""
    path = database_file(uri)
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _dispose(client: MlflowClient) -> None:
    """Lets go of the connections that MLflow keeps for all of this process: they lead to the file that was moved."""
    engine = getattr(getattr(getattr(client, "_tracking_client", None), "store", None), "engine", None)
    if engine is not None:
        engine.dispose()
