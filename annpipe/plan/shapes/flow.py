"""What is kept and checked while shapes are run: shared blocks, tapped values, and the shapes that a layer can take."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat

import torch

from annpipe.backend.instantiate import Building
from annpipe.contract import Field
from annpipe.draft.blocks import used_block
from annpipe.draft.component import Component, components_in
from annpipe.draft.inputs_outputs import is_inputs
from annpipe.errors import Place, Problem, SpecError
from annpipe.plan.plan import Layer
from annpipe.portable.heads import piece
from annpipe.registry.entry import Entry
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


def rank_problem(component: Component, tensor: torch.Tensor, shown: str) -> Problem | None:
    """A tensor whose number of dimensions the layer does not take; `shown` is its shape in words.

    Said before the layer runs: with one dimension less, many of torch's take the rows for one sample's steps or
    channels, and would mix them.
    """
    needs = component.traits(LayerTraits).needs
    if needs is None or _takes_rank(needs, tensor.ndim):
        return None
    message = f"{component.name} cannot take the shape {shown} that arrives; it needs {needs}"
    return Problem("shape", message, component.place, _rank_help(needs, tensor.ndim))


def steps_first(component: Component) -> Problem | None:
    """A layer that takes the first dimension for steps, as torch's do with `batch_first: false`."""
    for inner in (component, *_layers_in(component)):
        if inner.options.get("batch_first") is False:
            node = inner.nodes.get("batch_first")
            message = f"{inner.name} with `batch_first: false` takes the rows for the steps of one sequence"
            help_ = "leave `batch_first` out: it is true in annpipe, where the rows always come first"
            return Problem("shape", message, node.place if node else component.place, help_)
    return None


def forward_problem(component: Component, tensor: torch.Tensor, shown: str, error: Exception, reason: str) -> Problem:
    """What a layer raised on a shape that has the right number of dimensions."""
    needs = component.traits(LayerTraits).needs
    if needs is not None and needs.startswith("whole numbers") and tensor.is_floating_point():
        message = f"{component.name} takes {needs}; what arrives has fractions"
        help_ = "take numbers with `Linear` instead, or data whose inputs are whole numbers"
        return Problem("shape", message, component.place, help_)
    message = f"{component.name} cannot take the shape {shown} that arrives: {reason}"
    related = raised_in(component.entry, error)
    help_ = (
        "correct the plugin's line, or change the layers before it" if related else "change it, or the layers before it"
    )
    return Problem("shape", message, component.place, help_, related)


def _layers_in(component: Component) -> Iterator[Component]:
    for inner in components_in(list(component.options.values())):
        yield inner
        yield from _layers_in(inner)


def _shapes(needs: str) -> list[list[str]]:
    """The dimensions of each shape in `(rows, features) or (rows, features, length)`."""
    return [shape.split(", ") for shape in re.findall(r"\((rows[^)]*)\)", needs)]


def _takes_rank(needs: str, rank: int) -> bool:
    shapes = _shapes(needs)
    fits = (rank >= len(names) - 1 if names[-1] == "…" else rank == len(names) for names in shapes)
    return not shapes or any(fits)


def _rank_help(needs: str, rank: int) -> str:
    names = _shapes(needs)[0]
    if rank == 2 < len(names):
        return f"add `- Unflatten: [1, [{', '.join(names[1:])}]]` before it, with your own sizes"
    if rank > len(names) == 2:
        return "add `- Flatten` before it"
    return "add a layer before it that gives that shape (Flatten, Unflatten, …)"


def raised_in(entry: Entry, error: Exception) -> tuple[tuple[Place, str], ...]:
    """The last line of the plugin's own file that led to the error."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == entry.origin.file]
    if not frames:
        return ()
    last = frames[-1]
    column = (last.colno or 0) + 1
    length = (last.end_colno or column) - column + 1 if last.end_lineno == last.lineno else 1
    return ((Place(last.filename, last.lineno or 1, column, max(1, length)), f"raised here: {type(error).__name__}"),)
