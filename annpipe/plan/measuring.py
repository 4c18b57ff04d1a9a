"""The loss, metrics and plots of a spec by themselves, for whoever measures a trained model on other rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from annpipe.errors import SpecError
from annpipe.plan.component import Component
from annpipe.plan.draft import add_plugins, plugin_files
from annpipe.plan.options import Resolving
from annpipe.registry import Registry
from annpipe.spec.component import Call
from annpipe.spec.spec import Spec


@dataclass(frozen=True)
class Measures:
    """What judges a model: its loss, metrics and plots, and the registry that they come from."""

    registry: Registry
    loss: Component
    metrics: tuple[Component, ...]
    plots: tuple[Component, ...]


def draft_measures(spec: Spec, registry: Registry, *, project: Path) -> Measures:
    """Resolves the loss, the metrics and the plots, and makes no data; raises SpecError for what is wrong with them."""
    files, problems = plugin_files(spec, project)
    problems += add_plugins(files, registry)
    resolving = Resolving(registry)

    def many(calls: Sequence[Call], kind: str) -> tuple[Component, ...]:
        return tuple(found for call in calls if (found := resolving.component(call, kind)))

    loss, metrics, plots = many([spec.loss], "loss"), many(spec.metrics, "metric"), many(spec.plots, "plot")
    if problems or resolving.problems:
        raise SpecError([*problems, *resolving.problems])
    return Measures(registry, loss[0], metrics, plots)
