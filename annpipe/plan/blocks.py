"""`blocks:` named stacks, defined once and used wherever a layer may stand, each time with weights of their own.

A block is an entry of the spec's own registry. Its uses are drafted as names; once all is right, each gets a copy of
the block's layers, and keeps its name as the template that the plan's YAML says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from annpipe.errors import Problem
from annpipe.plan.component import Component, components_in, transform
from annpipe.registry import Entry, Parameter, Registry
from annpipe.registry.entry import Origin
from annpipe.spec.spec import Spec

Blocks = Mapping[str, tuple[Component, ...]]
MOST_LAYERS = 10_000


def with_blocks(spec: Spec, registry: Registry) -> tuple[Registry, list[Problem]]:
    """A registry of the spec's own in which its blocks are layers, and the blocks whose names are taken."""
    if not spec.blocks:
        return registry, []
    own, problems = registry.copy(), []
    for key, _ in spec.blocks:
        name = str(key.value)
        taken = registry.find("layer", name)
        if taken:
            message = f"the block '{name}' has the name of a layer that comes from {taken.origin}"
            problems.append(Problem("block", message, key.place, "give the block another name"))
        else:
            own.add_entries([_entry(name)])
    return own, problems


def _entry(name: str) -> Entry:
    layers = Parameter("layers", "stack", supplied=True)
    summary = "A block of the spec."
    return Entry("layer", name, "annpipe.stack:stacked", (layers,), summary, Origin("annpipe"), traits={"block": True})


def faults(blocks: Blocks, model: Sequence[Component], spec: Spec) -> Iterator[Problem]:
    """Blocks that hold themselves, and those of this very spec that the model does not use."""
    places = {str(key.value): key.place for key, _ in spec.blocks}
    used = _reached(model, blocks)
    for name in blocks:
        if circle := _circle(name, blocks):
            message = f"the block '{name}' holds itself: {' -> '.join(circle)}"
            yield Problem("block", message, places[name], "take one of these uses out")
        elif name not in used and places[name].file == spec.file:
            help_ = "use it in `model`, or take it out"
            yield Problem("block", f"the block '{name}' is not used", places[name], help_)
    if not any(_circle(name, blocks) for name in blocks):
        sizes: dict[str, int] = {}
        large = [name for name in blocks if _size(name, blocks, sizes) > MOST_LAYERS]
        for name in large[:1]:
            message = f"the block '{name}' stands for {sizes[name]:,} layers; a model has at most {MOST_LAYERS:,}"
            yield Problem("block", message, places[name], "use fewer blocks in it")


def _uses(components: Iterable[Component], blocks: Blocks) -> Iterator[str]:
    """The blocks that stand in components, at every depth, each by its name."""
    for component in components:
        if component.name in blocks:
            yield component.name
        yield from _uses(components_in(dict(component.options)), blocks)


def _reached(model: Sequence[Component], blocks: Blocks) -> set[str]:
    reached: set[str] = set()
    waiting = list(_uses(model, blocks))
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += _uses(blocks[name], blocks)
    return reached


def _circle(start: str, blocks: Blocks) -> tuple[str, ...]:
    """The shortest way from a block back to it, empty where there is none."""
    ways: dict[str, tuple[str, ...]] = {start: (start,)}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        for name in dict.fromkeys(_uses(blocks[here], blocks)):
            if name == start:
                return (*ways[here], name)
            if name not in ways:
                ways[name] = (*ways[here], name)
                waiting.append(name)
    return ()


def _size(name: str, blocks: Blocks, known: dict[str, int]) -> int:
    """How many layers a block stands for, those of the blocks in it included; `known` are those counted before."""
    if name not in known:
        known[name] = sum(_count(layer, blocks, known) for layer in blocks[name])
    return known[name]


def _count(component: Component, blocks: Blocks, known: dict[str, int]) -> int:
    inside = sum(_count(inner, blocks, known) for inner in components_in(dict(component.options)))
    return 1 + inside + (_size(component.name, blocks, known) if component.name in blocks else 0)


def expanded(component: Component, blocks: Blocks) -> Component:
    """The component with every use of a block filled with the block's layers."""
    if component.name in blocks and component.kind == "layer":
        layers = [expanded(layer, blocks) for layer in blocks[component.name]]
        return replace(component, options={"layers": layers}, template=component)
    options = {key: transform(value, lambda inner: expanded(inner, blocks)) for key, value in component.options.items()}
    return replace(component, options=options)
