"""The logged model of a run: made once, shown at the run, and ranked by the run's own values."""

from __future__ import annotations

from typing import Final

from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking.client import MlflowClient

from annpipe.record.store.faults import is_old_server, is_page
from annpipe.record.store.items import Metric, ModelFacts
from annpipe.record.store.keys import model_name

_TOO_OLD: Final = {"ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "NOT_FOUND"}


def new_model(client: MlflowClient, run_id: str, experiment_id: str, facts: ModelFacts) -> str | None:
    """A logged model for the run: one that an interrupted shipper began, or a new one; None on a server without any."""
    try:
        begun = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
        if not begun:
            name = model_name(facts.name)
            client.create_logged_model(experiment_id, name, source_run_id=run_id, params=dict(facts.params))
            begun = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
        ready_first = sorted(begun, key=lambda model: model.status != LoggedModelStatus.READY)
        for double in ready_first[1:]:  # a network may bring a call twice
            if double.status == LoggedModelStatus.PENDING:
                client.delete_logged_model(double.model_id)
        return str(ready_first[0].model_id)
    except MlflowException as error:
        if error.error_code in _TOO_OLD and (not is_page(error) or is_old_server(client.tracking_uri)):
            return None
        raise


def show_model(client: MlflowClient, run_id: str, model_id: str, facts: ModelFacts) -> None:
    """Shows the model at the run, at its last epoch, and lets models be ranked by the run's single values."""
    outputs = client.get_run(run_id).outputs
    if model_id not in {output.model_id for output in (outputs.model_outputs if outputs else ())}:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=facts.step)])
    name, digest = facts.dataset or (None, None)
    linked = [
        Metric(metric.key, metric.value, metric.timestamp, metric.step, model_id, name, digest, run_id)
        for metric in facts.metrics
    ]
    if linked:
        client.log_batch(run_id, metrics=linked)
