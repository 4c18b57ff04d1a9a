"""Fills in the thresholds of metrics, and warns of metrics of classes on targets that are none.

Metrics, figures and saved models ask `raw_targets_of`, so that one run calls the same rows a 1 everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from annpipe.contract import RunPreview
from annpipe.draft.component import Component
from annpipe.draft.inputs_outputs import OutputHead
from annpipe.draft.losses import takes_classes
from annpipe.errors import Problem
from annpipe.plan.checks.outputs import HeadRun, for_each
from annpipe.plan.plan import Plan
from annpipe.plan.raw_scores import raw_targets
from annpipe.registry.traits import MetricTraits

OF_RAW_SCORES, OF_PROBABILITIES = 0.0, 0.5


def raw_targets_of(plan: Plan) -> frozenset[str]:
    """The targets of a plan whose outputs are raw scores, each head by itself."""
    heads = for_each(plan.model, plan.loss, plan.metrics, plan.outputs, plan.fields)
    return frozenset(name for head in heads for name in raw_targets(head.layers, head.loss, list(head.fields.targets)))


def with_thresholds(
    metrics: Sequence[Component], outputs: Sequence[OutputHead], heads: Sequence[HeadRun]
) -> tuple[tuple[Component, ...], tuple[OutputHead, ...]]:
    """The metrics and the heads, with thresholds where the spec gives none."""
    if not outputs:
        return tuple(_with_threshold(metric, heads[0]) for metric in metrics), ()
    pairs = zip(outputs, heads, strict=True)
    filled = (replace(out, metrics=tuple(_with_threshold(m, head) for m in out.metrics)) for out, head in pairs)
    return tuple(metrics), tuple(filled)


def _with_threshold(metric: Component, head: HeadRun) -> Component:
    option = metric.traits(MetricTraits).threshold
    if option is None or metric.options.get(option) is not None:
        return metric
    is_raw = bool(raw_targets(head.layers, head.loss, list(head.fields.targets)))
    return metric.with_options(**{option: OF_RAW_SCORES if is_raw else OF_PROBABILITIES})


def metrics_without_classes(heads: Sequence[HeadRun], preview: RunPreview) -> Iterator[Problem]:
    """Metrics of classes whose targets are neither labels nor 0 and 1; asks for the data only where there are such."""
    for head in heads:
        of_classes = [metric for metric in head.metrics if metric.traits(MetricTraits).classes]
        if not of_classes or takes_classes(head.loss) or preview.dataset is None:
            continue
        try:
            targets = preview.dataset().targets
        except Exception:  # data may fail with anything: the run itself says what is wrong with them
            return
        for name in head.fields.targets:
            values = targets[name]
            other = values[(values != 0) & (values != 1) & ~values.isnan()]
            if len(other):
                yield from (_without_classes(metric, name, other, head.loss) for metric in of_classes)
                break


def _without_classes(metric: Component, target: str, other: torch.Tensor, loss: Component) -> Problem:
    message = (
        f"{metric.name} counts classes, and '{target}' is neither a label nor 0 and 1 for {loss.name}: "
        f"one of its values is {float(other.flatten()[0]):.6g}"
    )
    help_ = "take a metric of numbers, as MeanAbsoluteError or R2Score, or a loss of classes, as CrossEntropyLoss"
    related = ((loss.place, "compared as numbers"),) if loss.place else ()
    return Problem("metric-of-classes", message, metric.place, help_, related, severity="warning")
