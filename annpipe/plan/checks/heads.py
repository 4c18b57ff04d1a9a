"""Do the heads of a model fit their targets, each as a model of one output would? What is said of each is told here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from annpipe.contract import Fields
from annpipe.draft.component import Component
from annpipe.draft.inputs_outputs import Output
from annpipe.draft.losses import takes_classes
from annpipe.plan.plan import Layer


def for_each(
    layers: Sequence[Layer], loss: Component, metrics: Sequence[Component], outputs: Sequence[Output], fields: Fields
) -> Iterator[tuple[Sequence[Layer], Component, Sequence[Component], Fields]]:
    """Layers, loss, metrics and fields of the run; with heads, of each head, whose layers are the last."""
    if not outputs:
        yield layers, loss, metrics, fields
    for head, stack in zip(outputs, layers[-1].stacks.values(), strict=False):
        yield stack, head.loss, head.metrics, replace(fields, targets={head.name: fields.targets[head.name]})


def filled(outputs: Sequence[Output], layers: Sequence[Layer]) -> tuple[Output, ...]:
    """The heads with their layers as they were run through."""
    stacks = layers[-1].component.options["branches"] if outputs else ()
    return tuple(replace(head, layers=tuple(own)) for head, own in zip(outputs, stacks, strict=True))


def placed(loss: Component, layers: Sequence[Layer], outputs: Sequence[Output]) -> Component:
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
