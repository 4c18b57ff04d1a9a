"""Splits a model with several heads into one run for each head, so that each is checked like a model of one output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from annpipe.contract import Fields
from annpipe.draft.component import Component
from annpipe.draft.inputs_outputs import OutputHead
from annpipe.draft.losses import takes_classes
from annpipe.plan.plan import Layer


@dataclass(frozen=True)
class HeadRun:
    """What of a run is checked together: the last layers, the loss and the metrics that see them, and the fields."""

    layers: Sequence[Layer]
    loss: Component
    metrics: Sequence[Component]
    fields: Fields


def for_each(
    layers: Sequence[Layer],
    loss: Component,
    metrics: Sequence[Component],
    outputs: Sequence[OutputHead],
    fields: Fields,
) -> Iterator[HeadRun]:
    """The whole run; with heads, each head as a run of its own, whose layers are the last."""
    if not outputs:
        yield HeadRun(layers, loss, metrics, fields)
    for head, stack in zip(outputs, layers[-1].stacks.values(), strict=False):
        of_head = replace(fields, targets={head.name: fields.targets[head.name]})
        yield HeadRun(stack, head.loss, head.metrics, of_head)


def filled(outputs: Sequence[OutputHead], layers: Sequence[Layer]) -> tuple[OutputHead, ...]:
    """The heads with their layers as they were run through."""
    stacks = layers[-1].component.options["branches"] if outputs else ()
    return tuple(replace(head, layers=tuple(stack)) for head, stack in zip(outputs, stacks, strict=True))


def placed(loss: Component, layers: Sequence[Layer], outputs: Sequence[OutputHead]) -> Component:
    """The loss, with heads told where their outputs stand and which of their targets are labels."""
    if not outputs:
        return loss
    spans, labels, start = {}, {}, 0
    for head, stack in zip(outputs, layers[-1].stacks.values(), strict=True):
        width = stack[-1].output_shape[0]
        spans[head.name] = [start, start + width]
        labels[head.name] = takes_classes(head.loss)
        start += width
    return loss.with_options(spans=spans, labels=labels)
