"""What a run's logged model shows: the run's single values, and those of evaluations with their rows."""

from __future__ import annotations

from collections.abc import Callable

from annpipe.record.journal import journal
from annpipe.record.journal.events import MetricPoints
from annpipe.record.shipper.sender import Sender
from annpipe.record.shipper.series import AllSeries
from annpipe.record.shipper.translation import Translation
from annpipe.record.store.client import MAX_DIGEST, MAX_NAME
from annpipe.record.store.content import MODEL
from annpipe.record.store.items import Metric, ModelFacts
from annpipe.record.store.keys import cut_name, mlflow_key, store_name


def model_facts(name: str, translation: Translation, series: AllSeries) -> ModelFacts:
    """What is known of a run when its model is saved: after its last values are measured."""
    values = series.single_values.items()
    return ModelFacts(
        name,
        translation.params,
        [Metric(mlflow_key(key), point.value, point.time_ms, point.step) for key, point in values],
        translation.data,
        series.last_step,
    )


def link_evaluation(event: MetricPoints, sender: Sender, before: Callable[[], None]) -> None:
    """Shows the values at the model, so that models can be found and ranked by them; `before` sends what waits.

    Nothing is done of other values than those of an evaluation, and where the store has no model.
    """
    model_id = sender.state.model_id
    if event.dataset is None or model_id is None or not sender.wants(MODEL):
        return
    before()
    data = cut_name(event.dataset.get("name", ""), MAX_NAME), event.dataset.get("digest", "")[:MAX_DIGEST]
    linked = [
        Metric(mlflow_key(store_name(key)), value, time_ms, step, model_id, *data, sender.run)
        for key, step, value, time_ms in journal.points(event)
    ]
    sender.attempt("metrics of an evaluation", lambda: sender.store.log(sender.run, linked))
