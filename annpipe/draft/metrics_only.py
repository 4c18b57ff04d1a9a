"""Drafts the loss, metrics and plots alone, to evaluate a trained model on other rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from annpipe.draft.component import Component
from annpipe.draft.inputs_outputs import OutputHead, outputs_loss
from annpipe.draft.metric_keys import run_metrics
from annpipe.draft.named_files import add_plugins, plugin_files
from annpipe.draft.options import Resolving
from annpipe.errors import SpecError
from annpipe.registry.registry import Registry
from annpipe.spec.sections.component import Call
from annpipe.spec.sections.spec import Spec


@dataclass(frozen=True)
class Measures:
    """What judges a model: its loss, metrics by key with the heads that they are for, and plots.

    `heads` are the losses of a model's heads by the targets that these predict, where it has some; then `loss` lacks
    what is supplied to it, `spans` and `labels`.
    """

    loss: Component
    metrics: Mapping[str, tuple[Component, str | None]]
    plots: tuple[Component, ...]
    heads: Mapping[str, Component]


def draft_measures(spec: Spec, registry: Registry, *, project: Path) -> Measures:
    """Resolves the loss, the metrics and the plots, and makes no data; raises SpecError for what is wrong with them."""
    files, problems = plugin_files(spec, project)
    problems += add_plugins(files, registry)
    resolving = Resolving(registry)

    def many(calls: Sequence[Call], kind: str) -> tuple[Component, ...]:
        return tuple(component for call in calls if (component := resolving.component(call, kind)))

    heads = [
        OutputHead(str(head.name.value), (), loss, head.weight, many(head.metrics, "metric"))
        for head in spec.outputs
        for loss in many([head.loss], "loss")
    ]
    losses = many([] if heads else [spec.loss], "loss")
    metrics, plots = many(spec.metrics, "metric"), many(spec.plots, "plot")
    if problems or resolving.problems:
        raise SpecError([*problems, *resolving.problems])
    loss = outputs_loss(heads, spec.place("model", "outputs")) if heads else losses[0]
    return Measures(loss, run_metrics(metrics, heads), plots, {head.name: head.loss for head in heads})
