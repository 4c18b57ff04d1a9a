"""Spec → Draft: every component of every section resolved; whether they go together is checked afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from annpipe.draft.component import Component, at_every_depth
from annpipe.draft.inputs_outputs import OutputHead, inputs_layer, outputs_layer, outputs_loss
from annpipe.draft.options import Resolving
from annpipe.draft.parameter_groups import ParameterGroup
from annpipe.draft.sections import Draft
from annpipe.draft.transforms import Transforming
from annpipe.draft.weights import InitialWeights, Thaw
from annpipe.registry.traits import OptimizerTraits
from annpipe.spec.sections.component import Call
from annpipe.spec.sections.model_weights import FromCall
from annpipe.spec.sections.models import MANY_COMPONENTS, ONE_COMPONENT
from annpipe.spec.sections.spec import Spec


def resolved(spec: Spec, resolving: Resolving) -> Draft:
    """The draft of a spec; problems are noted in `resolving`, and what has some is a component without options."""
    building = _Building(spec, resolving)
    outputs = building.outputs()
    place = spec.place("model", "outputs")
    sections = building.sections()
    if outputs:
        sections["loss"] = outputs_loss(outputs, place)
    drafted = Draft(
        file=spec.file,
        head=spec.head,
        device=spec.device,
        split=spec.split,
        transforms=tuple(
            Transforming(part.columns, building.many(part.calls, "transform"), part.place)
            for part in spec.transforms or ()
        ),
        blocks={str(key.value): building.many(calls, "layer") for key, calls in spec.blocks},
        outputs=outputs,
        init={str(key.value): building.component(call, "initializer") for key, call in spec.init},
        freeze=tuple(str(node.value) for node in spec.freeze),
        thaw=tuple(
            Thaw(tuple(str(node.value) for node in call.patterns), call.until, call.place) for call in spec.thaw
        ),
        weights=_weights(spec.weights),
        groups=tuple(building.groups()),
        train=spec.train,
        tracking=spec.tracking,
        **sections,
        spec=spec,
        registry=resolving.registry,
        model=(
            *inputs_layer(spec, lambda calls: building.many(calls, "layer")),
            *building.many(spec.model, "layer"),
            *outputs_layer(outputs, place),
        ),
        stance=resolving.stance,
    )
    return replace(drafted, optimizer=_fused(drafted))


def _weights(call: FromCall | None) -> InitialWeights | None:
    """The weights that the model begins with, as the spec says them."""
    if call is None:
        return None
    patterns = tuple(str(node.value) for node in call.patterns)
    return InitialWeights(
        str(call.weights.value), patterns, call.or_init, str(call.digest.value) if call.digest else None
    )


class _Building:
    """Resolves the calls of a spec."""

    def __init__(self, spec: Spec, resolving: Resolving) -> None:
        self.spec, self.resolving = spec, resolving

    def component(self, call: Call, kind: str) -> Component:
        component = self.resolving.component(call, kind) if call.name else None
        return component or Component(kind, call.name, {}, call.place)

    def many(self, calls: Sequence[Call], kind: str) -> tuple[Component, ...]:
        return tuple(self.component(call, kind) for call in calls)

    def sections(self) -> dict[str, Any]:
        """The sections that are components and nothing else; heads have losses of their own."""
        calls = {name: getattr(self.spec, name) for name in ONE_COMPONENT if name != "loss" or not self.spec.outputs}
        components = {name: call and self.component(call, ONE_COMPONENT[name]) for name, call in calls.items()}
        return components | {name: self.many(getattr(self.spec, name), kind) for name, kind in MANY_COMPONENTS.items()}

    def outputs(self) -> tuple[OutputHead, ...]:
        """The heads."""
        return tuple(
            OutputHead(
                str(head.name.value),
                self.many(head.layers, "layer"),
                self.component(head.loss, "loss"),
                head.weight,
                self.many(head.metrics, "metric"),
            )
            for head in self.spec.outputs
        )

    def groups(self) -> Iterator[ParameterGroup]:
        """The optimizer's groups; their options are those of the optimizer."""
        entry = self.resolving.registry.find("optimizer", self.spec.optimizer.name)
        if entry is None:
            return
        for group in self.spec.groups:
            call = Call(entry.name, group.options, group.options.place)
            options = self.resolving.component(call, "optimizer", in_part=True)
            if options is not None:
                patterns, places = zip(*group.patterns, strict=True)
                yield ParameterGroup(patterns, options, places)


def _fused(drafted: Draft) -> Component:
    """The optimizer, with `fused: true` where torch has a fused kernel and the spec asks for no other implementation.

    Not where gradients are scaled: torch 2.13's fused SGD begins with a momentum of whatever lay in memory when its
    first step is skipped, as it is while the scale is still too large. Not for sparse gradients, which none takes. Not
    where parameters are thawed: that SGD cannot begin with some of them later.
    """
    optimizer = drafted.optimizer
    other = any(optimizer.options.get(name) for name in ("foreach", "capturable", "differentiable"))
    has_kernel = optimizer.traits(OptimizerTraits).fused is not None
    if not has_kernel or other or optimizer.options.get("fused") is not None:
        return optimizer
    if drafted.device.autocast == "float16" or sparse_layers(drafted) or drafted.thaw:
        return optimizer
    return optimizer.with_options(fused=True) if optimizer.options else optimizer


def sparse_layers(drafted: Draft) -> list[Component]:
    """The layers whose weights get sparse gradients."""
    layers = at_every_depth([*drafted.model, *(layer for block in drafted.blocks.values() for layer in block)])
    return [layer for layer in layers if layer.options.get("sparse") is True]
