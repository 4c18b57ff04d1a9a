"""Resolves `blocks`: named stacks of layers, used as layers, each use with weights of its own.

A block is an entry of the spec's own registry. Its uses are drafted as names; once all is right, each gets a copy of
the block's layers, and keeps its name as the template that the plan's YAML says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from annpipe.draft.component import Component, at_every_depth, components_in, transform
from annpipe.errors import Problem
from annpipe.errors.suggest import did_you_mean
from annpipe.registry.entry import Entry, Origin, Parameter
from annpipe.registry.registry import Registry
from annpipe.registry.traits import LayerTraits
from annpipe.spec.sections.spec import Spec

BlockLayers = Mapping[str, tuple[Component, ...]]
MOST_LAYERS = 10_000


def with_blocks(spec: Spec, registry: Registry) -> tuple[Registry, list[Problem]]:
    """A registry of the spec's own in which its blocks are layers, and the blocks whose names are taken."""
    if not spec.blocks:
        return registry, []
    copy, problems = registry.copy(), []
    for key, _ in spec.blocks:
        name = str(key.value)
        taken = registry.find("layer", name)
        if taken:
            message = f"the block '{name}' has the name of a layer that comes from {taken.origin}"
            problems.append(Problem("block", message, key.place, "give the block another name"))
        else:
            copy.add_entries([_entry(name)])
    return copy, problems


def _entry(name: str) -> Entry:
    layers = Parameter("layers", "stack", supplied=True)
    summary = "A block of the spec."
    return Entry(
        "layer",
        name,
        "annpipe.portable.stack:stacked",
        (layers,),
        summary,
        Origin("annpipe"),
        traits=LayerTraits(block=True),
    )


def used_block(component: Component) -> str | None:
    """The block whose weights the component shares with others that name it, None for a layer of any other sort."""
    option = component.traits(LayerTraits).uses
    name = component.options.get(option) if option is not None else None
    return name if isinstance(name, str) else None


def faults(blocks: BlockLayers, model: Sequence[Component], spec: Spec) -> Iterator[Problem]:
    """Blocks that are named but not there, that hold themselves, and those of this very spec that are not used."""
    places = {str(key.value): key.place for key, _ in spec.blocks}
    inside = _Uses(blocks)
    yield from _unknown(inside, model)
    used = inside.reached(model)
    for name in blocks:
        if circle := inside.circle(name):
            message = f"the block '{name}' holds itself: {' -> '.join(circle)}"
            yield Problem("block", message, places[name], "take one of these uses out")
        elif name not in used and places[name].file == spec.file:
            help_ = "use it in `model`, or take it out"
            yield Problem("block", f"the block '{name}' is not used", places[name], help_)
    if not any(inside.circle(name) for name in blocks):
        large = [name for name in blocks if inside.size(name) > MOST_LAYERS]
        for name in large[:1]:
            message = f"the block '{name}' stands for {inside.size(name):,} layers; a model has at most {MOST_LAYERS:,}"
            yield Problem("block", message, places[name], "use fewer blocks in it")


def _unknown(inside: _Uses, model: Sequence[Component]) -> Iterator[Problem]:
    """Blocks that are to be shared, and that the spec does not have."""
    for component in at_every_depth([*model, *(layer for layers in inside.blocks.values() for layer in layers)]):
        name = used_block(component)
        if name is not None and name not in inside.blocks:
            known = list(inside.blocks)
            near = did_you_mean(name, known) or (f"the blocks are {', '.join(known)}" if known else None)
            help_ = near or f"define it: `blocks: {{{name}: [Linear: 8, ReLU]}}`"
            node = next(iter(component.nodes.values()), None)
            place = node.place if node else component.place
            yield Problem("block", f"there is no block '{name}'", place, help_)


class _Uses:
    """Which blocks stand where, and how large they are."""

    def __init__(self, blocks: BlockLayers) -> None:
        self.blocks = blocks
        self._sizes: dict[str, int] = {}

    def block(self, component: Component) -> str | None:
        """The block that a component is a use of."""
        name = component.name if component.kind == "layer" else None
        name = name if name in self.blocks else used_block(component)
        return name if name in self.blocks else None

    def uses(self, components: Iterable[Component]) -> Iterator[str]:
        """The blocks that stand in components, at every depth, each by its name."""
        yield from (name for component in at_every_depth(components) if (name := self.block(component)) is not None)

    def reached(self, model: Sequence[Component]) -> set[str]:
        """The blocks that a model uses, or that stand in those."""
        reached: set[str] = set()
        waiting = list(self.uses(model))
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting += self.uses(self.blocks[name])
        return reached

    def circle(self, start: str) -> tuple[str, ...]:
        """The shortest way from a block back to it, empty where there is none."""
        ways: dict[str, tuple[str, ...]] = {start: (start,)}
        waiting = deque([start])
        while waiting:
            here = waiting.popleft()
            for name in dict.fromkeys(self.uses(self.blocks[here])):
                if name == start:
                    return (*ways[here], name)
                if name not in ways:
                    ways[name] = (*ways[here], name)
                    waiting.append(name)
        return ()

    def size(self, name: str) -> int:
        """How many layers a block stands for, those of the blocks in it included."""
        if name not in self._sizes:
            self._sizes[name] = sum(map(self._count, self.blocks[name]))
        return self._sizes[name]

    def _count(self, component: Component) -> int:
        inside = sum(map(self._count, components_in(dict(component.options))))
        name = self.block(component)
        return 1 + inside + (self.size(name) if name is not None else 0)


def expanded(component: Component, blocks: BlockLayers) -> Component:
    """The component with every use of a block filled with the block's layers."""

    def within(inner: Component) -> Component:
        return expanded(inner, blocks)

    if component.kind == "layer" and component.name in blocks:
        return replace(component, options={"layers": list(map(within, blocks[component.name]))}, template=component)
    if name := used_block(component):
        return replace(component.with_options(stack=list(map(within, blocks[name]))), template=component)
    return replace(component, options={key: transform(value, within) for key, value in component.options.items()})
