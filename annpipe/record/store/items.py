"""The items of a run that wait to be sent together: points, params and tags, and how many MLflow takes in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mlflow.entities import Metric as Metric  # MLflow's own classes are imported here for all who make items
from mlflow.entities import Param as Param
from mlflow.entities import RunTag as RunTag

ITEMS_A_CALL, PARAMS_A_CALL, TAGS_A_CALL = 1000, 100, 100

Item = Metric | Param | RunTag


@dataclass(frozen=True)
class ModelFacts:
    """What the store shows of a run's model beside its files: a name, and what ranks and explains it.

    `metrics` are the single values of the run, measured on `dataset`, a name and a digest; `step` is the last epoch.
    """

    name: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Sequence[Metric] = ()
    dataset: tuple[str, str] | None = None
    step: int = 0


def item_text(item: Item) -> str:
    """An item as messages name it: `metric loss`, `param lr`, `tag annpipe.seed`."""
    kind = "metric" if isinstance(item, Metric) else "param" if isinstance(item, Param) else "tag"
    return f"{kind} {item.key}"


def first_call(items: Sequence[Item]) -> int:
    """How many of the first items MLflow takes in one call."""
    n_params = n_tags = 0
    for number, item in enumerate(items[:ITEMS_A_CALL]):
        n_params += isinstance(item, Param)
        n_tags += isinstance(item, RunTag)
        if n_params > PARAMS_A_CALL or n_tags > TAGS_A_CALL:
            return number
    return min(len(items), ITEMS_A_CALL)
