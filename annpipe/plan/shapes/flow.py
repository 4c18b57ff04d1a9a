"""What the layers of a model share while shapes are run: blocks that keep their weights, and tapped values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat

import torch

from annpipe.backend.instantiate import Building
from annpipe.contract import Field
from annpipe.draft.blocks import used_block
from annpipe.draft.component import Component
from annpipe.draft.inputs_outputs import is_inputs
from annpipe.errors import Problem, SpecError
from annpipe.plan.plan import Layer
from annpipe.portable.heads import piece
from annpipe.registry.traits import LayerTraits


@dataclass(frozen=True)
class Flow:
    """One run through a model: `shared` has the first use of each block whose weights are shared.

    `building` holds the values that were tapped; it builds each layer anew, to be run on its own.
    """

    shared: dict[str, Layer] = field(default_factory=dict)
    building: Building = field(default_factory=lambda: Building(apart=True))

    @property
    def tapped(self) -> dict[str, Field]:
        """What has been tapped so far."""
        values = self.building.taps.values
        kinds = {name: "float" if value.is_floating_point() else "int" for name, value in values.items()}
        return {name: Field(tuple(value.shape[1:]), kinds[name]) for name, value in values.items()}

    def with_tap_shapes(self, component: Component) -> Component:
        """A layer that reads several taps, with their shapes; raises SpecError where it was told other ones."""
        reads = component.traits(LayerTraits).reads
        if reads is None or component.entry.parameter("tap_shapes") is None:
            return component
        read = component.options[reads]
        shapes = [list(self.tapped[name].shape) for name in ([read] if isinstance(read, str) else read)]
        written = component.options.get("tap_shapes")
        if written not in (None, shapes):
            message = f"the taps of {component.name} have the shapes {shapes}; its `tap_shapes` says {written}"
            help_ = "leave `tap_shapes` out: it is filled in"
            raise SpecError([Problem("shape", message, component.place, help_)])
        return component.with_options(tap_shapes=shapes)

    def check_shared(self, layer: Layer) -> None:
        """Raises SpecError for a use of shared weights that would need others than the first use has."""
        name = used_block(layer.component)
        if name is None:
            return
        first = self.shared.setdefault(name, layer)
        if first.component != layer.component:
            arrives, arrived = _row(layer.input_shape), _row(first.input_shape)
            message = f"the block '{name}' is shared, and {arrives} arrives here, {arrived} where it stands first"
            related = ((first.component.place, "first used here"),) if first.component.place else ()
            help_ = f"bring both to one shape, or write `- {name}` here for weights of its own"
            raise SpecError([Problem("shape", message, layer.component.place, help_, related)])


def pieces(component: Component, tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """What arrives at each stack of a layer, one after another: all of it, or the columns of a stack of inputs."""
    if is_inputs(component):
        parts = (component.options[name] for name in ("spans", "shapes", "whole"))
        yield from (piece(tensor, *part) for part in zip(*parts, strict=True))
    yield from repeat(tensor)


def repeated(component: Component, layers: Sequence[Layer], size: int) -> tuple[Layer, ...]:
    """The layers of a stack of `size` that is run over and over with the same weights, counted at their first time.

    Raises SpecError where a later time would need other weights than the first.
    """
    for layer, first in zip(layers[size:], [*layers[:size]] * (len(layers) // size), strict=False):
        if layer.component != first.component:
            arrives, arrived = _row(layer.input_shape), _row(first.input_shape)
            message = f"{component.name} shares its weights: {arrived} arrives the first time, {arrives} the next"
            related = ((first.component.place, "at this layer"),) if first.component.place else ()
            help_ = "let the last layer give the shape that arrives at the first"
            raise SpecError([Problem("shape", message, component.place, help_, related)])
    return (*layers[:size], *map(_uncounted, layers[size:]))


def counted_once(layers: Sequence[Layer], known: set[str] | None = None) -> tuple[Layer, ...]:
    """The layers, with the parameters of shared blocks counted where they stand first."""
    known = set() if known is None else known
    return tuple(_counted(layer, known) for layer in layers)


def _counted(layer: Layer, known: set[str]) -> Layer:
    name = used_block(layer.component)
    if name in known:
        return _uncounted(layer)
    stacks = {path: counted_once(inside, known) for path, inside in layer.stacks.items()}
    if name is not None:
        known.add(name)
    elsewhere = sum(inner.parameters for inner in layer.inside)
    inside = sum(inner.parameters for stack in stacks.values() for inner in stack)
    return replace(layer, stacks=stacks, parameters=layer.parameters - elsewhere + inside)


def _uncounted(layer: Layer) -> Layer:
    stacks = {path: tuple(map(_uncounted, inside)) for path, inside in layer.stacks.items()}
    return replace(layer, stacks=stacks, parameters=0)


def _row(shape: Sequence[int]) -> str:
    return f"(rows, {', '.join(map(str, shape))})" if shape else "(rows,)"
