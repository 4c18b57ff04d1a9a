"""Keys of a run's metrics, and the check that each metric which a component watches exists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from annpipe.draft.component import Component
from annpipe.draft.inputs_outputs import OutputHead
from annpipe.errors import Problem
from annpipe.errors.suggest import did_you_mean
from annpipe.registry.traits import SchedulerTraits
from annpipe.registry.types import Named, alternatives

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def metric_keys(metrics: Sequence[Component]) -> dict[str, Component]:
    """The metrics by the last part of their keys: `R2Score` is `r2_score`; a second one of a name is `r2_score_2`."""
    keys: dict[str, Component] = {}
    for metric in metrics:
        base = _WORDS.sub("_", metric.name).lower()
        number = 1 + sum(key.partition("__")[0] == base for key in keys)
        keys[base if number == 1 else f"{base}__{number}"] = metric
    return {key.replace("__", "_"): metric for key, metric in keys.items()}


def run_metrics(metrics: Sequence[Component], outputs: Sequence[OutputHead]) -> dict[str, tuple[Component, str | None]]:
    """Every metric of a run by its key without the split, with the head that it is for: `species/accuracy`."""
    by_key: dict[str, tuple[Component, str | None]] = {
        key: (metric, None) for key, metric in metric_keys(metrics).items()
    }
    for head in outputs:
        by_key |= {f"{head.name}/{key}": (metric, head.name) for key, metric in metric_keys(head.metrics).items()}
    return by_key


def watched_keys(
    metrics: Sequence[Component], outputs: Sequence[OutputHead] = (), *, has_val: bool, has_scheduler: bool
) -> list[str]:
    """The keys that have values while a run trains, and that a callback may watch."""
    losses = ["loss", *(f"{head.name}/loss" for head in outputs)]
    val = [f"val/{key}" for key in (*losses, *run_metrics(metrics, outputs))] if has_val else []
    return ["train/loss", *val, *(["lr"] if has_scheduler else [])]


def unknown_metrics(components: Iterable[Component], keys: Sequence[str], by: str | None = None) -> Iterator[Problem]:
    """A problem for each option that names a metric which will never have a value.

    `by` is the column that says which rows are held out, where one does.
    """
    for component in components:
        for parameter in component.entry.options:
            key = component.options.get(parameter.name)
            if Named("metric_key") in alternatives(parameter.option_type) and isinstance(key, str) and key not in keys:
                node = component.nodes.get(parameter.name)
                message = f"`{component.name}.{parameter.name}`: there is no metric '{key}' while this run trains"
                place = node.place if node else component.place
                yield Problem("unknown-metric", message, place, _remedy(key, keys, by))


def followed_metric(scheduler: Component | None, *, has_val: bool) -> str | None:
    """The key of the metric that a scheduler is stepped with; None for one that steps by itself."""
    if scheduler is None or not follows_metric(scheduler):
        return None
    options = scheduler.entry.options
    keys = [scheduler.options.get(p.name) for p in options if Named("metric_key") in alternatives(p.option_type)]
    return next((key for key in keys if isinstance(key, str)), "val/loss" if has_val else "train/loss")


def follows_metric(scheduler: Component) -> bool:
    """Whether a scheduler is stepped with the value of a metric."""
    return scheduler.traits(SchedulerTraits).steps_on == "metric"


def large_is_good(metric: Component) -> bool:
    """Whether the class of a metric says `higher_is_better`."""
    return bool(getattr(metric.load(), "higher_is_better", False))


def _remedy(key: str, keys: Sequence[str], by: str | None) -> str:
    if key.startswith("val/") and "val/loss" not in keys:
        if by:
            return f"let the column '{by}' say val in some rows, or watch train/loss"
        return "hold rows out for it: `split: {val: 0.2}` beside the data component"
    return did_you_mean(key, keys) or f"the metrics of this run are {', '.join(keys)}"
